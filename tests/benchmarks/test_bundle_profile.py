"""The profile's figures are what happened, shown on a clock that ticks by the work done."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from mmap import mmap

import numpy as np
import pytest
from rich.console import Console

from benchmarks.bundle_profile import ROUNDS, Plan, Profile, Run, together
from benchmarks.course import histogram, steadiness
from benchmarks.paired import paired
from benchmarks.ranks import ranks_ms
from benchmarks.steady import Usage
from benchmarks.tables import profile_tables
from edge.clock import MS, SECOND
from edge.eye.student import Student
from edge.pixels import InputSpec, Pixels
from edge.records import Kind, Reason, Scores
from edge.timing import Series
from tests.bundles import a_manifest

SPEC = InputSpec(16, 16)
ENGINE_MS, PIXELS_MS = 8, 2
PICTURES = [np.full((32, 32, 3), level, np.uint8) for level in (60, 200)]


class WorkClock:
    """Stands still but for the work that is booked on it."""

    def __init__(self) -> None:
        self.at_ns = SECOND
        self.slept_until: list[int] = []

    def now_ns(self) -> int:
        return self.at_ns

    def wall_ns(self) -> int:
        return self.at_ns

    def sleep_until(self, at_ns: int) -> None:
        self.slept_until.append(at_ns)
        self.at_ns = max(self.at_ns, at_ns)


class TimedEngine:
    """Takes ENGINE_MS, and four times that when it has not run for 5 s; its score is the input's mean."""

    def __init__(self, clock: WorkClock, takes_ms: float = ENGINE_MS) -> None:
        self._clock = clock
        self._takes_ns = round(takes_ms * MS)
        self.tires = False
        self._last_ns = clock.now_ns()
        self.wrong_score: float | None = None
        self.input = np.zeros(SPEC.shape(), np.uint8)

    def load(self, model: bytes) -> None:
        pass

    def infer(self) -> Scores:
        cold = self._clock.at_ns - self._last_ns > 5 * SECOND
        self._takes_ns += MS // 50 if self.tires else 0
        self._clock.at_ns += self._takes_ns * (4 if cold else 1)
        self._last_ns = self._clock.at_ns
        empty = np.zeros(0, np.float32)
        score = float(self.input.mean()) / 255 if self.wrong_score is None else self.wrong_score
        return Scores(score, np.zeros((2, 2), np.float32), empty, empty)

    def close(self) -> None:
        pass


class TimedPixels(Pixels):
    """Takes PIXELS_MS."""

    def __init__(self, clock: WorkClock) -> None:
        super().__init__(SPEC)
        self._clock = clock

    def to_input(self, image, out=None):
        self._clock.at_ns += PIXELS_MS * MS
        return super().to_input(image, out)


def a_student(clock: WorkClock) -> Student:
    entry = a_manifest().models[0]
    return Student("cap-a", 1, entry, TimedEngine(clock), TimedPixels(clock), PICTURES[0], (), None)


class SlowJudge:
    """A student whose judging takes half of ENGINE_MS."""

    def __init__(self, student: Student, clock: WorkClock) -> None:
        self._student = student
        self._clock = clock

    def __getattr__(self, name: str) -> object:
        return getattr(self._student, name)

    def judge(self, scores: Scores) -> object:
        self._clock.at_ns += ENGINE_MS * MS // 2
        return self._student.judge(scores)


def a_run(student: Student, clock: WorkClock, plan: Plan, other: TimedEngine | None = None) -> Run:
    """One run that went through."""
    run = Run(student, PICTURES, clock, plan, other)
    run.measure()
    return run


def measure(clock: WorkClock, seconds: float, rate_hz: float = 20, gaps_s: tuple[float, ...] = ()) -> Profile:
    return a_run(a_student(clock), clock, Plan(seconds, rate_hz, gaps_s)).profile()


def as_result(run: Run, **bench: object) -> dict:
    """What edge-bench writes of it, as far as tables need it."""
    judge = ranks_ms(run.looks.stages["judge"])
    return {"latency_ms": {"judge": judge}, "rss_mb": 99.0, "bench": run.profile().to_dict() | bench}


