"""A run for drawing: how its times are spread, and how they went from round to round."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from edge.clock import MS
from edge.timing import Series

BINS = 48


@dataclass(frozen=True, slots=True)
class Moment:
    """One round of a run: when it began, after the first one's beginning, and its times.

    `engine_p50_ms` is the bare engine's; `p50_ms` and `max_ms` are from picture to verdict at saturation.
    """

    at_s: float
    engine_p50_ms: float
    p50_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """`counts[i]` values lie from `bounds_ms[i]` up to `bounds_ms[i + 1]`, the last one included in the last bin.

    Each bin is wider than the one before by the same factor.
    """

    bounds_ms: list[float]
    counts: list[int]


def histogram(series: Series, bins: int = BINS) -> Histogram:
    """The values that `series` holds, in ns, in `bins` from the least to the most; none where it is empty."""
    values = [max(value, 1) for value in series.newest()]
    if not values:
        return Histogram([], [])
    low, high = values[0], max(values[-1], values[0] + 1)
    step = (high / low) ** (1 / bins)
    bounds = [low * step**number for number in range(bins)]
    counts = [0] * bins
    for value in values:
        counts[bisect_right(bounds, value) - 1] += 1
    return Histogram([round(bound / MS, 6) for bound in (*bounds, high)], counts)
