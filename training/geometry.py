"""How large the network's input is: the pictures' own shape, and room for the smallest defects that were masked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.picture_set import Picture, read_image, read_mask

AREA = 256 * 256  # pixels of the input where nothing asks for more: what the public weights were made for
MOST = 640 * 640  # a larger one is slow on the device, and to train
LARGER = 1.36  # from one size that is tried to the next: 256, 352, 480, 640
STEP = 32  # the coarsest stride of a backbone
SLIMMEST = 1 / 4  # the short side by the long one
THICK, WIDE = (
    1.0,
    4.0,
)  # pixels of the input that a defect needs: across its thickest place, and in the root of its area
SMALLEST = 0.1  # the share of the pictures with a defect that may stay below
LOOKED_AT = 300  # pictures

Roi: TypeAlias = tuple[int, int, int, int]  # x, y, width, height


@dataclass(frozen=True, slots=True)
class Geometry:
    """The input's width and height in pixels, and why, in words.

    larger: inputs that may do better, smallest first; only where no mask told how small the defects are.
    """

    width: int
    height: int
    why: str
    larger: tuple[tuple[int, int], ...] = ()


def geometry(pictures: Sequence[Picture], roi: Roi | None) -> Geometry:
    """The input for these pictures, of which a few hundred are looked at, those with a mask first.

    Raises ConfigError that names an unreadable picture, or a mask of another size than its picture.
    """
    looked_at = _spread([picture for picture in pictures if picture.mask], LOOKED_AT)
    looked_at += _spread([picture for picture in pictures if not picture.mask], LOOKED_AT // 10)
    sizes: list[tuple[int, int]] = []
    needs: list[float] = []
    for picture in looked_at:
        height, width = read_image(picture.path, mono=True).shape
        sizes.append((width, height))
        if picture.mask:
            needs += [needed for needed in [_scale_needed(read_mask(picture, height, width), roi)] if needed]
    width, height = roi[2:] if roi else (round(median(side)) for side in zip(*sizes, strict=True))
    return fitted(width, height, needs)


def _spread(pictures: Sequence[Picture], most: int) -> list[Picture]:
    """At most so many of them, evenly over the set."""
    places = np.linspace(0, len(pictures) - 1, min(most, len(pictures))).round().astype(int)
    return [pictures[place] for place in places]


def _scale_needed(mask: NDArray[np.uint8], roi: Roi | None) -> float:
    """By how much this picture may be shrunk (1 = not at all) so that its most visible defect stays one; 0 without."""
    if roi:
        x, y, width, height = roi
        mask = mask[y : y + height, x : x + width]
    if not mask.any():
        return 0.0
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    radius = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    thick = [2 * float(radius[labels == part].max()) - 1 for part in range(1, count)]
    wide = [sqrt(area) for area in stats[1:, cv2.CC_STAT_AREA]]
    return min(max(THICK / across, WIDE / along) for across, along in zip(thick, wide, strict=True))


def fitted(width: int, height: int, needs: Sequence[float]) -> Geometry:
    """The input for pictures of this size whose defects need these scales: pure.

    It keeps the pictures' aspect ratio, to the step of a backbone, and is never larger than they are.
    """
    aspect = min(max(width / height, SLIMMEST), 1 / SLIMMEST)
    usual = sqrt(AREA / (width * height))
    needed = float(np.quantile(needs, 1 - SMALLEST)) if needs else 0.0
    most = sqrt(MOST / (width * height))
    scale = min(max(usual, min(needed, 1.0)), most)
    area = scale**2 * width * height
    input_width, input_height = _stepped(sqrt(area * aspect)), _stepped(sqrt(area / aspect))
    larger = () if needs else tuple(_larger(width, height))
    return Geometry(input_width, input_height, _why(width, height, needs, scale, needed), larger)


def _larger(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Larger inputs than the usual one that pictures of this size fill."""
    aspect = min(max(width / height, SLIMMEST), 1 / SLIMMEST)
    for area in (AREA * LARGER**2, AREA * LARGER**4, MOST):
        side = _stepped(sqrt(area * aspect)), _stepped(sqrt(area / aspect))
        if side[0] <= width and side[1] <= height:
            yield side


def _stepped(side: float) -> int:
    return max(STEP, round(side / STEP) * STEP)


def _why(width: int, height: int, needs: Sequence[float], scale: float, needed: float) -> str:
    shape = f"pictures of {width} x {height} at {scale:.2f} of their size"
    if not needs:
        return f"{shape}; no masks tell how small the defects are, so look at some at that size"
    if needed > scale:
        return (
            f"{shape}; one in ten pictures with a defect needs {needed:.2f} to show it: set --roi around the part, "
            "or a larger --size if the line has the time"
        )
    return f"{shape}, where nine in ten masked defects are seen ({needed:.2f} is enough)"
