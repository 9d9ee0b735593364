"""A bundle may be made before there is a defect: it says that it proves nothing, and its gate still refuses."""

import numpy as np
import pytest

from calibration import cli as calibrate
from calibration.evidence import evidence_of, sentence
from compile import build, verify
from compile.drawn import LABEL, draw, has_defects
from compile.quantize import RECIPES, quantize
from compile.verify import Rule, StandIns, trial
from edge.acceptance import accept
from edge.bundle import load_keys, read_bundle
from edge.clock import SystemClock
from edge.options import OrtEngine
from edge.picture_set import read_image, read_set
from edge.pixels import InputSpec
from edge.screen import model_line
from tests.compile import belts
from tests.compile.students import SPEC, spoiling, student
from tests.compile.test_cli import broken_twice, compile_it, sets  # noqa: F401 - a fixture
from tests.compile.test_verify import rows


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """A student, the threshold that good parts alone gave it, and sets without a defect; INT8 counts as faster."""
    monkeypatch.setattr(build, "median_ms", lambda models, image: ([2.0, 1.0] * len(models))[: len(models)])
    belts.draw(tmp_path / "good", 24, 0, 4, lot="good")
    belts.draw(tmp_path / "held", 80, 0, 5, lot="held")
    return with_student(monkeypatch, tmp_path, student())


def with_student(monkeypatch, folder, model):
    (folder / "student.onnx").write_bytes(model)
    scores = belts.cross_fitted(folder / "scores.csv", defects=0)
    words = ("threshold", scores, "--escape", 0.05, "-o", folder / "threshold.json")
    assert belts.run(monkeypatch, calibrate.main, *words) == 78
    assert belts.run(monkeypatch, calibrate.main, *words, "--allow-unproven") == 0
    return folder


def make(monkeypatch, bench, sets, *words, **changed):  # noqa: F811
    given = {"calibration": bench / "good", "acceptance": bench / "held"} | changed
    return compile_it(monkeypatch, bench, sets, *words, **given)


def test_it_takes_a_word_of_its_own_and_says_that_nothing_is_known(monkeypatch, capsys, bench, sets):  # noqa: F811
    assert "No cross-fitted defect: too few to say, escape rate <= 100%" in capsys.readouterr().out
    assert make(monkeypatch, bench, sets) == 78
    told = capsys.readouterr().err
    assert "too few defects to say: the acceptance set holds none" in told and "--allow-unproven" in told
    assert make(monkeypatch, bench, sets, "--allow-unproven") == 0
    told = capsys.readouterr().out
    assert "No held-out defect: too few to say, escape rate <= 100%; overkill 0.0% of 80 good pictures" in told
    assert "Not proven" in told
    bundle = read_bundle(bench / "cap-1.bundle", load_keys(sets))
    assert [(entry.precision, entry.proven) for entry in bundle.manifest.models] == [
        ("int8", False),
        ("fp32", False),
    ]
    assert (bundle.manifest.models[0].evidence.defects, bundle.manifest.models[0].evidence.escape_upper) == (0, 1.0)
    assert "no defect was held out, so nothing is known of the escape rate" in model_line(bundle.manifest.models[0])
    assert "that holds INT8 on ort to FP32 and is no evidence" in bundle.report()


def test_the_device_gets_drawn_defects_that_it_must_not_pass(monkeypatch, bench, sets):  # noqa: F811
    assert make(monkeypatch, bench, sets, "--allow-unproven") == 0
    bundle = read_bundle(bench / "cap-1.bundle", load_keys(sets))
    assert {picture.label for picture in bundle.acceptance()} == {"ok", LABEL}
    accepted = accept(bundle, OrtEngine(kind="ort"), SystemClock())
    assert accepted.precision == "int8" and accepted.difference < 1e-6


def test_int8_that_would_pass_defects_does_not_ship(monkeypatch, capsys, bench, sets):  # noqa: F811
    with_student(monkeypatch, bench, student(trouble=spoiling))
    monkeypatch.setattr(build, "_quantized", _first_recipe)
    assert make(monkeypatch, bench, sets, "--allow-unproven") == 0
    bundle = read_bundle(bench / "cap-1.bundle", load_keys(sets))
    assert [entry.precision for entry in bundle.manifest.models] == ["fp32"]
    assert "drawn defects that FP32 rejects it passes" in capsys.readouterr().out


def _first_recipe(job, calibration, console):
    """The first recipe, whatever it does to the calibration pictures."""
    model = quantize(job.student.model, calibration.inputs, RECIPES[0])
    judged = build.judge_pictures(model, calibration.pictures, job.threshold.threshold)
    return build.Attempt(RECIPES[0], model, 0, 0, 0.0, judged), [], ""


