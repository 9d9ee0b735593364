"""A label curve compares starts on the same pictures, resumes, and says what the figures bear and no more."""

import json
import re
import threading
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from calibration.leaks import fingerprint
from edge.errors import ConfigError
from edge.picture_set import Picture, read_set
from edge.pixels import InputSpec
from tests.training.small import run
from tests.training.test_bad_input import a_set, rows_of
from training import curve as room
from training.backbones import Stages, Start
from training.curve_plan import ALL, Cell, draw
from training.curve_summary import Values, needed, points, summary, verdict
from training.encoder import write_encoder
from training.ranking import ranked

SIX = rows_of(["ok", "ng"] * 6, "abcdefghijkl")
SHORT = ("--size", "64", "--threads", "1", "--steps", "2", "--batch", "4", "--seeds", "2", "--labels", "2,all")


def curve(pictures, out, *more):
    return run("curve", pictures, out, *SHORT, *more)


@pytest.fixture(scope="module")
def encoder(belt, tmp_path_factory):
    """The public weights again, as an encoder that was pretrained on some of the pictures: SSL that does nothing."""
    path = tmp_path_factory.mktemp("encoder") / "encoder.safetensors"
    seen = [fingerprint(picture) for picture in read_set(belt)[::4]]
    write_encoder(path, Stages(Start(), 3), InputSpec(64, 64), seen, {})
    return path


@pytest.fixture(scope="module")
def measured(belt, encoder, tmp_path_factory):
    out = tmp_path_factory.mktemp("curve")
    done = curve(belt, out, "--encoder", str(encoder))
    assert done.exit_code == 0, done.output
    return done, out, json.loads((out / "curve.json").read_text())


def test_every_cell_is_measured_and_told(measured):
    done, out, report = measured
    assert {(point["arm"], point["labels"]) for point in report["points"]} == {
        (arm, labels) for arm in ("floor", "scratch", "public", "ssl") for labels in ("2", "all")
    }
    assert len(list((out / "cells").glob("*.json"))) == 16
    assert all(0 <= point["auroc"]["mean"] <= 1 and len(point["ap"]["seeds"]) == 2 for point in report["points"])
    assert all(line in done.output for line in report["verdict"])
    page = (out / "curve.html").read_text()
    assert "<svg" in page and 'src="http' not in page and "<script" not in page and "<link" not in page
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_students_may_be_tested_as_they_ship(belt, measured, tmp_path):
    """INT8 moves every score a little; what was learnt, and what is tested, stays."""
    only = ("--arms", "public", "--labels", "all", "--seeds", "1")
    done = curve(belt, tmp_path, *only, "--int8")
    assert done.exit_code == 0, done.output
    _, out, _ = measured
    name = "cells/public-all-seed0.json"
    trained, shipped = (np.array(json.loads((folder / name).read_text())["scores"]) for folder in (out, tmp_path))
    assert trained.shape == shipped.shape
    assert 0 < np.abs(trained - shipped).max() < 0.2
    assert "students after INT8" in (tmp_path / "curve.html").read_text()
    assert "other int8" in str(curve(belt, tmp_path, *only).error)


def test_pretraining_that_changes_nothing_is_no_gain(measured):
    _, _, report = measured
    same = [one for one in report["differences"] if (one["arm"], one["than"]) == ("ssl", "public")]
    assert [one["auroc"]["mean"] for one in same] == [0, 0]
    assert report["verdict"][0].startswith("No gain of SSL against public weights: AUROC +0.000")


def test_it_says_that_the_encoder_saw_pictures_of_the_test(measured):
    assert any("The encoder was pretrained on" in note for note in measured[2]["notes"])


def public(report):
    return [point for point in report["points"] if point["arm"] == "public"]


