"""From what the engine says to a verdict: pure, and whatever is not a clean low score does not pass."""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Kind, Reason, Scores

Decision = tuple[Kind, Reason]

CLEAR = 0.25  # of the way from the threshold to 1: a defect scored above that has a clear margin


def judge(scores: Scores, threshold: float, shape: tuple[int, int]) -> Decision:
    """The decision for one view.

    `shape` is the heat map's rows and columns (network input / 8). A score, heat map or class score that is not
    finite, a score outside [0, 1] or a heat map of another shape is UNKNOWN (BAD_SCORE); a score that is not below
    `threshold` is REJECT (DEFECT).
    """
    if not _sound(scores, shape):
        return Kind.UNKNOWN, Reason.BAD_SCORE
    # asked this way round, a threshold that is not a number rejects
    return (Kind.PASS, Reason.NONE) if scores.score < threshold else (Kind.REJECT, Reason.DEFECT)


def has_clear_margin(score: float, threshold: float) -> bool:
    """Whether a score is so far above the threshold that no other computer may turn it into a PASS."""
    return score >= threshold + CLEAR * (1 - threshold)


def _sound(scores: Scores, shape: tuple[int, int]) -> bool:
    score = scores.score
    if not math.isfinite(score) or not 0.0 <= score <= 1.0 or scores.heat_map.shape != shape:
        return False
    return _finite(scores.heat_map) and _finite(scores.class_scores)


def _finite(values: NDArray[np.float32]) -> bool:
    """In one call that makes no array: after an inference the caches are cold, and this is on every part's way."""
    return bool(cv2.checkRange(values)[0])


def worst(decisions: Iterable[Decision]) -> Decision:
    """The decision for a part over all its views: UNKNOWN beats REJECT beats PASS, the first of the worst wins.

    No view at all is UNKNOWN (NO_FRAME).
    """
    return max(decisions, key=lambda decision: decision[0], default=(Kind.UNKNOWN, Reason.NO_FRAME))
