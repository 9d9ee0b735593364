"""Watches a running station from outside: how its times are spread, how they went, what a part costs, and whether it
was READY all the time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.course import Histogram, Moment, steadiness
from benchmarks.recorder import Span
from edge.clock import MS, SECOND, Clock
from edge.control import Figures
from edge.errors import ControlError
from edge.health import Level
from edge.report import memory_mb

EVERY_S = 1.0  # how often the eye is asked; an answer costs it less than a part
STARTS_WITHIN_S = 60.0  # from its beginning to its first answer
MOST = 240  # snapshots; then every second one is dropped
WARM_PARTS = 10  # what a part costs is counted from here on
SETTLED_S = 60.0  # then its memory is looked at, or after half of a shorter time
_AS_ASKED = (Level.READY.name, Level.STOPPING.name)
FIRST_MS, BEYOND = 0.02, 2.0  # where the first bin is drawn from, and by what the last is longer than its beginning
_LEAST_LOOKS = 5  # for a straight line
_MINOR, _MAJOR = 7, 9  # of proc_pid_stat(5), counted after the name


@dataclass(frozen=True, slots=True)
class _Snapshot:
    at_ns: int
    parts: int
    bins: dict[str, list[int]]
    totals_ns: dict[str, int]
    faults: tuple[int, int]  # without and with a disk
    held_mb: float  # 0 where it had just ended


@dataclass(frozen=True, slots=True)
class Growth:
    """The memory that the eye holds, in MB (10^6 bytes), by the straight line through what was seen in `seconds`, which
    begin after its first minute or half of a shorter time: where the line begins, and by how much it rises."""

    begin_mb: float
    grown_mb: float
    seconds: float


class Watch:
    """Asks for the figures of a station that another process runs; one that does not answer is asked again later.

    `ask` raises ControlError while there is no answer. `state` is what the station last said of itself, `versions`
    which bundles it has loaded, by product. `away_s` is for about how long it was not READY after it had been, and
    `away` what it first said then.
    """

    def __init__(self, ask: Callable[[], Figures], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._seen: list[_Snapshot] = []
        self._bounds_ms: list[float] = []
        self._parts = 0
        self._moved_ns = clock.now_ns()
        self._looked_ns: int | None = None  # since it has been READY
        self.state = "it was never up"
        self.versions: dict[str, int] = {}
        self.away_s, self.away = 0.0, ""

    def look(self) -> None:
        """Ask once."""
        try:
            told = self._ask()
        except ControlError:
            return
        self._bounds_ms = [bound / MS for bound in told.stage_bounds_ns]
        self.state = f"{told.status.level} {told.status.cause}".strip()
        self.versions = dict(told.status.versions)
        self._hold_ready(told.status.level)
        if not self._seen or told.status.parts != self._parts:
            self._parts, self._moved_ns = told.status.parts, self._clock.now_ns()
        bins = {stage: histogram.bins for stage, histogram in told.stages.items()}
        totals_ns = {stage: histogram.total_ns for stage, histogram in told.stages.items()}
        costs = _faults(told.status.pid), memory_mb(told.status.pid)
        self._seen.append(_Snapshot(self._clock.now_ns(), told.status.parts, bins, totals_ns, *costs))
        if len(self._seen) > MOST:
            self._seen = self._seen[::2]

    def _hold_ready(self, level: str) -> None:
        now_ns = self._clock.now_ns()
        if self._looked_ns is not None and level not in _AS_ASKED:
            self.away_s += (now_ns - self._looked_ns) / SECOND
            self.away = self.away or self.state
        if self._looked_ns is not None or level == Level.READY.name:
            self._looked_ns = now_ns

    def stands_still(self, patience_s: float) -> bool:
        """Whether `look` has seen no part end for so long. A station that has not answered yet is starting, and cannot
        be stopped in order: it has a minute at least."""
        allowed_s = patience_s if self._seen else max(patience_s, STARTS_WITHIN_S)
        return self._clock.now_ns() - self._moved_ns > allowed_s * SECOND

    def values(self) -> dict[str, Any]:
        """`course`, `histograms`, `per_part`, `memory`, `steadiness` and `capacity`; empty where the station never
        answered."""
        if not self._seen:
            return {}
        edges = [FIRST_MS, *self._bounds_ms, self._bounds_ms[-1] * BEYOND]
        last = self._seen[-1].bins
        drawn = {stage: _trimmed(edges, counts) for stage, counts in last.items() if any(counts)}
        return {
            "course": [asdict(moment) for moment in self._course(edges[1:])],
            "histograms": {stage: asdict(each) for stage, each in drawn.items()},
            "per_part": self._per_part(),
            "memory": self._memory(),
            "steadiness": self._steadiness(),
            "capacity": self._capacity(),
        }

    def _steadiness(self) -> dict[str, Any] | None:
        """Of the means between two looks, which are exact where percentiles are bounds of bins; None without one."""
        means = [
            _mean_ms(one, other, "capture_to_verdict")
            for one, other in zip(self._seen, self._seen[1:], strict=False)
        ]
        known = [mean for mean in means if mean]
        return asdict(steadiness(known)) if known else None

    def _capacity(self) -> dict[str, float]:
        """Pictures per second, from the tenth part on: `per_s` is what the inference thread could take on, by the mean
        time that a picture occupied it; `possible_per_s` is 1 / (pixels + engine); `sustained` is the first over the
        second, and `busy` the share of the time in which the thread was occupied."""
        ends = self._steady()
        if ends is None:
            return {}
        occupied_ms, pixels_ms, engine_ms = (_mean_ms(*ends, stage) for stage in ("occupied", "pixels", "engine"))
        if not occupied_ms:
            return {}
        busy_ns = ends[1].totals_ns["occupied"] - ends[0].totals_ns["occupied"]
        return {
            "per_s": round(1_000 / occupied_ms, 2),
            "possible_per_s": round(1_000 / (pixels_ms + engine_ms), 2),
            "sustained": round((pixels_ms + engine_ms) / occupied_ms, 4),
            "busy": round(busy_ns / (ends[1].at_ns - ends[0].at_ns), 4),
        }

    def _memory(self) -> dict[str, float]:
        """Growth, empty where too little was seen."""
        seen = [each for each in self._seen if each.parts >= WARM_PARTS and each.held_mb]
        if not seen:
            return {}
        settled_ns = seen[0].at_ns + min(SETTLED_S * SECOND, (seen[-1].at_ns - seen[0].at_ns) / 2)
        seen = [each for each in seen if each.at_ns >= settled_ns]
        if len(seen) < _LEAST_LOOKS:
            return {}
        at_s = np.array([(each.at_ns - seen[0].at_ns) / SECOND for each in seen])
        slope, begin_mb = np.polyfit(at_s, [each.held_mb for each in seen], 1)
        return asdict(Growth(round(begin_mb, 2), round(slope * at_s[-1], 2), round(at_s[-1], 1)))

    def _course(self, upper_ms: Sequence[float]) -> list[Moment]:
        moments = []
        for one, other in zip(self._seen, self._seen[1:], strict=False):
            whole, engine = (
                [new - old for old, new in zip(one.bins[stage], other.bins[stage], strict=True)]
                for stage in ("capture_to_verdict", "engine")
            )
            if sum(whole) and sum(engine):
                at_s = round((one.at_ns - self._seen[0].at_ns) / SECOND, 1)
                ranks = (
                    _rank(upper_ms, counts, share) for counts, share in ((engine, 0.5), (whole, 0.5), (whole, 1))
                )
                moments.append(Moment(at_s, *ranks))
        return moments

    def span(self) -> Span | None:
        """From the first to the last time that it was looked at in steady state; None where that was too short."""
        ends = self._steady()
        return None if ends is None else Span(ends[0].at_ns, ends[1].at_ns, ends[1].parts - ends[0].parts)

    def _steady(self) -> tuple[_Snapshot, _Snapshot] | None:
        steady = [each for each in self._seen if each.parts >= WARM_PARTS]
        return (steady[0], steady[-1]) if steady and steady[-1].parts > steady[0].parts else None

    def _per_part(self) -> dict[str, float]:
        ends = self._steady()
        if ends is None:
            return {}
        first, last = ends
        parts = last.parts - first.parts
        minor, major = (last.faults[which] - first.faults[which] for which in (0, 1))
        return {"page_faults": round(minor / parts, 4), "disk_faults": round(major / parts, 4)}


def _mean_ms(one: _Snapshot, other: _Snapshot, stage: str) -> float:
    """The mean of what was added to a stage between two looks; 0 where nothing was."""
    count = sum(other.bins[stage]) - sum(one.bins[stage])
    return (other.totals_ns[stage] - one.totals_ns[stage]) / count / MS if count else 0.0


def _rank(upper_ms: Sequence[float], counts: Sequence[int], share: float) -> float:
    """The upper bound of the bin that holds the percentile."""
    return upper_ms[bisect_left(list(accumulate(counts)), share * sum(counts))]


def _trimmed(edges: list[float], counts: list[int]) -> Histogram:
    filled = [number for number, count in enumerate(counts) if count]
    first, end = filled[0], filled[-1] + 1
    return Histogram(edges[first : end + 1], counts[first:end])


def _faults(pid: int) -> tuple[int, int]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0, 0
    return int(fields[_MINOR]), int(fields[_MAJOR])
