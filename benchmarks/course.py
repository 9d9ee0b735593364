"""A run for drawing: how its times are spread, and how they went from round to round."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from edge.clock import MS
from edge.timing import Series

BINS = 48
APART = 1.05
ONE_SIDED = 0.95  # of all pairs of a moment of the first and one of the last third: by chance in one run of sixty
LEAST_OF_A_THIRD = 4


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
class Steadiness:
    """Whether a run had settled: the medians of the first and the last third of its moments, and their ratio.

    `is_steady` is None where the run is too short to say, and True also where scatter hides what drifts.
    """

    first_ms: float
    last_ms: float
    ratio: float
    is_steady: bool | None

    def unsteady_by(self) -> float:
        """How far it is from steady: 0 where it is."""
        return 0.0 if self.is_steady else abs(math.log(self.ratio))


def steadiness(times_ms: Sequence[float]) -> Steadiness:
    """Of the moments' times in their order, at least one. It is not steady where first and last third lie apart by more
    than APART, and nearly every moment of the one above nearly every moment of the other: neither a small shift nor
    scatter is a drift."""
    third = max(1, len(times_ms) // 3)
    first, last = times_ms[:third], times_ms[-third:]
    ratio = median(last) / median(first)
    rising = sum((late > early) + (late == early) / 2 for late in last for early in first) / third**2
    is_steady = None
    if third >= LEAST_OF_A_THIRD:
        is_steady = 1 / APART <= ratio <= APART or 1 - ONE_SIDED < rising < ONE_SIDED
    return Steadiness(round(median(first), 4), round(median(last), 4), round(ratio, 4), is_steady)


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