def test_a_student_that_breaks_in_int8_is_healed_by_drawn_defects_alone(monkeypatch, bench, sets):  # noqa: F811
    with_student(monkeypatch, bench, student(trouble=broken_twice))
    assert make(monkeypatch, bench, sets, "--allow-unproven") == 0
    bundle = read_bundle(bench / "cap-1.bundle", load_keys(sets))
    assert [entry.precision for entry in bundle.manifest.models] == ["int8", "fp32"]
    assert "Attempts at INT8" in bundle.report()


def test_overkill_is_still_bounded(monkeypatch, capsys, bench, sets):  # noqa: F811
    held = belts.draw(bench / "odd", 50, 0, 6, spots=(0,), lot="odd")
    for picture in read_set(held)[:8]:
        other = read_set(sets / "locked")[-1]
        picture.path.write_bytes(other.path.read_bytes())
    assert make(monkeypatch, bench, sets, "--allow-unproven", acceptance=held) == 65
    assert "good pictures rejected prove an overkill <=" in capsys.readouterr().err
    assert make(monkeypatch, bench, sets, "--allow-unproven", "--most-overkill", 0.4, acceptance=held) == 0


def test_good_calibration_pictures_beside_real_held_out_defects_are_enough_for_int8(
    monkeypatch, capsys, bench, sets,  # noqa: F811
):  # fmt: skip
    words = {"acceptance": sets / "locked"}
    assert make(monkeypatch, bench, sets, "--allow-unproven", **words) == 0
    manifest = read_bundle(bench / "cap-1.bundle", load_keys(sets)).manifest
    assert [(entry.precision, entry.proven) for entry in manifest.models] == [("int8", True), ("fp32", True)]
    told = " ".join(capsys.readouterr().out.split())
    assert "24 of the 48 calibration pictures are drawn defects: the set holds no real one" in told


# --- the rule by itself -----------------------------------------------------------------------------------------


def drawn(count, score):
    return [one for one in rows([score] * count, ()) if one.defect]


def tried(reference, judged, precision="int8"):
    rule = Rule(0.4, 0.05, 0.95, allow_unproven=True, most_overkill=0.2)
    goods = rows([], (0.1,) * 40)
    sides = [[*goods, *(_drawn(one) for one in side)] for side in (judged, reference)]
    return trial(precision, f"models/{precision}.onnx", b"x", "words", sides[0], sides[1], rule, 1.0)


def _drawn(one):
    from dataclasses import replace

    return replace(one, label=LABEL, name=f"drawn/{one.name}")


def test_drawn_defects_are_no_evidence():
    found = tried(drawn(30, 0.9), drawn(30, 0.9))
    assert (found.evidence.defects, found.refusal, len(found.judged), len(found.drawn)) == (0, "", 40, 30)
    assert found.stand_ins == StandIns(30, 30, 30, 0, 0)


def test_int8_may_pass_few_that_were_close_and_none_that_were_clear():
    near = drawn(20, 0.5) + drawn(20, 0.9)
    few = drawn(3, 0.39) + drawn(17, 0.5) + drawn(20, 0.9)
    many = drawn(5, 0.39) + drawn(15, 0.5) + drawn(20, 0.9)
    lost = drawn(20, 0.5) + drawn(19, 0.9) + drawn(1, 0.1)
    assert tried(near, few).refusal == ""
    assert "of 40 drawn defects that FP32 rejects it passes 5, 0 of them" in tried(near, many).refusal
    assert "it passes 1, 1 of them with a clear margin" in tried(near, lost).refusal


def test_a_student_that_hardly_sees_what_is_drawn_ships_in_float():
    blind = drawn(9, 0.9) + drawn(50, 0.1)
    assert "of 59 drawn ones FP32 rejects only 9 with a clear margin" in tried(blind, blind).refusal
    assert tried(blind, blind, "fp16").refusal == ""
    assert verify.FEWEST_SHOWN == 10


def test_what_is_drawn_lies_where_the_network_looks_and_is_the_same_again(tmp_path):
    pictures = read_set(belts.draw(tmp_path / "set", 6, 0, 1))
    spec = InputSpec(64, 64, roi=(8, 16, 64, 56))
    first, again = (draw(pictures, spec, tmp_path / name, 3) for name in ("a", "b"))
    for before, one, other in zip(pictures, first, again, strict=True):
        changed = read_image(one.path) != read_image(before.path)
        assert changed.any() and not changed[:16].any() and not changed[:, :8].any() and not changed[:, 72:].any()
        assert np.array_equal(read_image(one.path), read_image(other.path))
    assert has_defects(first) and not has_defects(pictures)
    other = draw(pictures, SPEC, tmp_path / "c", 4)
    assert not np.array_equal(read_image(other[0].path), read_image(first[0].path))


def test_the_sentence_without_a_defect_counts_good_pictures():
    assert sentence(evidence_of(rows([], (0.1,) * 40), 0.95, 0.05)) == (
        "No held-out defect: too few to say, escape rate <= 100%; overkill 0.0% of 40 good pictures "
        "(<= 7.2% with 95% confidence)."
    )
