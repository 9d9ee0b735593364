"""A station is watched by what it answers: its course, its histograms, what a part costs, and when nothing moves."""

from __future__ import annotations

import os

import pytest

from benchmarks import watch as watching
from benchmarks.watch import MOST, Watch
from edge.clock import MS, SECOND, ManualClock
from edge.control import Figures, Histogram, Status
from edge.errors import ControlError

BOUNDS_NS = [1 * MS, 10 * MS, 100 * MS]


class Station:
    """Answers with what it has seen; `bins` of its only stages are up to 1, 10, 100 ms and beyond."""

    def __init__(self) -> None:
        self.parts = 0
        self.bins = [0, 0, 0, 0]
        self.up = True
        self.took_ms = 12
        self.told = 0
        self.level, self.cause = "READY", ""
        self.totals: dict[str, int] = {}

    def see(self, which: int, parts: int) -> None:
        self.bins[which] += parts
        self.parts += parts

    def figures(self) -> Figures:
        if not self.up:
            raise ControlError("no station answers")
        means_ms = {"pixels": 2, "engine": 6, "occupied": 10, "capture_to_verdict": self.took_ms}
        for stage, mean_ms in means_ms.items():
            self.totals[stage] = self.totals.get(stage, 0) + (sum(self.bins) - self.told) * mean_ms * MS
        self.told = sum(self.bins)
        times = {name: Histogram(bins=list(self.bins), total_ns=self.totals[name]) for name in means_ms}
        status = dict.fromkeys(Status.model_fields, "") | {
            "answer": "status",
            "level": self.level,
            "cause": self.cause,
            "parts": self.parts,
            "versions": {"cap-a": 3},
        }
        status |= {"verdicts": {}, "outcomes": {}, "bypass_left_s": 0.0, "pid": os.getpid()}
        counted = dict.fromkeys(("permit", "can_acknowledge", "recipe", "bypassed", "turned_away", "malformed"), 0)
        return Figures(
            status=Status.model_construct(**(status | counted)),
            stage_bounds_ns=BOUNDS_NS,
            stages=times,
            edge_bounds_ns=[],
            gate_edges=Histogram(bins=[], total_ns=0),
            unconfirmed=0,
            **{name: {} for name in ("unknown_reasons", "frames", "deadlines", "records")},
        )


def watched(clock: ManualClock, station: Station) -> Watch:
    return Watch(station.figures, clock)


def test_each_moment_is_judged_by_the_parts_that_came_in_it() -> None:
    clock, station = ManualClock(), Station()
    watch = watched(clock, station)
    for which in (1, 1, 2, 0):
        watch.look()
        clock.advance(SECOND)
        station.see(which, 20)
    watch.look()
    told = watch.values()
    assert [(moment["at_s"], moment["p50_ms"]) for moment in told["course"]] == [(0, 10), (1, 10), (2, 100), (3, 1)]
    assert told["histograms"]["engine"]["counts"] == [20, 40, 20]
    assert told["histograms"]["engine"]["bounds_ms"] == [0.02, 1, 10, 100]
    assert told["per_part"]["page_faults"] >= 0


def test_what_the_thread_could_take_on_is_told_by_what_a_picture_takes_of_it() -> None:
    clock, station = ManualClock(), Station()
    watch = watched(clock, station)
    for took_ms in (12, *[12] * 6, *[9] * 6):
        watch.look()
        clock.advance(SECOND)
        station.see(1, 20)
        station.took_ms = took_ms
    watch.look()
    told = watch.values()
    assert told["capacity"] == {"per_s": 100.0, "possible_per_s": 125.0, "sustained": 0.8, "busy": 0.2}
    assert told["steadiness"] == {"first_ms": 12.0, "last_ms": 9.0, "ratio": 0.75, "is_steady": False}


def test_a_station_that_never_answers_says_nothing() -> None:
    clock, station = ManualClock(), Station()
    station.up = False
    watch = watched(clock, station)
    watch.look()
    assert watch.values() == {}
    assert watch.state == "it was never up"


def test_it_stands_still_once_no_part_ends() -> None:
    clock, station = ManualClock(), Station()
    watch = watched(clock, station)
    for _ in range(3):
        clock.advance(SECOND)
        station.see(0, 1)
        watch.look()
    clock.advance(5 * SECOND)
    watch.look()
    assert not watch.stands_still(5)
    assert watch.stands_still(4.9)
    assert watch.state == "READY"


def test_patience_begins_with_the_first_answer_and_starting_has_its_own() -> None:
    clock, station = ManualClock(), Station()
    station.up = False
    watch = watched(clock, station)
    watch.look()
    clock.advance(59 * SECOND)
    assert not watch.stands_still(1), "who is stopped while it starts writes no report"
    station.up = True
    watch.look()
    assert not watch.stands_still(1)
    clock.advance(2 * SECOND)
    assert watch.stands_still(1)
    station.up = False
    silent = watched(clock, station)
    clock.advance(61 * SECOND)
    assert silent.stands_still(1)


def test_a_long_run_is_kept_in_bounded_memory_and_no_part_is_lost() -> None:
    clock, station = ManualClock(), Station()
    watch = watched(clock, station)
    for _ in range(3 * MOST):
        watch.look()
        clock.advance(SECOND)
        station.see(1, 1)
    watch.look()
    told = watch.values()
    assert len(told["course"]) <= MOST
    assert told["course"][0]["at_s"] == 0
    assert sum(told["histograms"]["engine"]["counts"]) == 3 * MOST


def test_how_long_it_was_not_ready_is_told_but_not_its_start_and_its_end() -> None:
    clock, station = ManualClock(), Station()
    watch = watched(clock, station)
    for level in ("NOT_READY", "READY", "READY", "STOPPING"):
        station.level = level
        watch.look()
        clock.advance(SECOND)
    assert (watch.away, watch.away_s, watch.versions) == ("", 0, {"cap-a": 3})
    for level, cause in (("NOT_READY", "camera 'top'"), ("STOPPED", "rejects"), ("READY", "")):
        station.level, station.cause = level, cause
        watch.look()
        clock.advance(2 * SECOND)
    assert watch.away == "NOT_READY camera 'top'"
    assert watch.away_s == 3, "one second until it was first seen, two more"


def test_memory_is_the_line_through_what_was_held_after_its_first_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, station, held_mb = ManualClock(), Station(), [200.0]
    monkeypatch.setattr(watching, "memory_mb", lambda _pid: held_mb[0])
    watch = watched(clock, station)
    station.see(0, 20)
    for second in range(181):
        held_mb[0] = 200.0 + second if second < 60 else 270 + (second - 60) * 0.01
        watch.look()
        clock.advance(SECOND)
    assert watch.values()["memory"] == {"begin_mb": 270.0, "grown_mb": 1.2, "seconds": 120.0}
    young = watched(clock, station)
    young.look()
    assert young.values()["memory"] == {}
