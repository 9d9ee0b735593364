"""The profile's figures are what happened, shown on a clock that ticks by the work done."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console

from benchmarks.bundle_profile import profile
from benchmarks.tables import profile_tables
from edge.clock import MS, SECOND
from edge.eye.student import Student
from edge.pixels import InputSpec, Pixels
from edge.records import Kind, Reason, Scores
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

    def __init__(self, clock: WorkClock) -> None:
        self._clock = clock
        self._last_ns = clock.now_ns()
        self.wrong_score: float | None = None
        self.input = np.zeros(SPEC.shape(), np.uint8)

    def load(self, model: bytes) -> None:
        pass

    def infer(self) -> Scores:
        cold = self._clock.at_ns - self._last_ns > 5 * SECOND
        self._clock.at_ns += ENGINE_MS * MS * (4 if cold else 1)
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
    return Student("cap-a", 1, entry, TimedEngine(clock), TimedPixels(clock), PICTURES[0], ())


def test_every_stage_is_shown_with_its_own_time():
    clock = WorkClock()
    measured, looks = profile(a_student(clock), PICTURES, clock, seconds=8, rate_hz=20, idle_s=10)
    assert measured.engine == dict.fromkeys(("p50", "p90", "p99", "p999", "max"), ENGINE_MS)
    assert measured.pixels["p50"] == PIXELS_MS
    assert measured.paced["max"] == ENGINE_MS + PIXELS_MS
    assert measured.saturation["p99"] == ENGINE_MS + PIXELS_MS
    assert measured.beyond_engine_ms == PIXELS_MS
    assert measured.sustained_per_s == pytest.approx(100)
    assert measured.possible_per_s == pytest.approx(100)
    assert looks.count == pytest.approx(200, abs=16)  # each round ends with the picture in hand
    assert abs(looks.verdicts[Kind.PASS] - looks.verdicts[Kind.REJECT]) <= 1
    assert not any(looks.reasons.values())


def test_an_idle_gap_shows_what_keeping_warm_saves():
    clock = WorkClock()
    measured, _ = profile(a_student(clock), PICTURES, clock, seconds=1, rate_hz=20, idle_s=10)
    assert measured.after_idle_warm_ms == ENGINE_MS + PIXELS_MS
    assert measured.after_idle_cold_ms == 4 * ENGINE_MS + PIXELS_MS


def test_no_gap_is_measured_where_none_is_wanted():
    clock = WorkClock()
    measured, _ = profile(a_student(clock), PICTURES, clock, seconds=1, rate_hz=20, idle_s=0)
    assert (measured.after_idle_warm_ms, measured.after_idle_cold_ms) == (None, None)


def test_a_line_that_is_too_fast_shows_its_growing_queue():
    clock = WorkClock()
    measured, _ = profile(a_student(clock), PICTURES, clock, seconds=4, rate_hz=200, idle_s=0)
    assert measured.paced["p50"] > 400  # 5 ms between pictures that take 10, over a second


def test_pictures_that_cannot_be_judged_are_counted_with_their_reason():
    clock = WorkClock()
    student = a_student(clock)
    student.engine.wrong_score = float("nan")
    _, looks = profile(student, PICTURES, clock, seconds=0.5, rate_hz=20, idle_s=0)
    assert looks.verdicts[Kind.UNKNOWN] == looks.count > 0
    assert looks.reasons[Reason.BAD_SCORE] == looks.count


def test_the_table_can_be_read_without_gaps_too(capsys):
    clock = WorkClock()
    measured, _ = profile(a_student(clock), PICTURES, clock, seconds=1, rate_hz=20, idle_s=0)
    Console(width=120).print(profile_tables(measured))
    text = capsys.readouterr().out
    assert "engine alone" in text
    assert "100.0%" in text
    assert "idle" not in text
