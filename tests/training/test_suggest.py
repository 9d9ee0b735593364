"""What is suggested: typical pictures, what a student condemns or doubts, and always some at random."""

import csv
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.clock import ManualClock
from edge.errors import ConfigError
from edge.picture_set import Picture, read_image, read_set
from tests.training.small import run
from training.labelling.desk import Desk
from training.labelling.sheet import Sheet
from training.suggest import Picker, Plan, still_needed
from training.suggestions import read_suggestions

SMALL = ("--size", "64", "--threads", "1")


def pictures(count, labelled=0, groups=None):
    names = [f"{n}.png" for n in range(count)]
    return [
        Picture(Path(name), "ok" if n < labelled else "", f"g{n % groups}" if groups else name, None, name)
        for n, name in enumerate(names)
    ]


def clouds(*sizes, seed=0):
    """Unit features in as many tight clouds; the last two pictures lie alone."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(len(sizes) + 2, 32))
    of = np.repeat(np.arange(len(sizes) + 2), [*sizes, 1, 1])
    found = middles[of] + 0.15 * rng.normal(size=(len(of), 32))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), of


def numbers(found, reason=None):
    return [int(one.file.removesuffix(".png")) for one in found if reason in (None, one.reason)]


def test_typical_pictures_stand_for_many_and_are_no_loners():
    """The random one stands for its cloud, too: a typical one is then spent on another."""
    seen, cloud = clouds(40, 30, 20)
    found = Picker(pictures(len(seen)), seen, {}, Plan(3)).picked()
    assert Counter(one.reason for one in found) == {"typical": 2, "random": 1}
    assert sorted(cloud[numbers(found)]) == [0, 1, 2]


def test_what_is_labelled_already_needs_no_other_of_its_kind():
    seen, cloud = clouds(40, 30, 20)
    found = Picker(pictures(len(seen), labelled=40), seen, {}, Plan(2)).picked()
    assert sorted(cloud[numbers(found)]) == [1, 2]


def test_with_scores_the_shares_are_kept_by_every_part_of_the_list():
    seen, _ = clouds(200, 200)
    scores = {f"{n}.png": n / 500 for n in range(len(seen))}
    found = Picker(pictures(len(seen)), seen, scores, Plan(50, threshold=0.4)).picked()
    assert Counter(one.reason for one in found) == {"highest": 20, "typical": 15, "near": 10, "random": 5}
    assert Counter(one.reason for one in found[:10]) == {"highest": 4, "typical": 3, "near": 2, "random": 1}
    assert set(numbers(found, "highest")) >= set(range(385, 400))
    assert all(abs(number - 200) < 12 for number in numbers(found, "near"))
    assert len({one.file for one in found}) == 50


def test_the_random_ones_are_drawn_alike_from_all_that_is_not_labelled():
    """Scores and looks have no say in them, or an estimate from them would be biased."""
    seen, _ = clouds(16, 2)
    scores = {f"{n}.png": float(n > 10) for n in range(20)}
    drawn = Counter(
        number
        for seed in range(600)
        for number in numbers(Picker(pictures(20, labelled=5), seen, scores, Plan(10, seed)).picked(), "random")
    )
    assert set(drawn) == set(range(5, 20))
    assert all(abs(count - 40) < 26 for count in drawn.values())  # 600 / 15; four standard deviations


def test_no_group_crowds_the_others_out():
    seen, _ = clouds(58)
    scores = {f"{n}.png": 0.9 if n % 6 == 0 else 0.5 for n in range(60)}
    found = Picker(pictures(60, groups=6), seen, scores, Plan(20)).picked()
    assert max(Counter(one.group for one in found if one.reason == "highest").values()) <= 3


def test_the_same_seed_gives_the_same_list_and_another_another():
    seen, _ = clouds(40, 30)
    lists = [Picker(pictures(len(seen)), seen, {}, Plan(20, seed)).picked() for seed in (1, 1, 2)]
    assert lists[0] == lists[1] != lists[2]


def test_more_than_there_are_gives_all_there_are():
    seen, _ = clouds(5)
    found = Picker(pictures(7, labelled=2), seen, {"3.png": 0.5}, Plan(50, threshold=0.5)).picked()
    assert sorted(one.file for one in found) == ["2.png", "3.png", "4.png", "5.png", "6.png"]


# --- the command ---


@pytest.fixture(scope="module")
def half(belt, tmp_path_factory):
    """The belt with labels on ten pictures; four unlabelled ones are there twice, and one labelled one."""
    folder = tmp_path_factory.mktemp("half") / "set"
    shutil.copytree(belt, folder)
    rows = list(csv.DictReader((folder / "labels.csv").read_text().splitlines()))
    for row in rows[10:]:
        row["label"] = row["mask"] = ""
    for row in [rows[2], *rows[20:24]]:
        file = f"images/again-{Path(row['file']).stem}.jpg"
        cv2.imwrite(str(folder / file), read_image(folder / row["file"]), (1, 95))
        rows.append({"file": file, "label": "", "group": row["group"], "mask": ""})
    with (folder / "labels.csv").open("w", newline="") as table:
        out = csv.DictWriter(table, ["file", "label", "group", "mask"])
        out.writeheader()
        out.writerows(rows)
    return folder


def test_no_exposure_is_suggested_twice_and_none_that_has_a_label(half, tmp_path):
    out = tmp_path / "suggest.csv"
    done = run("suggest", half, out, "-n", "100", *SMALL)
    assert done.exit_code == 0, done.error
    found = read_suggestions(out, [picture.name for picture in read_set(half)])
    exposures = [Path(one.file).stem.removeprefix("again-") for one in found]
    assert len(exposures) == len(set(exposures)) == 34
    labelled = {Path(picture.name).stem for picture in read_set(half) if picture.label}
    assert labelled.isdisjoint(exposures)
    assert "takes 59 held-out defects with none missed" in done.output.replace("\n", " ")


def test_the_page_takes_the_list(half, tmp_path):
    out = tmp_path / "suggest.csv"
    assert run("suggest", half, out, "-n", "6", *SMALL).exit_code == 0
    sheet = Sheet(half)
    found = read_suggestions(out, [row.file for row in sheet.rows])
    desk = Desk(sheet, ManualClock(), found)
    told = desk.opened()
    assert [told["pictures"][number]["file"] for number in told["order"][:6]] == [one.file for one in found]


def test_a_student_scores_by_the_devices_own_code(half, trained, tmp_path):
    out = tmp_path / "suggest.csv"
    student = trained.out / "student.onnx"
    done = run("suggest", half, out, "-n", "10", *SMALL, "--student", str(student), "--threshold", "0.5")
    assert done.exit_code == 0, done.error
    found = read_suggestions(out, [picture.name for picture in read_set(half)])
    assert Counter(one.reason for one in found) == {"highest": 4, "typical": 3, "near": 2, "random": 1}
    assert all(one.score is not None and 0 <= one.score <= 1 for one in found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--scores", "none.csv"), "columns file and score"),
        (("--threshold", "2"), "from 0 to 1"),
        (("--threshold", "none.json"), "run edge-calibrate threshold"),
        (("--student", "none.onnx"), "run edge-train finetune"),
        (("--student", "a", "--scores", "b"), "not both"),
        (("--escape", "5"), "share between 0 and 1"),
        (("--groups", "z*"), "no group matches"),
    ],
)
def test_a_wrong_option_is_one_clear_line(half, tmp_path, options, words):
    done = run("suggest", half, tmp_path / "s.csv", *SMALL, *options)
    assert done.exit_code == 78
    assert words in str(done.error)
    assert not (tmp_path / "s.csv").exists()


def test_scores_of_labelled_pictures_alone_are_refused(half, tmp_path):
    table = tmp_path / "scores.csv"
    table.write_text(f"file,label,group,fold,score\n{read_set(half)[0].name},ok,a,0,0.5\n")
    done = run("suggest", half, tmp_path / "s.csv", *SMALL, "--scores", str(table))
    assert "scores none of the 39 unlabelled pictures" in str(done.error)
    assert "--student" in str(done.error)


def test_nothing_left_to_label_is_said(tmp_path):
    folder = tmp_path / "set"
    for index in range(4):
        path = folder / ("ok", "ng")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((32, 32, 3), 40 * index, np.uint8))
    done = run("suggest", folder, tmp_path / "s.csv", *SMALL)
    assert isinstance(done.error, ConfigError)
    assert "every picture has a label" in str(done.error)


@pytest.mark.parametrize(("defects", "words"), [(12, "47 more at least"), (59, "enough if none"), (0, "59 more")])
def test_the_labels_that_are_still_needed_are_counted_exactly(defects, words):
    labelled = [Picture(Path("a"), "ng", f"g{n % 3}", None, f"{n}.png") for n in range(defects)]
    assert words in still_needed(labelled, 0.05, 0.95)
