"""How well heat maps show where a defect is: the average precision of pixels, held against masks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.picture_set import GOOD, Picture, read_mask
from edge.pixels import InputSpec, mask_to_input

BINS = 1_024
_SURE = 12.0  # of the logit: pixels beyond are ranked alike

Counts = NDArray[np.int64]


def counted(heat_map: NDArray[np.float32], picture: Picture, size: tuple[int, int], spec: InputSpec) -> Counts:
    """How many pixels of a picture have each heat, int64 2 x BINS: those of the mask, then the others.

    heat_map: float32 H/8 x W/8 in [0, 1], drawn on the network's input in between its cells. size: the picture's height
    and width. All zero for a defect without a mask. Raises ConfigError where the mask does not fit.
    """
    if picture.mask is None and picture.label != GOOD:
        return np.zeros((2, BINS), np.int64)
    inside = mask_to_input(read_mask(picture, *size), spec) != 0
    heat = np.clip(cv2.resize(heat_map, (spec.width, spec.height), interpolation=cv2.INTER_LINEAR), 1e-7, 1 - 1e-7)
    logit = np.clip(np.log(heat / (1 - heat)), -_SURE, _SURE)
    place = ((logit + _SURE) * ((BINS - 1) / (2 * _SURE))).astype(np.int64)
    return np.stack([np.bincount(place[side], minlength=BINS) for side in (inside, ~inside)])


def pixel_precision(counts: Counts, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The average precision of the pixels of N pictures (`counts`: N x 2 x BINS), once for each row of `weights` (B x
    N); NaN where a row leaves no pixel of a defect."""
    found, raised = (np.cumsum((weights @ counts[:, side])[:, ::-1], axis=1) for side in (0, 1))
    steps = np.diff(found, axis=1, prepend=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((steps * found / np.maximum(found + raised, 1e-12)).sum(1) / found[:, -1], np.float64)
