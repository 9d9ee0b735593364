"""Ranges that rest on a few calibration pictures are told, and what another draw of these would do to scores."""

import numpy as np
import pytest

from calibration.evidence import Judged
from compile.quantize import RECIPES, TENSORRT, X86, quantize
from compile.ranges import Extremes, measure
from compile.stability import UNSTABLE, stability
from edge.pixels import to_input
from edge.records import Kind
from tests.compile.students import SPEC, picture, student

NAMES = [f"{number}.png" for number in range(100)]


def extremes(high, low=None):
    high = np.asarray(high, np.float32)
    return Extremes(tuple(f"t{n}" for n in range(high.shape[1])), np.zeros_like(high) if low is None else low, high)


def asked(known, moved=0.0):
    """The stability of these extremes, where the scores of a bad draw are off by so much; and that draw."""
    drawn = []

    def judge(other):
        drawn.append(other)
        return [Judged("a.png", "ok", "a", 0.5 + moved, Kind.PASS)]

    told = stability(known, NAMES, [Judged("a.png", "ok", "a", 0.5, Kind.PASS)], judge, 1)
    return told, drawn[0]


def test_a_range_that_one_picture_makes_is_unstable_and_the_picture_named():
    high = np.ones((100, 2))
    high[37, 1] = 4.0
    told, bad = asked(extremes(high))
    assert (told.draws["t0"].share, told.draws["t1"].share) == (1.0, 0.25)
    assert told.draws["t1"].picture == "37.png"
    assert bad.widths()[1] == 1.0, "scores are asked with the narrow range"
    assert told.unstable(["t0", "t1"]) == ["t1"]
    assert told.sentence(["t0", "t1"]) == (
        "1 of 2 ranges rest on a few of the 100 calibration pictures: 1 of 20 other draws leaves less than 80% of the "
        "width, t1 25% (37.png); with such ranges scores of 1 calibration pictures move by 0.0000 at most: calibrate "
        "with more pictures like these"
    )


def test_a_range_that_many_pictures_share_is_stable():
    told, _ = asked(extremes(np.linspace(0.9, 1, 100)[:, None]))
    assert told.draws["t0"].share > 0.99 and not told.amiss(["t0"])
    assert told.sentence(["t0"]).startswith(
        "in 19 of 20 other draws of the 100 calibration pictures each range keeps at"
    )


@pytest.mark.parametrize(("top", "share"), [(1, 0.5), (2, 0.5), (5, 1.0)])
def test_pictures_that_one_draw_of_twenty_lacks_do_not_hold_a_range(top, share):
    """A draw lacks the farthest picture in 37 %, the farthest two in 13 %, the farthest five in 0.6 % of cases."""
    high = np.full((100, 1), 0.5)
    high[:top] = 1.0
    assert asked(extremes(high))[0].draws["t0"].share == share


def test_the_lower_end_counts_too_and_zero_is_always_within():
    low = np.full((100, 1), -1.0, np.float32)
    low[3] = -9.0
    told, _ = asked(extremes(np.full((100, 1), -0.5), low))
    assert told.draws["t0"].picture == "3.png"
    assert told.draws["t0"].share == pytest.approx(1 / 9)


def test_a_tensor_that_is_always_zero_is_stable_and_scores_that_move_are_amiss():
    still, _ = asked(extremes(np.zeros((100, 1))))
    assert still.draws["t0"].share == 1.0 and not still.amiss(["t0"])
    assert asked(extremes(np.zeros((100, 1))), moved=0.06)[0].amiss(["t0"])


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(5)
    return [to_input(picture(rng, 90 if number == 4 else 20), SPEC) for number in range(12)]


@pytest.mark.parametrize("shape", [X86, TENSORRT])
def test_ranges_that_were_measured_before_give_the_same_model(inputs, shape):
    known = measure(student(), inputs)
    assert known.low.shape == (12, len(known.names))
    assert quantize(student(), inputs, RECIPES[0], shape, known) == quantize(student(), inputs, RECIPES[0], shape)
    narrow = known.drawn(np.array([0, 1, 2]))
    assert quantize(student(), inputs, RECIPES[0], shape, narrow) == quantize(
        student(), inputs[:3], RECIPES[0], shape
    )
    assert quantize(student(), inputs, RECIPES[0], shape, narrow) != quantize(student(), inputs, RECIPES[0], shape)


def test_the_one_bright_spot_is_found_in_a_student(inputs):
    told = stability(measure(student(), inputs), NAMES[:12], [], lambda other: [], 1)
    assert told.draws["r3"].share < UNSTABLE
    assert told.draws["r3"].picture == "4.png"