def test_every_stage_is_shown_with_its_own_time():
    clock = WorkClock()
    run = a_run(a_student(clock), clock, Plan(8, 20))
    measured, looks = run.profile(), run.looks
    ranks = dict.fromkeys(("p50", "p90", "p99", "max"), ENGINE_MS)
    assert measured.engine == {"n": 256, "p999": None} | ranks, "of 256 none is the p99.9"
    assert measured.pixels["p50"] == PIXELS_MS
    assert measured.paced["max"] == ENGINE_MS + PIXELS_MS
    assert measured.saturation["p99"] == ENGINE_MS + PIXELS_MS
    assert measured.beyond_engine_ms == PIXELS_MS
    assert measured.sustained_per_s == pytest.approx(100)
    assert measured.possible_per_s == pytest.approx(100)
    assert looks.count == pytest.approx(200, abs=16)  # each round ends with the picture in hand
    assert abs(looks.verdicts[Kind.PASS] - looks.verdicts[Kind.REJECT]) <= 1
    assert not any(looks.reasons.values())


def test_what_the_judge_adds_is_the_overhead_in_parts_of_the_engine():
    clock = WorkClock()
    student = a_student(clock)
    assert a_run(student, clock, Plan(2, 20)).profile().ratios == {"overhead": 0.0, "sustained": 1.0}
    slow = SlowJudge(student, clock)
    ratios = a_run(slow, clock, Plan(2, 20)).profile().ratios
    assert ratios == {"overhead": 0.5, "sustained": pytest.approx(10 / 14, abs=1e-4)}


def test_another_engine_is_timed_in_turns_with_the_students():
    clock = WorkClock()
    other = TimedEngine(clock, 3 * ENGINE_MS)
    measured = a_run(a_student(clock), clock, Plan(2, 20), other).profile()
    assert measured.ratios["speed_up"] == 3
    assert measured.engine["max"] == ENGINE_MS


def test_a_rival_is_measured_in_turns_and_every_second_round_begins_with_it():
    clock = WorkClock()
    student, rival = a_student(clock), replace(a_student(clock), engine=TimedEngine(clock, 2 * ENGINE_MS))
    run = Run(student, PICTURES, clock, Plan(2, 20), None, rival)
    run.measure()
    ratios = run.over_rival()
    assert ratios["engine"] == [0.5] * ROUNDS
    assert ratios["saturation"] == pytest.approx([10 / 18] * ROUNDS, abs=1e-4)
    assert run.profile().engine["max"] == ENGINE_MS, "the rival's times are no part of the student's"
    starts = [moment.at_s for moment in run.profile().course]
    apart = [later - earlier for earlier, later in pairwise(starts)]
    assert max(apart[::2]) > 1.5 * max(apart[1::2]), "twice the rival, then twice the student"


def test_the_interval_of_pairs_holds_what_all_rounds_say_and_is_wide_where_they_differ():
    near, far = paired([0.5, 0.51, 0.49, 0.5] * 8), paired([0.5, 1.5] * 16)
    assert (near.rounds, near.ratio) == (32, 0.5)
    assert 0.49 <= near.low <= near.high <= 0.51
    assert far.low < 0.6 and far.high > 1.4


def test_an_idle_gap_shows_what_keeping_warm_saves():
    gap = measure(WorkClock(), 1, gaps_s=(10,)).idle["10s"]
    assert gap.busy_p50_ms == gap.kept_warm_ms == ENGINE_MS + PIXELS_MS
    assert gap.kept_warm_ratio == 1
    assert gap.left_alone_ms == 4 * ENGINE_MS + PIXELS_MS
    assert gap.left_alone_ratio == 3.4


def test_no_inference_keeps_warm_in_a_gap_that_is_too_short_for_one():
    gaps = measure(WorkClock(), 1, gaps_s=(0.1, 1, 60)).idle
    assert [(name, gap.times, gap.kept_warm_ms) for name, gap in gaps.items()] == [
        ("100ms", 5, None),
        ("1s", 5, 10),
        ("60s", 1, 10),
    ]
    assert [gap.left_alone_ms for gap in gaps.values()] == [10, 10, 34]


def test_no_gap_is_measured_where_none_is_wanted():
    assert measure(WorkClock(), 1).idle == {}


def test_a_line_that_is_too_fast_shows_its_growing_queue():
    paced = measure(WorkClock(), 4, rate_hz=200).paced
    assert paced["p50"] > 400  # 5 ms between pictures that take 10, over a second


def test_an_engine_that_slows_down_is_seen_in_the_runs_course():
    clock = WorkClock()
    student = a_student(clock)
    student.engine.tires = True
    measured = a_run(student, clock, Plan(4, 20)).profile()
    course = measured.course
    assert measured.steadiness.is_steady is False and measured.steadiness.ratio > 1.2
    assert course[-1].p50_ms > 1.3 * course[0].p50_ms
    assert course[-1].engine_p50_ms > 1.3 * course[0].engine_p50_ms
    assert [moment.at_s for moment in course] == sorted(moment.at_s for moment in course)
    assert len(course) == ROUNDS


