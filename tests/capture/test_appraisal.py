"""The figures that a camera is set up by: each moves when its cause does, and only then."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import pytest

from edge.capture.appraisal import (
    Look,
    blur_words,
    flicker,
    flicker_words,
    focus_words,
    light_words,
    likeness_words,
    look_at,
    motion,
    percentiles,
    small,
)
from edge.clock import MS, SECOND


def scene(seed: int = 1, width: int = 640, height: int = 480) -> np.ndarray:
    """Blobs of all sizes, grey levels around 100."""
    noise = np.random.default_rng(seed).normal(0, 1, (height, width)).astype(np.float32)
    layers = sum(cv2.GaussianBlur(noise, (0, 0), size) * size for size in (1.0, 3.0, 9.0))
    return np.clip(100 + 25 * layers, 20, 230).astype(np.uint8)


def looks(images: list[np.ndarray], every_ns: int = 20 * MS) -> list[Look]:
    return [look_at(image, number * every_ns) for number, image in enumerate(images)]


def test_percentiles_are_those_of_numpy() -> None:
    dice = np.random.default_rng(0)
    for _ in range(50):
        levels = dice.integers(dice.integers(0, 250), 256, dice.integers(1, 60, 2)).astype(np.uint8)
        assert percentiles(levels, (0, 1, 5, 50, 99, 100)) == np.percentile(levels, (0, 1, 5, 50, 99, 100)).tolist()


def test_focus_falls_with_blur_and_not_with_light() -> None:
    sharp = scene()
    soft = cv2.GaussianBlur(sharp, (0, 0), 2.0)
    dim = (sharp * 0.6).astype(np.uint8)
    assert look_at(soft, 0).focus < 0.3 * look_at(sharp, 0).focus
    assert look_at(dim, 0).focus == pytest.approx(look_at(sharp, 0).focus, rel=0.1)
    assert "focus" in focus_words(looks([sharp, soft]))


def test_colour_and_grey_say_the_same() -> None:
    image = scene()
    colour = look_at(np.dstack([image] * 3), 0)
    assert colour.mean == pytest.approx(look_at(image, 0).mean, abs=0.5)
    assert colour.focus == pytest.approx(look_at(image, 0).focus, rel=0.05)


def test_one_saturated_channel_is_saturated() -> None:
    image = np.dstack([scene()] * 3)
    image[:200, :, 2] = 255
    assert look_at(image, 0).bright == pytest.approx(200 / 480 / 3, abs=0.01)
    assert "shorten the exposure" in light_words(looks([image]))


@pytest.mark.parametrize(
    ("level", "words"), [(10, "dark; lengthen"), (100, "brightness 100"), (230, "bright; shorten")]
)
def test_exposure_is_told(level: int, words: str) -> None:
    assert words in light_words(looks([np.full((48, 64), level, np.uint8)]))


@pytest.mark.parametrize(("mains", "fps", "beat"), [(100.0, 30.0, 10.0), (120.0, 50.0, 20.0), (100.0, 59.0, 18.0)])
def test_mains_are_known_by_their_beat_with_the_frame_rate(mains: float, fps: float, beat: float) -> None:
    times_s = np.arange(120) / fps
    means = 100 * (1 + 0.1 * np.sin(2 * np.pi * mains * times_s))
    found = flicker(
        [Look(round(at * SECOND), mean, 0, 0, 0, 0, 0) for at, mean in zip(times_s, means, strict=True)]
    )
    assert found is not None and found.is_mains
    assert found.hz == pytest.approx(beat, abs=0.6)
    assert found.share == pytest.approx(0.2, abs=0.03)
    assert "as the mains do" in flicker_words(found)


def test_a_slow_change_is_not_the_mains_and_a_steady_light_no_flicker() -> None:
    def of(means: np.ndarray) -> str:
        series = [Look(number * 33 * MS, float(mean), 0, 0, 0, 0, 0) for number, mean in enumerate(means)]
        return flicker_words(flicker(series))

    slow = 100 + 10 * np.sin(np.arange(120) / 30)
    assert "or by a light that changes" in of(slow)
    assert "flicker: none" in of(100 + np.random.default_rng(1).normal(0, 0.2, 120))
    assert "too few pictures" in of(slow[:20])


@pytest.mark.parametrize(("right", "down"), [(6, 0), (0, -4), (12, 9)])
def test_speed_and_blur_are_seen_in_the_pictures(right: int, down: int) -> None:
    wide = scene(width=1_000, height=700)
    pictures = [wide[100 - down * n : 580 - down * n, 100 - right * n : 740 - right * n] for n in range(7)]
    series = [small(picture, n * 10 * MS) for n, picture in enumerate(pictures)]
    moved = [found for before, after in pairwise(series) if (found := motion(before, after))]
    assert len(moved) == 6
    speed = np.hypot(right, down) * 100
    assert np.median([each.px_per_s for each in moved]) == pytest.approx(speed, rel=0.1)
    blur = re.match(r"motion blur: ([\d.]+) pixels at", blur_words(moved, 500.0))
    assert blur is not None and float(blur[1]) == pytest.approx(speed * 500e-6, rel=0.1, abs=0.01)
    assert "give --exposure-us" in blur_words(moved, None)
    limit = re.search(r"expose for (\d+) us or less", blur_words(moved, 50_000.0))
    assert limit is not None and float(limit[1]) == pytest.approx(1e6 / speed, rel=0.1)


def test_pictures_that_have_nothing_in_common_show_no_motion() -> None:
    assert motion(small(scene(1), 0), small(scene(2), 10 * MS)) is None
    assert "nothing was seen to move" in blur_words([], 500.0)


@pytest.fixture(scope="module")
def learned_looks() -> list[Look]:
    return looks([coloured(seed) for seed in range(6)])


def coloured(seed: int) -> np.ndarray:
    return np.clip(np.dstack([scene(seed) * gain for gain in (0.8, 1.0, 0.9)]), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("spoil", "told", "not_told"),
    [
        (lambda image: image, "as the student learned them", "NOT"),
        (lambda image: image * 0.5, "brightness 4", "focus"),
        (lambda image: cv2.GaussianBlur(image, (0, 0), 3), "focus", "brightness"),
        (lambda image: image * (1.2, 1.0, 1.0), "blue beside green 0.9", "focus"),
        (lambda image: image * (1.0, 1.0, 0.8), "red beside green 0.7", "focus"),
        (lambda image: image * 2.2, "saturated", "blue beside"),
        (lambda image: image * 0.5 + 48, "contrast", "brightness"),
    ],
    ids=["nothing", "less light", "another focus", "a bluer lamp", "a greener lamp", "more exposure", "a veil"],
)
def test_another_light_colour_or_lens_than_the_student_learned_is_told(
    learned_looks: list[Look], spoil: Callable[[np.ndarray], np.ndarray], told: str, not_told: str
) -> None:
    pictures = [np.clip(spoil(coloured(seed)), 0, 255).astype(np.uint8) for seed in (7, 8, 9)]
    words = likeness_words(looks(pictures), learned_looks)
    assert told in words and not_told not in words, words


def test_grey_pictures_have_no_colour_to_differ_in() -> None:
    learned = looks([scene(seed) for seed in range(6)])
    assert "as the student learned them" in likeness_words(looks([scene(9)]), learned)
