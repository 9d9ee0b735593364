"""A pool's report says what repeats, what is scarce, and which pictures of the line it does not cover."""

import json
import shutil

import cv2
import numpy as np
import pytest

from edge.picture_set import read_image, read_set
from tests.training.small import run
from training.coverage import advice, balance, different, nearest_of

SMALL = ("--size", "64", "--threads", "1")


def coverage(pool, out, *more):
    done = run("coverage", pool, out, *SMALL, *more)
    return done, json.loads((out / "coverage.json").read_text()) if done.exit_code == 0 else None


@pytest.fixture(scope="module")
def report(belt, tmp_path_factory):
    """The belt's pictures as a folder tree with eight repeats; live are noise and one of the pool."""
    folder, live = tmp_path_factory.mktemp("pool"), tmp_path_factory.mktemp("live")
    for index, picture in enumerate(read_set(belt)):
        lot = folder / ("monday" if index < 36 else "tuesday")
        lot.mkdir(exist_ok=True)
        shutil.copy(picture.path, lot / picture.path.name)
        if index < 8:
            cv2.imwrite(str(folder / "monday" / f"again-{index}.jpg"), read_image(picture.path), (1, 95))
    for seed in range(3):
        noise = np.random.default_rng(seed).integers(0, 255, (128, 128, 3), np.uint8)
        cv2.imwrite(str(live / f"noise-{seed}.png"), noise)
    shutil.copy(read_set(belt)[0].path, live / "known.png")
    out = tmp_path_factory.mktemp("out")
    done, told = coverage(folder, out, "--live", str(live))
    assert done.exit_code == 0, done.error
    return done, told, out


def test_repeats_are_counted(report):
    assert report[1]["copies"] == {"pairs": 8, "repeated": 8, "share": round(8 / 52, 4)}
    assert any("repeat another one: collect by change" in line for line in report[1]["next"])


def test_groups_are_the_folders_of_a_plain_tree(report):
    assert report[1]["groups"]["pictures"] == {"monday": 44, "tuesday": 8}
    assert 1 < report[1]["groups"]["as_even_as"] < 2
    assert any("tuesday. Collect more" in line for line in report[1]["next"])


def test_live_pictures_that_the_pool_does_not_know_are_shown(report):
    done, told, out = report
    assert told["covered"]["live"] == {"pictures": 4, "share": 0.25}
    assert told["next"][0].startswith("Only 25% of the live pictures resemble")
    page = (out / "coverage.html").read_text()
    assert page.count("live, ") == 3 and "noise-0.png" in page and "known.png" not in page
    assert told["next"][0] in done.output


def test_a_balanced_pool_lacks_nothing(report):
    even = report[1] | {"covered": {}, "copies": {"share": 0.0}, "groups": balance(["a"] * 20 + ["b"] * 20)}
    assert advice(even) == ["Nothing is conspicuously missing from the pool."]
    assert even["groups"]["as_even_as"] == 2


def test_different_pictures_count_and_repeats_do_not():
    basis = np.eye(6, 40, dtype=np.float32)
    assert different(np.repeat(basis, 5, axis=0)) == pytest.approx(5, abs=0.01)  # six points span five directions
    assert different(np.repeat(basis[:2], 15, axis=0)) == pytest.approx(1, abs=0.01)


def test_the_nearest_of_the_same_pictures_is_another_one():
    seen = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert nearest_of(seen, seen, apart=True) == pytest.approx([0, 0, 1])
    assert nearest_of(seen[2:], seen) == pytest.approx([0])


def test_three_pictures_an_empty_folder_and_a_broken_picture_are_one_line(belt, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    assert "holds no pictures" in str(coverage(few, tmp_path / "out")[0].error)
    for picture in read_set(belt)[:3]:
        shutil.copy(picture.path, few)
    assert "3 pictures are too few" in str(coverage(few, tmp_path / "out")[0].error)
    for picture in read_set(belt)[:12]:
        shutil.copy(picture.path, few)
    (few / "broken.png").write_bytes(b"no picture")
    done, _ = coverage(few, tmp_path / "out")
    assert done.exit_code == 78 and "broken.png" in str(done.error)