def test_pictures_that_cannot_be_judged_are_counted_with_their_reason():
    clock = WorkClock()
    student = a_student(clock)
    student.engine.wrong_score = float("nan")
    looks = a_run(student, clock, Plan(0.5, 20)).looks
    assert looks.verdicts[Kind.UNKNOWN] == looks.count > 0
    assert looks.reasons[Reason.BAD_SCORE] == looks.count


def test_the_table_can_be_read_with_gaps_and_without(capsys):
    clock = WorkClock()
    plain, with_gaps = (as_result(a_run(a_student(clock), clock, Plan(1, 20, gaps))) for gaps in ((), (1.0,)))
    Console(width=140).print(profile_tables(plain))
    text = capsys.readouterr().out
    assert "engine alone" in text
    assert "100.0%" in text
    assert "page faults" in text and "ms of the processor" in text and "99 MB at most" in text
    assert "judge, saturated" in text and "The engine returned; the verdict is known." in text
    assert "no drift beyond the scatter; p50 10.000 ms in the first" in text
    assert "after" not in text
    Console(width=200).print(profile_tables(with_gaps))
    assert "10.000 ms, 1.00 x" in capsys.readouterr().out


def test_several_runs_are_told_together():
    clock = WorkClock()
    student = a_student(clock)
    quick = a_run(student, clock, Plan(4, 20))
    tired = replace(student, engine=TimedEngine(clock, 5 * ENGINE_MS))  # the machine did something else meanwhile
    slow = a_run(tired, clock, Plan(1, 20))
    again = a_run(a_student(clock), clock, Plan(4, 20))
    told = together([quick, slow, again])
    each = [run.profile().to_dict() for run in (quick, slow, again)]
    assert told["engine"]["max"] == 5 * ENGINE_MS, "the most of all runs, not their median"
    assert told["engine"]["n"] == sum(run["engine"]["n"] for run in each)
    assert sum(told["histograms"]["engine alone"]["counts"]) == told["engine"]["n"]
    assert told["sustained_per_s"] == each[0]["sustained_per_s"], "a rate is the median's"
    assert told["engine"]["p50"] == ENGINE_MS


def test_ranks_that_few_values_cannot_have_are_not_told():
    for count, missing in ((9, {"p90", "p99", "p999"}), (99, {"p99", "p999"}), (999, {"p999"}), (1_000, set())):
        series = Series()
        for value in range(count):
            series.add(value * MS)
        told = ranks_ms(series)
        assert {rank for rank, value in told.items() if value is None} == missing
        assert told["n"] == count and told["max"] == count - 1
    assert ranks_ms(Series())["max"] is None


def test_a_drift_is_not_steady_and_scatter_is():
    scatter = [10.0, 12.0, 9.5, 11.0, 10.5] * 3
    assert steadiness(scatter).is_steady
    drift = [10.0 + number / 4 for number in range(15)]
    assert steadiness(drift).is_steady is False
    assert steadiness([2 * drift[0], *[10.0] * 14]).is_steady, "one slow moment is no drift"
    assert steadiness([10.0] * 5 + [10.2] * 10).is_steady, "2 % are none"
    assert steadiness(drift[:11]).is_steady is None


def touched_pages():
    """2 MB that this process never had: an array may lie in what another one has left."""
    pages = mmap(-1, 1 << 21)
    pages.write(bytes(1 << 21))
    return pages


def test_pages_that_a_part_touches_and_keeps_are_counted_by_the_part():
    kept, usage = [], Usage()
    for _ in range(2):
        with usage.watched():
            kept.extend(touched_pages() for _ in range(5))
    told = usage.per_part(10)
    assert told["page_faults"] > 1  # few where the kernel hands out huge pages
    assert told["memory_mb_grown"] > 15
    assert told["objects_grown"] >= 10
    assert told["disk_faults"] >= 0 and told["collections"] >= 0


def test_a_histogram_holds_every_value_once():
    series = Series()
    for value in (5, 5, 7, 100, 100_000):
        series.add(value * MS)
    drawn = histogram(series, bins=4)
    assert drawn.bounds_ms[0] == 5 and drawn.bounds_ms[-1] == 100_000
    assert drawn.counts == [3, 1, 0, 1]
    assert sum(histogram(Series()).counts) == 0
    series = Series()
    series.add(0)
    assert sum(histogram(series).counts) == 1