def test_what_is_done_is_not_done_again_and_more_may_be_asked_for(belt, measured, tmp_path, monkeypatch):
    whole, fits, fit = tmp_path / "whole", [], room.fit
    monkeypatch.setattr(room, "fit", lambda *words: (fits.append(1), fit(*words)))

    def killed(path, result):
        if path.parent.name == "cells" and len(fits) == 2:
            raise KeyboardInterrupt
        write(path, result)

    write = room.write_json
    monkeypatch.setattr(room, "write_json", killed)
    assert curve(belt, whole, "--arms", "public").exit_code != 0
    assert len(list((whole / "cells").glob("*.json"))) == 1
    monkeypatch.setattr(room, "write_json", write)
    assert curve(belt, whole, "--arms", "public").exit_code == 0
    assert len(fits) == 2 + 3
    assert curve(belt, whole, "--arms", "public,floor").exit_code == 0
    assert len(fits) == 2 + 3
    again = {
        one["labels"]: one["auroc"]
        for one in json.loads((whole / "curve.json").read_text())["points"]
        if one["arm"] == "public"
    }
    assert again == {one["labels"]: one["auroc"] for one in measured[2]["points"] if one["arm"] == "public"}


def test_a_folder_of_another_curve_is_refused(belt, measured):
    done = curve(belt, measured[1], "--good-per-defect", "2")
    assert done.exit_code == 78
    assert "holds a curve with other good_per_defect" in str(done.error)


def test_without_a_choice_every_start_that_there_is_is_measured(belt):
    settings = room.CurveSettings(labels=(2,), seeds=(0,), backbone="resnet10t")
    assert [cell.arm for cell in room.lay_out(read_set(belt), settings).cells] == ["floor", "scratch"]


def test_of_several_encoders_each_is_an_arm_and_seeds_take_turns_with_those_of_one_name(belt, encoder):
    named = (("a", encoder), ("b", None))
    settings = room.CurveSettings(InputSpec(64, 64), labels=(2,), encoders=named)
    laid_out = room.lay_out(read_set(belt), settings)
    assert [cell.arm for cell in laid_out.cells[:5]] == ["floor", "scratch", "public", "a", "b"]
    two = replace(laid_out, starts={"b": (Start(), Start("resnet18", public=False))})
    assert [two.start(Cell(seed, 2, "b")).backbone for seed in range(3)] == ["lite0", "resnet18", "lite0"]


def test_more_seeds_may_be_asked_for_while_those_that_were_begin_alike(tmp_path):
    path, one, other = tmp_path / "plan.json", {"backbone": "lite0"}, {"backbone": "resnet18"}
    for some in ([one], [one, other], [one]):
        room._agree(path, {"starts": {"ssl": some}})
    assert json.loads(path.read_text()) == {"starts": {"ssl": [one, other]}}
    with pytest.raises(ConfigError, match="other the start of ssl"):
        room._agree(path, {"starts": {"ssl": [one, one]}})


def test_a_distilled_student_learns_from_teachers_of_its_folds_and_from_pictures_without_labels(
    belt, tmp_path, monkeypatch
):
    fits, fit = [], room.fit

    def noted(student, data, members, recipe, seed, tick, lesson=None):
        fits.append((set(members.tolist()), lesson and len(lesson.images)))
        fit(student, data, members, recipe, seed, tick, lesson)

    monkeypatch.setattr(room, "fit", noted)
    only = ("--arms", "public,distil", "--labels", "4", "--seeds", "1")
    done = curve(belt, tmp_path, *only)
    assert done.exit_code == 0, done.output
    laid_out = room.lay_out(read_set(belt), room.CurveSettings(InputSpec(64, 64), labels=(4,), seeds=(0,)))
    members, tested = set(laid_out.members(laid_out.cells[0]).tolist()), set(laid_out.draws[0].test.tolist())
    (alone, _), (whole, _), *folds, (student, looked_at) = fits
    assert alone == whole == student == members
    assert looked_at == len(laid_out.known) - len(tested)
    group = {index: laid_out.known[index].group for index in members}
    held = [members - fold for fold, lesson in folds if lesson is None]
    assert len(held) >= 2 and set.union(*held) == members and sum(map(len, held)) == len(members)
    assert all(not {group[one] for one in part} & {group[one] for one in members - part} for part in held)
    report = json.loads((tmp_path / "curve.json").read_text())
    assert [(one["arm"], one["than"]) for one in report["differences"]] == [("distil", "public")]


