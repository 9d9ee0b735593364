"""The inference thread: picture -> pixels -> engine -> judge, one at a time, and warm while nothing comes."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from queue import Empty

from edge.clock import SECOND, Clock
from edge.errors import ConfigError, EngineError
from edge.eye.parts import Job, Parts
from edge.eye.slots import Slots
from edge.eye.student import Student, prove
from edge.health import Health, Level, Progress
from edge.judge import Decision
from edge.records import Kind, Reason
from edge.timing import Stamps, Timing

log = logging.getLogger(__name__)

SOURCE = "inference"
KEEP_WARM_S = 0.5
_FAILURES = 3  # engine errors in a row that make a fault

# Takes a judged picture over (and its slot) when it wants to keep it.
Keep = Callable[[Job, Kind], bool]


class Inference:
    """`run` belongs to one thread. Every job ends in one decision and a slot that is free again or was taken over."""

    def __init__(
        self,
        students: Mapping[int, Student],
        parts: Parts,
        slots: Sequence[Slots],
        clock: Clock,
        timing: Timing,
        health: Health,
        progress: Progress,
        keep: Keep,
    ) -> None:
        self._students = students
        self._parts = parts
        self._slots = slots
        self._clock = clock
        self._timing = timing
        self._health = health
        self._progress = progress
        self._keep = keep
        self._failures = 0

    def run(self, stop: threading.Event) -> None:
        """Judge what comes; while nothing does, prove twice a second that the engine still answers."""
        while not stop.is_set():
            try:
                job = self._parts.jobs.get(timeout=KEEP_WARM_S)
            except Empty:
                self._stay_warm()
                continue
            if job is not None:
                self._work(job)
            self._progress.beat(SOURCE)

    def _stay_warm(self) -> None:
        try:
            for student in self._students.values():
                prove(student, self._clock)
        except EngineError as error:
            self._failed(error)
            return
        self._succeeded()
        self._progress.beat(SOURCE)

    def _work(self, job: Job) -> None:
        decision: Decision = (Kind.UNKNOWN, Reason.LATE)
        score = math.nan
        stamps = Stamps(job.part.born_ns, job.captured_ns, job.ready_ns, self._clock.now_ns())
        if stamps.taken_ns < job.part.deadline_ns:
            decision, score = self._look(job, stamps)
        if not self._keep(job, decision[0]):
            self._slots[job.view].free(job.slot)
        self._parts.judged(job, decision, score)

    def _look(self, job: Job, stamps: Stamps) -> tuple[Decision, float]:
        student = self._students.get(job.part.recipe)
        if student is None:
            return (Kind.UNKNOWN, Reason.ENGINE_ERROR), math.nan
        try:
            scores = student.look(self._slots[job.view].image(job.slot), stamps, self._clock)
        except EngineError as error:
            self._failed(error)
            return (Kind.UNKNOWN, Reason.ENGINE_ERROR), math.nan
        except ConfigError as error:
            log.error("part %d: %s", job.part.part_id, error)
            return (Kind.UNKNOWN, Reason.BAD_FRAME), math.nan
        decision = student.judge(scores)
        stamps.judged_ns = self._clock.now_ns()
        self._timing.view(stamps)
        self._succeeded()
        return decision, scores.score

    def _failed(self, error: EngineError) -> None:
        self._failures += 1
        log.error("%s", error)
        if self._failures >= _FAILURES:
            self._health.report(SOURCE, Level.FAULT, f"{error}")

    def _succeeded(self) -> None:
        self._failures = 0


BOUND_NS = 5 * SECOND  # the longest time between two signs of life of this thread
