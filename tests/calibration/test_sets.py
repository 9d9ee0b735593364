"""Acceptance pictures stay locked, and calibration pictures are a fair sample with defects in it."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.leaks import refuse_leaks, seen_in, set_hash
from calibration.sample import sample
from edge.errors import ConfigError
from edge.picture_set import Picture


def stored(folder, name, value, group="", suffix=".png"):
    path = folder / f"{name}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imencode(suffix, np.full((8, 8, 3), value, np.uint8))[1].tofile(path)
    return Picture(path, "ok", group or name, None, name)


def test_a_picture_that_was_seen_is_found_under_any_name_and_in_any_file(tmp_path):
    seen = seen_in([stored(tmp_path / "train", "a", 1), stored(tmp_path / "train", "b", 2)])
    refuse_leaks(seen, [stored(tmp_path / "accept", "a", 3)], "training")
    with pytest.raises(ConfigError, match=r"1 acceptance pictures were used for training too \(c\)"):
        refuse_leaks(seen, [stored(tmp_path / "accept", "c", 2, suffix=".bmp")], "training")


def test_a_group_is_never_split(tmp_path):
    seen = seen_in([stored(tmp_path / "train", "a", 1, "lot-1")])
    with pytest.raises(ConfigError, match=r"^lot-1 of the acceptance set were used for calibration too"):
        refuse_leaks(seen, [stored(tmp_path / "accept", "b", 9, "lot-1")], "calibration")


def test_the_hash_of_a_set_is_that_of_its_pictures_and_labels(tmp_path):
    a, b = stored(tmp_path / "x", "a", 1), stored(tmp_path / "x", "b", 2)
    again = stored(tmp_path / "y", "other", 1, suffix=".bmp")
    relabelled = Picture(a.path, "dent", a.group, None, a.name)
    assert set_hash([a, b]) == set_hash([b, again])
    assert len({set_hash([a]), set_hash([b]), set_hash([relabelled]), set_hash([a, a])}) == 4


def pictures(**counts):
    return [
        Picture(Path(f"{label}{n}"), label, f"lot-{n % 5}", None, f"{label}{n}")
        for label, count in counts.items()
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("goods", "defects", "taken"),
    [
        (1_000, 1_000, (150, 150)),
        (1_000, 40, (260, 40)),
        (20, 900, (20, 280)),
        (30, 10, (30, 10)),
        (500, 0, (300, 0)),
    ],
)
def test_half_of_the_sample_are_defects_where_there_are_as_many(goods, defects, taken):
    found = Counter(picture.label for picture in sample(pictures(ok=goods, dent=defects)))
    assert (found["ok"], found["dent"]) == taken


def test_the_same_seed_takes_the_same_pictures_in_the_order_of_the_set():
    known = pictures(ok=900, dent=90)
    first, again, other = sample(known, 50), sample(known, 50), sample(known, 50, seed=2)
    assert first == again
    assert first != other
    assert first == sorted(first, key=known.index)


def test_groups_take_turns_so_that_none_fills_the_sample():
    lopsided = [
        Picture(Path(str(n)), "ok", "lot-a" if n < 950 else f"lot-{n % 4}", None, str(n)) for n in range(1_000)
    ]
    found = Counter(picture.group for picture in sample(lopsided, 50))
    assert set(found.values()) == {10}
