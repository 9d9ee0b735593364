"""Where a part's time goes: stage durations in fixed memory, and the percentiles that report and bench share."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from edge.clock import MS

STAGES = (
    "trigger_to_frame",
    "queued",
    "pixels",
    "engine",
    "judge",
    "overhead",
    "occupied",
    "capture_to_verdict",
    "capture_to_release",
)
_RANKS = (("p50", 0.50), ("p90", 0.90), ("p99", 0.99), ("p999", 0.999))
CAPACITY = 65_536
_BOUNDS_MS = (0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1_000)
BOUNDS_NS = tuple(round(bound * MS) for bound in _BOUNDS_MS)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of sorted values: the smallest one that `share` of them do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Series:
    """Integers in fixed memory: the newest `capacity` for percentiles; count, sum, maximum and a histogram over all.

    `bins` counts the values up to each of the `bounds`, above the one before, and last those beyond. One thread adds;
    any thread may read.
    """

    def __init__(self, capacity: int = CAPACITY, bounds: Sequence[int] = ()) -> None:
        self.bounds = bounds
        self.bins = array("Q", bytes(8 * (len(bounds) + 1)))
        self.total = 0
        self._values = array("q", bytes(8 * capacity))
        self._capacity = capacity
        self._longest = 0
        self.count = 0

    def add(self, value: int) -> None:
        self.bins[bisect_left(self.bounds, value)] += 1
        self.total += value
        self._values[self.count % self._capacity] = value
        self._longest = value if self.count == 0 else max(value, self._longest)
        self.count += 1

    def newest(self, limit: int = CAPACITY) -> list[int]:
        """Up to `limit` of the newest values, sorted by size."""
        held = min(self.count, self._capacity)
        if held == self._capacity and limit >= held:
            return sorted(self._values)
        last = self.count % self._capacity
        first = last - min(limit, held)
        if first >= 0:
            return sorted(self._values[first:last])
        return sorted(self._values[first:] + self._values[:last])

    @classmethod
    def of(cls, several: Sequence[Series]) -> Series:
        """What several have seen, in one that nobody adds to any more and that has no histogram."""
        joined = cls(0)
        for series in [series for series in several if series.count]:
            joined._values += array("q", series.newest())
            joined._longest = max(joined._longest, series._longest) if joined.count else series._longest
            joined.count += series.count
        joined._capacity = len(joined._values)
        return joined

    def summary(self, unit: float) -> dict[str, float | None]:
        """p50, p90, p99, p999 and max in `unit`s; None while nothing was measured."""
        ordered = self.newest(self._capacity)
        if not ordered:
            return dict.fromkeys([name for name, _ in _RANKS] + ["max"])
        ranks: dict[str, float | None] = {
            name: round(percentile(ordered, share) / unit, 4) for name, share in _RANKS
        }
        return ranks | {"max": round(self._longest / unit, 4)}


@dataclass(slots=True)
class Stamps:
    """When one view went through the stages, CLOCK_MONOTONIC ns; filled in as it goes."""

    born_ns: int = 0
    captured_ns: int = 0
    ready_ns: int = 0  # the frame was in memory and its part known
    taken_ns: int = 0  # the inference thread took it up
    pixels_ns: int = 0  # its pixels stand in the engine's input
    engine_ns: int = 0  # the engine answered
    judged_ns: int = 0


class Timing:
    """The durations of every stage of every part; `overhead` is what the runtime adds to pixels and engine, `queued`
    the wait of a frame whose part is known for the inference thread, `occupied` what a frame takes of that thread in
    all, which bounds the rate."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._series = {stage: Series(capacity, BOUNDS_NS) for stage in STAGES}

    @classmethod
    def of(cls, several: Sequence[Timing]) -> Timing:
        """What several have seen, in one that nobody adds to any more."""
        joined = cls(0)
        joined._series = {stage: Series.of([each._series[stage] for each in several]) for stage in STAGES}
        return joined

    def view(self, stamps: Stamps) -> None:
        """One view was judged."""
        add = self._series
        add["trigger_to_frame"].add(stamps.captured_ns - stamps.born_ns)
        add["queued"].add(stamps.taken_ns - stamps.ready_ns)
        add["pixels"].add(stamps.pixels_ns - stamps.taken_ns)
        add["engine"].add(stamps.engine_ns - stamps.pixels_ns)
        add["judge"].add(stamps.judged_ns - stamps.engine_ns)
        add["overhead"].add(stamps.judged_ns - stamps.ready_ns - (stamps.engine_ns - stamps.taken_ns))

    def free(self, taken_ns: int, free_ns: int) -> None:
        """The inference thread, which took the view up at `taken_ns`, is free for the next one."""
        self._series["occupied"].add(free_ns - taken_ns)

    def decided(self, captured_ns: int, decided_ns: int) -> None:
        """A part got its verdict; `captured_ns` is its last view's."""
        self._series["capture_to_verdict"].add(decided_ns - captured_ns)

    def released(self, captured_ns: int, released_ns: int) -> None:
        """A part's release was sent."""
        self._series["capture_to_release"].add(released_ns - captured_ns)

    def summary(self) -> dict[str, dict[str, float | None]]:
        """Stage -> {n, p50, p90, p99, p999, max} in milliseconds, None where nothing was measured."""
        return {stage: {"n": series.count} | series.summary(MS) for stage, series in self._series.items()}

    def series(self, stage: str) -> Series:
        """All that was seen of one of STAGES."""
        return self._series[stage]

    def recent_ms(self, stage: str, share: float, newest: int = 512) -> float | None:
        """A percentile over the newest parts; cheap enough for a live table."""
        ordered = self._series[stage].newest(newest)
        return percentile(ordered, share) / MS if ordered else None