def test_teachers_need_defects_of_two_groups_and_that_is_told_before_any_training(belt, tmp_path):
    done = curve(belt, tmp_path, "--arms", "distil", "--labels", "1")
    assert done.exit_code == 78
    assert re.search("^seed 0, 1 labels, distil: the groups .* of at least two; or ask for more", str(done.error))


def test_a_transfer_is_refused_where_the_encoder_knows_a_picture(belt, encoder, tmp_path):
    done = curve(belt, tmp_path, "--encoder", f"washer={encoder}", "--transfer")
    assert done.exit_code == 78
    assert re.search(r"\d+ of the 42 pictures are among those of the pretraining", str(done.error))


def test_a_transfer_tells_how_many_labels_each_number_of_another_start_takes():
    told = summary(results(0.5), XS, "auroc", transfer=True)
    gain, worth, takes = told["verdict"]
    assert takes.startswith("Labels that it takes with SSL, by those of public weights: fewer than were measured (")
    assert re.search(r" for 5, 5 \(.* over groups\) for 20 and 20 \(.* over groups\) for 80\.$", takes)
    assert [one["takes"]["labels"] for one in told["differences"]] == [
        0,
        pytest.approx(5, 0.1),
        pytest.approx(20, 0.1),
    ]
    assert summary(results(0.5), XS, "auroc")["verdict"] == [gain, worth]


def test_what_the_cells_depend_on_is_in_the_plan(belt, monkeypatch):
    settings = room.CurveSettings(InputSpec(64, 64), labels=(2,), seeds=(0,))
    known = read_set(belt)
    plan = room._plan(room.lay_out(known, settings))
    masked = next(index for index, picture in enumerate(known) if picture.mask)
    other = [replace(one, mask=None) if index == masked else one for index, one in enumerate(known)]
    assert room._plan(room.lay_out(other, settings))["pictures"] != plan["pictures"]
    monkeypatch.setattr(room, "__version__", "0.0.0")
    assert room._plan(room.lay_out(known, settings)) == plan | {"kenpin": "0.0.0"}


def test_a_picture_that_goes_away_is_named(tmp_path):
    laid_out = room.lay_out(read_set(a_set(tmp_path / "set", SIX)), room.CurveSettings())
    (tmp_path / "set" / "3.png").unlink()
    with pytest.raises(ConfigError, match=r"cannot read .*3\.png: No such file"):
        room.measure(laid_out, tmp_path, lambda *_: None)


def pictures(groups, defects=2, goods=6):
    return [
        Picture(None, "ng" if n < defects else "ok", f"lot-{group}", None, f"{group}-{n}")
        for group in range(groups)
        for n in range(defects + goods)
    ]


def test_groups_are_never_split_and_fewer_labels_are_part_of_more():
    known = pictures(9)
    for seed in range(5):
        one = draw(known, seed, "")
        few, more, every = (one.labelled(labels, 3) for labels in (2, 5, ALL))
        assert set(few) < set(more) < set(every)
        assert sum(known[index].label == "ng" for index in few) == 2 and len(few) == 2 + 6
        groups = [{known[index].group for index in part} for part in (one.test, every)]
        assert len(groups[0]) == 3 and not groups[0] & groups[1]
    assert {known[index].group for index in draw(known, 0, "lot-1,lot-4").test} == {"lot-1", "lot-4"}


