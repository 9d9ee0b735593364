"""A frame that shows nothing, or the past, may not be judged."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge import options
from edge.capture.appraisal import focus_of, grey
from edge.capture.belt import BeltCamera
from edge.capture.quality import FrameCheck
from edge.clock import SECOND, ManualClock
from edge.records import Reason


def noisy(seed: int, shape: tuple[int, ...] = (120, 160, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 190, shape, np.uint8)


def test_pictures_that_differ_may_be_judged() -> None:
    check = FrameCheck()
    assert [check.check(noisy(seed)) for seed in range(3)] == [Reason.NONE] * 3


@pytest.mark.parametrize("level", [0, 15, 250, 255])
def test_a_black_or_saturated_picture_is_bad(level: int) -> None:
    assert FrameCheck().check(np.full((120, 160, 3), level, np.uint8)) == Reason.BAD_FRAME


def test_a_dark_belt_with_a_lit_part_is_no_black_picture() -> None:
    image = np.full((120, 160, 3), 5, np.uint8)
    image[40:80, 60:100] = 120
    assert FrameCheck().check(image) == Reason.NONE


@pytest.mark.parametrize(
    "image",
    [
        noisy(1).astype(np.uint16),
        np.zeros((0, 0, 3), np.uint8),
        noisy(1, (120, 160, 4)),
        noisy(1, (160,)),
        noisy(1, (120, 160, 1)),
    ],
)
def test_what_is_no_8_bit_picture_is_bad(image: np.ndarray) -> None:
    assert FrameCheck().check(image) == Reason.BAD_FRAME


def test_the_first_picture_sets_the_shape() -> None:
    check = FrameCheck()
    assert check.check(noisy(1)) == Reason.NONE
    assert check.check(noisy(2, (60, 80, 3))) == Reason.BAD_FRAME
    assert check.check(noisy(3, (120, 160))) == Reason.BAD_FRAME
    assert check.check(noisy(4)) == Reason.NONE


def test_a_frozen_camera_is_noticed_at_its_second_picture() -> None:
    check = FrameCheck()
    assert [check.check(noisy(seed)) for seed in (1, 2, 2, 2, 3)] == [
        Reason.NONE,
        Reason.NONE,
        Reason.STALE_FRAME,
        Reason.STALE_FRAME,
        Reason.NONE,
    ]


def test_a_frozen_camera_that_writes_into_one_buffer_is_noticed_too() -> None:
    check, image = FrameCheck(), noisy(1)
    assert check.check(image) == Reason.NONE
    assert check.check(image) == Reason.STALE_FRAME
    image[:] = noisy(2)
    assert check.check(image) == Reason.NONE


def test_replayed_pictures_may_repeat() -> None:
    check = FrameCheck(repeats_are_stale=False)
    assert [check.check(noisy(1)) for _ in range(3)] == [Reason.NONE] * 3


def test_replayed_pictures_may_differ_in_size() -> None:
    check = FrameCheck(sizes_may_differ=True)
    assert check.check(noisy(1)) == Reason.NONE
    assert check.check(noisy(2, (60, 80, 3))) == Reason.NONE


def belt_part() -> np.ndarray:
    """A part of the simulated belt under its camera."""
    clock = ManualClock(SECOND)
    camera = BeltCamera(options.BeltCamera(kind="belt", name="top", width=320, height=240, noise=2), clock)
    camera.open()
    frame = None
    while frame is None:
        frame = camera.read(1.0)
    return frame.image.copy()


def moved(image: np.ndarray, pixels: int) -> np.ndarray:
    """As the belt's movement during the exposure smears it."""
    return np.asarray(cv2.blur(image, (pixels, 1)), np.uint8)


def test_a_blurred_picture_is_bad_where_the_camera_asks_for_it() -> None:
    sharp = belt_part()
    asked = focus_of(grey(sharp)) / 2
    check = FrameCheck(repeats_are_stale=False, focus_min=asked)
    assert check.check(sharp) == Reason.NONE
    assert check.check((sharp * 0.6).astype(np.uint8)) == Reason.NONE, "dim is not blurred"
    assert check.check(np.asarray(cv2.GaussianBlur(sharp, (0, 0), 2.0), np.uint8)) == Reason.BAD_FRAME
    assert check.check(moved(sharp, 9)) == Reason.BAD_FRAME
    assert FrameCheck().check(moved(sharp, 9)) == Reason.NONE, "nobody asked"


def test_grey_pictures_are_as_sharp_as_coloured_ones() -> None:
    sharp = grey(belt_part())
    check = FrameCheck(repeats_are_stale=False, focus_min=focus_of(sharp) / 2)
    assert check.check(sharp) == Reason.NONE
    assert check.check(moved(sharp, 9)) == Reason.BAD_FRAME
