"""The pictures that wait for the engine: stations take turns, and in each round the one that is due first begins."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from edge.records import Part


@dataclass(frozen=True, slots=True)
class Job:
    """A picture of a part to be judged: it lies in slot `slot` of camera `view`.

    `ready_ns` is when the eye had both, the frame in memory and the birth.
    """

    part: Part
    view: int
    slot: int
    captured_ns: int
    ready_ns: int


PutJob = Callable[[Job], None]


class Jobs:
    """Any thread puts, one takes; putting never blocks. Each station's pictures come out as they were put.

    In a round every station that has a picture waiting is served once. So a picture that is the first of its station
    waits for at most two of each other one, however many those send; what a station sends too much waits in its own
    slots, which are bounded. Deadlines alone would not do: a station that floods always has one that is due sooner.
    """

    def __init__(self, stations: int) -> None:
        self._waiting: list[deque[Job]] = [deque() for _ in range(stations)]
        self._arrived: SimpleQueue[None] = SimpleQueue()
        self._served: set[int] = set()

    def put(self, station: int, job: Job) -> None:
        """Let this picture of station number `station` wait."""
        self._waiting[station].append(job)
        self._arrived.put(None)  # after the job, so that whoever takes it finds one

    @property
    def are_done(self) -> bool:
        """Whether nothing waits."""
        return self._arrived.empty()

    def take(self, timeout_s: float) -> tuple[int, Job]:
        """The next picture and its station's number. Raises queue.Empty when none came in time."""
        self._arrived.get(timeout=timeout_s)
        station = self._next()
        self._served.add(station)
        return station, self._waiting[station].popleft()

    def _next(self) -> int:
        waiting = {station: jobs[0].part.deadline_ns for station, jobs in enumerate(self._waiting) if jobs}
        if waiting.keys() <= self._served:
            self._served.clear()
        return min(waiting.keys() - self._served, key=waiting.__getitem__)
