"""The inference thread: picture -> pixels -> engine -> judge, one at a time, and warm while nothing comes."""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty

from edge.capture.appraisal import look_as_seen
from edge.clock import SECOND, Clock
from edge.errors import ConfigError, EngineError
from edge.eye.jobs import Job, Jobs
from edge.eye.likeness import Likeness
from edge.eye.parts import Parts
from edge.eye.slots import Slots
from edge.eye.student import Student, prove
from edge.health import Health, Level, Progress
from edge.heat_map import HeatMap, heat_map
from edge.judge import Decision
from edge.records import Kind, Reason, Scores
from edge.timing import Stamps, Timing

log = logging.getLogger(__name__)

SOURCE = "inference"
KEEP_WARM_S = 0.5
_FAILURES = 3  # engine errors in a row that make a fault

# Takes a judged picture over (and its slot) when it wants to keep it.
Keep = Callable[[Job, Kind, HeatMap | None], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Client:
    """One station as the engine knows it: its students by recipe, where its pictures lie, and who hears of them.

    Without students until they are loaded; `Inference` takes them as they are then.
    """

    students: dict[int, Student]
    parts: Parts
    slots: Sequence[Slots]
    timing: Timing
    health: Health
    keep: Keep
    likeness: dict[tuple[int, int], Likeness]  # by recipe and view


class Inference:
    """`run` belongs to one thread. Every job ends in one decision and a slot that is free again or was taken over.

    `clients` are the stations in the order of their numbers in `jobs`.
    """

    def __init__(self, clients: Sequence[Client], jobs: Jobs, clock: Clock, progress: Progress) -> None:
        self._clients = clients
        self._jobs = jobs
        self._clock = clock
        self._progress = progress
        self._students = tuple(dict.fromkeys(student for client in clients for student in client.students.values()))
        self._failures: Counter[Student] = Counter()
        self._fastest_ns: dict[Student | None, int] = {}

    def run(self, stop: threading.Event) -> None:
        """Judge what comes; while nothing does, prove twice a second that the engine still answers."""
        while not stop.is_set():
            self.serve(KEEP_WARM_S)

    def serve(self, wait_s: float) -> None:
        """Judge one picture, or after `wait_s` without any prove that the engine still answers."""
        try:
            station, job = self._jobs.take(wait_s)
        except Empty:
            self._stay_warm()
            return
        self._work(self._clients[station], job)
        self._progress.beat(SOURCE)

    def _stay_warm(self) -> None:
        answered = True
        for student in self._students:
            try:
                prove(student, self._clock)
            except EngineError as error:
                self._failed(student, error)
                answered = False
            else:
                self._succeeded(student)
        if answered:
            self._progress.beat(SOURCE)

    def _work(self, client: Client, job: Job) -> None:
        decision: Decision = (Kind.UNKNOWN, Reason.LATE)
        scores: Scores | None = None
        stamps = Stamps(job.part.born_ns, job.captured_ns, job.ready_ns, self._clock.now_ns())
        student = client.students.get(job.part.recipe)
        soonest_ns = stamps.taken_ns + self._fastest_ns.get(student, 0)
        if soonest_ns < job.part.deadline_ns:  # else it is late whatever it says
            decision, scores = self._look(client, student, job, stamps)
        client.parts.judged(job, decision, math.nan if scores is None else scores.score)
        if not client.keep(job, decision[0], _heat(student, scores, decision)):
            client.slots[job.view].free(job.slot)
        if student is not None and scores is not None:
            self._place(client, student, job, scores)
            client.timing.free(stamps.taken_ns, self._clock.now_ns())

    def _place(self, client: Client, student: Student, job: Job, scores: Scores) -> None:
        likeness = client.likeness.get((job.part.recipe, job.view))
        if likeness is None:
            return
        likeness.place(scores.embedding)
        if likeness.is_due(busy=not self._jobs.are_done):
            likeness.see(look_as_seen(student.engine.input))

    def _look(
        self, client: Client, student: Student | None, job: Job, stamps: Stamps
    ) -> tuple[Decision, Scores | None]:
        if student is None:
            return (Kind.UNKNOWN, Reason.ENGINE_ERROR), None
        try:
            scores = student.look(client.slots[job.view].image(job.slot), stamps, self._clock)
        except EngineError as error:
            self._failed(student, error)
            return (Kind.UNKNOWN, Reason.ENGINE_ERROR), None
        except ConfigError as error:
            log.error("part %d: %s", job.part.part_id, error)
            return (Kind.UNKNOWN, Reason.BAD_FRAME), None
        decision = student.judge(scores)
        stamps.judged_ns = self._clock.now_ns()
        client.timing.view(stamps)
        took_ns = stamps.judged_ns - stamps.taken_ns
        self._fastest_ns[student] = min(took_ns, self._fastest_ns.get(student, took_ns))
        self._succeeded(student)
        return decision, scores

    def _failed(self, student: Student, error: EngineError) -> None:
        """A network that fails again and again is a fault of every station that judges by it."""
        self._failures[student] += 1
        log.error("%s", error)
        if self._failures[student] < _FAILURES:
            return
        for client in self._clients:
            if student in client.students.values():
                client.health.report(SOURCE, Level.FAULT, f"{error}")

    def _succeeded(self, student: Student) -> None:
        self._failures[student] = 0


def _heat(student: Student | None, scores: Scores | None, decision: Decision) -> HeatMap | None:
    """What a person is shown beside the picture; nothing of scores that are not sound."""
    if student is None or scores is None or decision[0] is Kind.UNKNOWN:
        return None
    return heat_map(scores.heat_map, student.pixels.spec)


BOUND_NS = 5 * SECOND  # the longest time between two signs of life of this thread
