"""A copy in another group is refused before anything is trained, and `edge-train copies` mends the set."""

import csv
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from calibration.copies import copies, looks
from edge.picture_set import LABELS, read_image, read_set
from tests.calibration.test_copies import jpeg, part, stored
from tests.training.small import finetune, run
from training.copies_report import found


@pytest.fixture
def planted(belt, tmp_path):
    """The belt set with a JPEG of its first good picture, in a lot of its own."""
    folder = tmp_path / "set"
    shutil.copytree(belt, folder)
    first = next(picture for picture in read_set(folder) if picture.label == "ok")
    cv2.imwrite(str(folder / "again.jpg"), read_image(first.path), (cv2.IMWRITE_JPEG_QUALITY, 92))
    with (folder / LABELS).open("a") as file:
        file.write("again.jpg,ok,another-lot,\n")
    return folder, first


def rows_of(folder):
    return {row["file"]: row for row in csv.DictReader((folder / LABELS).read_text().splitlines())}


def test_finetune_refuses_a_planted_copy_and_shows_the_pair(planted, tmp_path):
    folder, first = planted
    done = finetune(folder, tmp_path / "out")
    assert done.exit_code == 78
    assert f"({first.name} = again.jpg)" in str(done.error)
    assert not (tmp_path / "out" / "student.onnx").exists()


def test_the_floor_refuses_it_too(planted, tmp_path):
    folder, first = planted
    done = run("floor", folder, tmp_path / "out", "--size", "64", "--folds", "2")
    assert done.exit_code == 78
    assert f"({first.name} = again.jpg)" in str(done.error)


def test_copies_names_what_training_would_refuse_among_the_labelled_alone(tmp_path):
    learnt = [stored(tmp_path, f"part-{seed:02d}", part(seed)) for seed in range(20)]
    learnt.append(stored(tmp_path, "again", jpeg(part(7))))
    shades = np.random.default_rng(0).normal(100, 2, (60, 58, 58)).round().astype(np.uint8)
    rest = [
        replace(stored(tmp_path, f"flat-{n:02d}", np.dstack([one] * 3)), label="") for n, one in enumerate(shades)
    ]
    known = [*learnt, *rest]
    seen = looks(known)
    assert [(pair.first.name, pair.second.name) for pair in copies(learnt, looks(learnt))] == [("part-07", "again")]
    assert copies(known, seen) == [], "the flat ones resemble each other far more"
    assert [(pair.first.name, pair.second.name) for pair in found(known, seen)] == [("part-07", "again")]


def test_copies_shows_the_pairs_and_writes_labels_that_are_accepted(planted, tmp_path):
    folder, first = planted
    done = run("copies", folder, tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert f"{first.name} = again.jpg" in done.output
    page = (tmp_path / "out" / "copies.html").read_text()
    assert page.count("<img") == 2 and "http" not in page.replace("http://www.w3.org", "")
    rows = rows_of(tmp_path / "out")
    assert rows["again.jpg"]["group"] == rows[first.name]["group"]
    before = rows_of(folder)
    assert [row["mask"] for row in rows.values()] == [row["mask"] for row in before.values()]
    assert run("copies", folder, tmp_path / "part", "--groups", f"{first.group},another-lot").exit_code == 0
    assert rows_of(tmp_path / "part") == rows
    shutil.copy(tmp_path / "out" / LABELS, folder / LABELS)
    again = run("copies", folder, tmp_path / "again")
    assert again.exit_code == 0 and "0 pairs" in again.output


def test_copies_does_not_write_over_the_labels_of_the_set(planted, tmp_path):
    folder, _ = planted
    before = rows_of(folder)
    done = run("copies", folder, tmp_path / "set" / ".")
    assert done.exit_code == 78
    assert "is the set itself" in str(done.error) and rows_of(folder) == before
