"""Copies of one exposure are found however they were saved, and parts that merely look alike are not copies."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from calibration.copies import copies, joined, looks, refuse_copies, refuse_copies_between
from edge.capture.belt import draw_set
from edge.capture.belt_drawing import Look
from edge.errors import ConfigError
from edge.picture_set import Picture, read_image, read_set

COUNT = 30


def part(seed):
    """A part of a series: every one has the same shape, and a grain and a sensor noise of its own."""
    draw = np.random.default_rng(seed)
    picture = np.full((160, 200, 3), 60, np.float32)
    cv2.circle(picture, (100, 80), 60, (150, 150, 150), -1)
    picture += cv2.GaussianBlur(draw.normal(0, 60, (160, 200, 1)).astype(np.float32), (0, 0), 3)[..., None]
    picture += draw.normal(0, 2, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def stored(folder, name, image, group="", suffix=".png"):
    path = folder / f"{name}{suffix}"
    cv2.imencode(suffix, image)[1].tofile(path)
    return Picture(path, "ok", group or name, None, name)


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    return [stored(folder, f"part-{seed:02d}", part(seed)) for seed in range(COUNT)]


def found(pictures):
    return [(pair.first.name, pair.second.name) for pair in copies(pictures, looks(pictures))]


def jpeg(image, quality=50):
    return cv2.imdecode(cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1], cv2.IMREAD_COLOR)


SAVED = {
    "the same pixels": lambda image: image,
    "as JPEG": jpeg,
    "smaller": lambda image: cv2.resize(image, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA),
    "larger": lambda image: cv2.resize(image, None, fx=1.7, fy=1.7, interpolation=cv2.INTER_CUBIC),
    "brighter": lambda image: cv2.convertScaleAbs(image, alpha=1.2, beta=8),
    "darker": lambda image: cv2.convertScaleAbs(image, alpha=0.6),
    "with another gamma": lambda image: (255 * (image / 255.0) ** 0.8).astype(np.uint8),
    "grey": lambda image: cv2.cvtColor(image, cv2.COLOR_BGR2GRAY),
    "all at once": lambda image: jpeg(cv2.convertScaleAbs(cv2.resize(image, (160, 128)), alpha=1.1)),
}


@pytest.mark.parametrize("how", SAVED)
def test_a_copy_is_found_and_nothing_else(series, tmp_path, how):
    planted = stored(tmp_path, "planted", SAVED[how](read_image(series[7].path)))
    assert found([*series, planted]) == [("part-07", "planted")]


def test_parts_that_look_alike_are_no_copies(series, tmp_path):
    assert found(series) == []
    draw_set(tmp_path, 60, Look(5, 128, 128), 0.3)
    belt = read_set(tmp_path)
    assert found([replace(picture, group=picture.name) for picture in belt]) == []


def test_copies_within_one_group_leak_nothing(series, tmp_path):
    planted = stored(tmp_path, "planted", read_image(series[7].path), group="part-07")
    assert found([*series, planted]) == []


@pytest.mark.parametrize("times", [2, 3, 4, 6])
def test_a_set_that_is_full_of_copies_hides_none(series, tmp_path, times):
    planted = [
        stored(tmp_path, f"copy-{n:02d}-{quality}", jpeg(read_image(one.path), quality))
        for n, one in enumerate(series)
        for quality in range(50, 50 + 5 * (times - 1), 5)
    ]
    known = [*series, *planted]
    one_group = joined(known, copies(known, looks(known)))
    for n, one in enumerate(series):
        kin = {one_group.get(each.group, each.group) for each in known if each.name[5:7] == f"{n:02d}"}
        assert len(kin) == 1, f"all copies of {one.name} are known"
    assert len(set(one_group.values())) == COUNT, "and no two exposures are one"


def test_pictures_without_anything_in_them_are_compared_too(tmp_path):
    flat = [
        stored(tmp_path, f"flat-{n}", np.full((20 + n, 30, 3), level, np.uint8))
        for n, level in enumerate((0, 0, 80))
    ]
    again = stored(tmp_path, "again", np.full((20, 30, 3), 0, np.uint8))
    assert ("flat-0", "again") in found([*flat, again])


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_few_pictures_are_no_trouble(series, count):
    assert found(series[:count]) == []


def test_the_pairs_are_shown_with_what_to_do(series, tmp_path):
    planted = stored(tmp_path, "planted", jpeg(read_image(series[7].path)))
    with pytest.raises(ConfigError, match=r"1 pairs .*\(part-07 = planted\).* one group in labels.csv"):
        refuse_copies(copies([*series, planted], looks([*series, planted])))
    refuse_copies([])


def test_a_copy_of_a_training_picture_does_not_get_into_the_acceptance_set(series, tmp_path):
    planted = stored(tmp_path, "planted", jpeg(read_image(series[3].path)))
    with pytest.raises(
        ConfigError, match=r"1 acceptance pictures are copies .* for training \(part-03 = planted\)"
    ):
        refuse_copies_between(series[:20], [*series[20:], planted], "training")
    refuse_copies_between(series[:20], series[20:], "training")
