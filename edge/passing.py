"""From the edges of a photo-eye and the frames of a camera to the time that lies between them; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.clock import MS
from edge.section import Axis

CELLS = 64  # the picture is looked at in so many cells each way
DIFFERS = 0.15  # a cell shows the part when its level differs by so much from the empty belt's
SMALLEST = 0.002  # share of the cells that a part covers at least
ALL_IN_VIEW = 0.15  # nearer to the border a part is cut off, and its middle is not the middle of what is seen
LEAST = 3  # frames that show it
CROSSES = 0.25  # of the picture, at least
UNSTEADY = 0.05  # of the picture: a part that is so far from where its speed would have it is not one part alone

Cells: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """One frame, as cells of mean grey levels, and when it was captured."""

    cells: Cells
    at_ns: int
    err_ns: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One passing: how long after the edge the picture was, by how much both may err, and how many counts the belt
    travelled meanwhile, where an encoder measures it."""

    delay_ns: int
    err_ns: int
    counts: float | None = None


@dataclass(frozen=True, slots=True)
class Delay:
    """The delay of several passings in ms: their median, how far the farthest is from it, and the errors that the
    devices state of their times. The same in counts of the belt's travel, where an encoder measured one passing."""

    count: int
    median_ms: float
    spread_ms: float
    err_ms: float
    median_counts: float | None = None
    spread_counts: float = 0.0


def glance(image: NDArray[np.uint8], at_ns: int, err_ns: int) -> Glance:
    """A frame as it is kept; image: uint8 H x W x 3 or H x W."""
    small = cv2.resize(image, (CELLS, CELLS), interpolation=cv2.INTER_AREA).astype(np.float32)
    return Glance(small if small.ndim == 2 else small.mean(axis=2), at_ns, err_ns)


def place(cells: Cells, belt: Cells, axis: Axis) -> float | None:
    """Where along the belt's travel the part is, 0 to 1 of the picture; None where it shows none."""
    light = float(np.median(cells + 1.0) / np.median(belt + 1.0))
    differing = np.abs(cells - belt * light) > DIFFERS * (belt * light + 1.0)
    if differing.mean() < SMALLEST:
        return None
    along = differing.sum(axis=0 if axis == "x" else 1)
    return float(((np.arange(CELLS) + 0.5) * along).sum() / along.sum() / CELLS)


def middle_of(edge_ns: int, edge_err_ns: int, frames: Sequence[Glance], axis: Axis) -> Sample | None:
    """When a part, which came at the edge, was in the picture's middle; None where it did not cross it steadily.

    `frames` show nothing but this part, and in more than half of them the empty belt.
    """
    if not frames:
        return None
    belt = np.median([frame.cells for frame in frames], axis=0)
    seen = [
        (frame, where)
        for frame in frames
        if (where := place(frame.cells, belt, axis)) is not None and ALL_IN_VIEW < where < 1 - ALL_IN_VIEW
    ]
    if len(seen) < LEAST or len(seen) > len(frames) / 2:
        return None
    times = np.array([frame.at_ns - edge_ns for frame, _ in seen], np.float64)
    places = np.array([where for _, where in seen])
    speed, start = np.polyfit(times, places, 1)
    steady = np.abs(start + speed * times - places).max() < UNSTEADY
    if not steady or abs(places[-1] - places[0]) < CROSSES:
        return None
    return Sample(round((0.5 - start) / speed), edge_err_ns + max(frame.err_ns for frame, _ in seen))


def only_frame(edge_ns: int, edge_err_ns: int, frames: Sequence[Glance]) -> Sample | None:
    """The frame that a triggered camera took at this edge; None when there is none or more than one."""
    if len(frames) != 1:
        return None
    return Sample(frames[0].at_ns - edge_ns, edge_err_ns + frames[0].err_ns)


def delay_of(samples: Sequence[Sample]) -> Delay:
    """The samples, of which there is at least one, as one figure."""
    median_ns, spread_ns = _middle([sample.delay_ns for sample in samples])
    err_ns = max(sample.err_ns for sample in samples)
    counts = [sample.counts for sample in samples if sample.counts is not None]
    travel, spread = _middle(counts) if counts else (None, 0.0)
    return Delay(len(samples), median_ns / MS, spread_ns / MS, err_ns / MS, travel, spread)


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """The median, and how far the farthest is from it."""
    median = float(np.median(values))
    return median, max(abs(value - median) for value in values)


def window_ms(delay: Delay, frame_ms: float) -> float:
    """A window with half as much again: for the spread, and half a frame's time of a camera that runs freely (0: of a
    triggered one). Stated errors are no part of a window: the pairing adds them."""
    return max(1.0, math.ceil(3.0 * (delay.spread_ms + frame_ms / 2)) / 2)


def stretched(delay: Delay, share: float) -> Delay:
    """The delay to a place that is `share` times as far, at the same speed; its counts are true at any speed."""
    counts = None if delay.median_counts is None else delay.median_counts * share
    return Delay(
        delay.count,
        delay.median_ms * share,
        delay.spread_ms * share,
        delay.err_ms * share,
        counts,
        delay.spread_counts * share,
    )
