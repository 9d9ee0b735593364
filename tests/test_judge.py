"""Only a clean score below the threshold passes; over several views the worst decides."""

import math

import numpy as np
import pytest

from edge.judge import judge, worst
from edge.records import Kind, Reason, Scores

SHAPE = (4, 6)
NONE = np.zeros(0, np.float32)
BAD = (Kind.UNKNOWN, Reason.BAD_SCORE)


def scores(score: float, heat: float = 0.0, classes: float = 0.0) -> Scores:
    return Scores(score, np.full(SHAPE, heat, np.float32), NONE, np.full(3, classes, np.float32))


def test_a_score_below_the_threshold_passes() -> None:
    assert judge(scores(0.49), 0.5, SHAPE) == (Kind.PASS, Reason.NONE)


@pytest.mark.parametrize("score", [0.5, 0.51, 1.0])
def test_a_score_that_reaches_the_threshold_is_a_defect(score: float) -> None:
    assert judge(scores(score), 0.5, SHAPE) == (Kind.REJECT, Reason.DEFECT)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, -0.001, 1.001])
def test_a_score_outside_nought_to_one_is_unknown(score: float) -> None:
    assert judge(scores(score), 0.5, SHAPE) == BAD


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_heat_map_or_class_score_that_is_not_finite_is_unknown(value: float) -> None:
    assert judge(scores(0.1, heat=value), 0.5, SHAPE) == BAD
    assert judge(scores(0.1, classes=value), 0.5, SHAPE) == BAD


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_cell_or_class_that_is_not_finite_is_enough(value: float) -> None:
    for place in range(SHAPE[0] * SHAPE[1]):
        seen = scores(0.1)
        seen.heat_map.flat[place] = value
        assert judge(seen, 0.5, SHAPE) == BAD
    for place in range(3):
        seen = scores(0.1)
        seen.class_scores[place] = value
        assert judge(seen, 0.5, SHAPE) == BAD


@pytest.mark.parametrize("value", [-1e38, -1.0, 2.0, 1e38])
def test_what_is_finite_is_sound_without_defect_classes_too(value: float) -> None:
    seen = Scores(0.1, np.full(SHAPE, value, np.float32), NONE, NONE)
    assert judge(seen, 0.5, SHAPE) == (Kind.PASS, Reason.NONE)


def test_a_heat_map_of_another_shape_is_unknown() -> None:
    assert judge(scores(0.1), 0.5, (6, 4)) == BAD


def test_a_threshold_that_is_not_a_number_never_passes() -> None:
    assert judge(scores(0.0), math.nan, SHAPE) == (Kind.REJECT, Reason.DEFECT)


def test_the_worst_view_decides_and_its_reason_stays() -> None:
    good = (Kind.PASS, Reason.NONE)
    defect = (Kind.REJECT, Reason.DEFECT)
    late = (Kind.UNKNOWN, Reason.LATE)
    assert worst([good, good]) == good
    assert worst([good, defect]) == defect
    assert worst([defect, late, BAD, good]) == late


def test_no_view_at_all_is_unknown() -> None:
    assert worst([]) == (Kind.UNKNOWN, Reason.NO_FRAME)