def test_measures_agree_with_scikit_learn_for_any_weights():
    dice = np.random.default_rng(0)
    scores, bad = np.round(dice.random(80), 1).astype(np.float32), dice.random(80) < 0.3
    weights = dice.integers(0, 3, (4, 80)).astype(float)
    told = ranked(scores, bad, weights)
    for row, auroc, precision in zip(weights, told["auroc"], told["ap"], strict=True):
        assert auroc == pytest.approx(roc_auc_score(bad, scores, sample_weight=row))
        assert precision == pytest.approx(average_precision_score(bad, scores, sample_weight=row))


def test_recall_at_one_per_cent_overkill_allows_one_good_picture_of_a_hundred():
    bad = np.array([True] * 4 + [False] * 100)
    scores = np.concatenate(([0.9, 0.8, 0.6, 0.4], [0.7, 0.5], np.full(98, 0.1))).astype(np.float32)
    assert ranked(scores, bad)["recall"][0] == pytest.approx(3 / 4)


def results(lift, seeds=4):
    """Cells of two starts: `lift` is how much further apart SSL draws the scores."""
    found, tested = {}, {}
    for seed in range(seeds):
        dice = np.random.default_rng(seed)
        bad = np.arange(200) < 60
        tested[seed] = [(f"part-{seed}-{n}", bool(is_bad)) for n, is_bad in enumerate(bad)]
        noise = dice.normal(0, 1, 200)
        for labels, apart in ((5, 0.5), (20, 1.0), (80, 1.5)):
            for arm, more in (("public", 0.0), ("ssl", lift)):
                scores = (noise + bad * (apart + more)).astype(np.float32)
                values = {name: float(value[0]) for name, value in ranked(scores, bad).items()}
                found[Cell(seed, labels, arm)] = {"scores": scores.tolist(), "measures": values}
    return points(found, tested)


XS = {5: 5.0, 20: 20.0, 80: 80.0}


def test_a_gain_is_told_with_the_labels_that_it_is_worth():
    told = verdict(results(0.5), "ssl", "public", XS, "auroc")
    assert told[0].startswith("SSL helped against public weights: AUROC +0.")
    assert "5 labels are worth 20" in told[1] and "20 labels are worth 80" in told[1]
    assert "80 labels are worth more than 80" in told[1]


def test_a_difference_that_chance_explains_is_no_gain():
    values = dict(results(0.0))
    dice = np.random.default_rng(9)
    for labels in XS:
        same = values["public", labels]["auroc"]
        shaken = Values(same.seeds + dice.normal(0, 0.02, 4), same.draws + dice.normal(0, 0.02, len(same.draws)))
        values["ssl", labels] = {**values["public", labels], "auroc": shaken}
    told = verdict(values, "ssl", "public", XS, "auroc")
    assert len(told) == 1 and told[0].startswith("No gain of SSL") and "may be chance" in told[0]


def test_harm_is_told_and_one_seed_says_nothing():
    assert verdict(results(-0.4), "ssl", "public", XS, "auroc")[0].startswith("SSL did harm")
    assert "one seed cannot say" in verdict(results(0.5, seeds=1), "ssl", "public", XS, "auroc")[0]


def test_labels_are_read_between_the_measured_ones_on_a_logarithmic_scale():
    values = results(0.0)
    low, high = values["public", 5]["auroc"], values["public", 20]["auroc"]
    half = Values((low.seeds + high.seeds) / 2, (low.draws + high.draws) / 2)
    count, span = needed(values, "public", "auroc", XS, half)
    assert count == pytest.approx(10) and span[0] <= 10 <= span[1]


def test_two_numbers_of_labels_may_be_as_many_defects():
    values = results(0.0)
    count, _ = needed(values, "public", "auroc", {5: 5.0, 20: 20.0, 80: 20.0}, values["public", 80]["auroc"])
    assert count == pytest.approx(20)


def test_the_summary_is_plain_json():
    told = summary(results(0.5), XS, "auroc")
    assert json.loads(json.dumps(told, allow_nan=False)) == told


@pytest.mark.parametrize(
    ("rows", "more", "words"),
    [
        (rows_of(["ng"] + ["ok"] * 5, "abcdef"), (), "no defects in the"),
        (rows_of(["ok", "ng", "ok"], "abc"), (), "no defects in the"),
        (rows_of(["ok"] * 6, "abcdef"), (), "label defects"),
        (SIX, ("--labels", "50"), "only 4 defects are labelled"),
        (SIX, ("--labels", "few"), "write numbers of defects and all"),
        (SIX, ("--arms", "magic"), "choose from floor, scratch, public, distil, ssl"),
        (SIX, ("--encoder", "public=e.safetensors"), "none of floor, scratch, public, distil"),
        (SIX, ("--encoder", "A b=e.safetensors"), "write FILE, or NAME=FILE"),
        (SIX, ("--encoder", "none.safetensors"), "cannot read none.safetensors: no such file"),
        (SIX, ("--transfer",), "--transfer needs --encoder"),
        (SIX, ("--ablate",), "give --pool POOL"),
        (SIX, ("--passes", "3"), "give --pool POOL"),
        (SIX, ("--pool", "/nowhere"), "/nowhere is not a folder"),
        (SIX, ("--pool", "/nowhere", "--encoder", "e"), "leave one of them out"),
        (SIX, ("--arms", "ssl"), "needs --encoder"),
        (
            SIX,
            ("--arms", "public", "--backbone", "resnet18"),
            "resnet18 has no public weights (lite0 has): leave out",
        ),
        (SIX, ("--measure", "f1"), "write auroc, ap or recall"),
    ],
)
def test_what_no_curve_comes_of_is_one_line(tmp_path, rows, more, words):
    done = curve(a_set(tmp_path / "set", rows), tmp_path / "out", *more)
    assert done.exit_code == 78
    assert words in str(done.error)


def test_runs_that_share_a_folder_keep_one_plan_and_refuse_another(tmp_path):
    plan = {"steps": 1, "starts": {"scratch": [{"backbone": "lite0"}]}}
    for _ in range(2):
        room._agree(tmp_path / "plan.json", plan)
    assert json.loads((tmp_path / "plan.json").read_text()) == plan
    room._agree(tmp_path / "plan.json", plan | {"starts": {"public": [{}]}})
    assert set(json.loads((tmp_path / "plan.json").read_text())["starts"]) == {"scratch", "public"}
    with pytest.raises(ConfigError, match="other steps"):
        room._agree(tmp_path / "plan.json", plan | {"steps": 2})


def test_runs_that_begin_at_once_cannot_mix_two_encoders(tmp_path, monkeypatch):
    plan = {"starts": {"scratch": [{}]}}
    first, second = (plan | {"starts": {"ssl": [{"encoder": name}]}} for name in ("one", "two"))
    room._agree(tmp_path / "plan.json", plan)
    write, refused = room.write_json, []

    def other_run():
        with pytest.raises(ConfigError, match="other the start of ssl"):
            room._agree(tmp_path / "plan.json", second)
        refused.append(True)

    other = threading.Thread(target=other_run)

    def write_while_the_other_begins(path, told):
        monkeypatch.setattr(room, "write_json", write)
        other.start()
        other.join(0.5)  # without a lock it would be through by now
        write(path, told)

    monkeypatch.setattr(room, "write_json", write_while_the_other_begins)
    room._agree(tmp_path / "plan.json", first)
    other.join()
    assert refused
    assert json.loads((tmp_path / "plan.json").read_text())["starts"]["ssl"] == [{"encoder": "one"}]


def test_a_cell_is_in_the_hands_of_one_run(tmp_path):
    with room.alone(tmp_path / "lock") as first, room.alone(tmp_path / "lock") as second:
        assert first and not second
    with room.alone(tmp_path / "lock") as again:
        assert again
