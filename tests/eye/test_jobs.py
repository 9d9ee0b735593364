"""One engine for several stations: whatever one of them sends, the others' pictures are judged in their time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import Empty
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import MS, SECOND, ManualClock
from edge.errors import EngineError
from edge.eye import inference
from edge.eye.inference import Client, Inference
from edge.eye.jobs import Job, Jobs
from edge.eye.parts import Parts, Settled
from edge.eye.slots import Slots
from edge.health import Health, Level, Progress
from edge.pairing import Sighting, View
from edge.pixels import InputSpec, Pixels
from edge.records import Kind, Part, Reason, Scores
from edge.timing import Stamps, Timing

ENGINE_NS = 25 * MS
IMAGE = np.zeros((4, 4), np.uint8)


def job(number: int, deadline_ms: int) -> Job:
    part = Part(1 << 32 | number, 0, 0, 0, deadline_ms * MS, deadline_ms * MS)
    return Job(part, 0, 0, 0, 0)


# --- the order ---


def test_in_a_round_the_one_that_is_due_first_begins_and_each_station_has_its_turn() -> None:
    jobs = Jobs(3)
    for station, number, deadline_ms in ((0, 1, 100), (0, 2, 110), (0, 3, 120), (1, 4, 500), (2, 5, 90)):
        jobs.put(station, job(number, deadline_ms))
    order = [jobs.take(0)[1].part.part_id & 0xFFFF for _ in range(5)]
    assert order == [5, 1, 4, 2, 3]
    with pytest.raises(Empty):
        jobs.take(0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 1_000)), max_size=60), st.randoms())
def test_no_picture_waits_for_more_than_two_of_another_station_and_none_is_lost(
    arrivals: list[tuple[int, int]], random: Any
) -> None:
    jobs, taken, waiting = Jobs(4), [], [list[int]() for _ in range(4)]
    overtaken: Counter[tuple[int, int]] = Counter()  # of whom, by whom, since the first of the station waits
    numbers = iter(range(1_000))

    def take() -> None:
        station, found = jobs.take(0)
        number = found.part.part_id & 0xFFFF
        assert waiting[station].pop(0) == number, "each station's pictures come in their order"
        taken.append(number)
        for other in range(4):
            overtaken[station, other] = 0
            if other != station and waiting[other]:
                overtaken[other, station] += 1
        assert max(overtaken.values()) <= 2

    for station, deadline_ms in arrivals:
        number = next(numbers)
        jobs.put(station, job(number, deadline_ms))
        waiting[station].append(number)
        if random.random() < 0.5:
            take()
    while any(waiting):
        take()
    assert sorted(taken) == list(range(len(arrivals)))


# --- a flood, in virtual time ---


@dataclass
class Lane:
    """A station's part stream: a part every `every_ns`, its frame with it, `window_ns` to its deadline."""

    number: int
    clock: ManualClock
    jobs: Jobs
    every_ns: int
    window_ns: int = 200 * MS
    queue: int = 4
    settled: list[tuple[Settled, int]] = field(default_factory=list)
    health: Health = field(default_factory=Health)

    def __post_init__(self) -> None:
        self.slots = Slots(2 * self.queue + 2)
        self.parts = Parts(
            [View("top")], [self.slots], self._settle, lambda what: None, partial(self.jobs.put, self.number)
        )
        self.born = 0
        self.next_ns = self.clock.now_ns() + self.every_ns

    def _settle(self, settled: Settled) -> None:
        self.settled.append((settled, self.clock.now_ns()))

    def live_until(self, now_ns: int) -> None:
        """What camera and line have brought by now."""
        while self.next_ns <= now_ns:
            at_ns, self.next_ns = self.next_ns, self.next_ns + self.every_ns
            self.born += 1
            deadline_ns = at_ns + self.window_ns
            self.parts.born(Part(1 << 32 | self.born, at_ns, 0, at_ns, deadline_ns, deadline_ns), at_ns)
            slot = self.slots.put(IMAGE)
            reason = Reason.NONE if slot >= 0 else Reason.OVERRUN
            self.parts.frame(Sighting(0, self.born, at_ns, reason=reason, slot=slot, received_ns=at_ns))
        self.parts.expire(now_ns)

    def met(self) -> int:
        """Parts that were judged before their deadlines."""
        return sum(one.decision[0] is Kind.PASS and at_ns < one.part.deadline_ns for one, at_ns in self.settled)


class SlowStudent:
    """Takes its time; meanwhile cameras and lines go on."""

    sample = IMAGE
    pixels = Pixels(InputSpec(8, 8))

    def __init__(self, pass_time: Callable[[int], None]) -> None:
        self._pass_time = pass_time
        self.fails = False

    def look(self, _image: Any, _stamps: Stamps, _clock: Any) -> Scores:
        self._pass_time(ENGINE_NS)
        if self.fails:
            raise EngineError("the engine is gone")
        return Scores(0.1, IMAGE, IMAGE, IMAGE)  # type: ignore[arg-type]

    def judge(self, _scores: Scores) -> tuple[Kind, Reason]:
        return Kind.PASS, Reason.NONE


class World:
    """Stations that share an engine, for so many seconds of virtual time."""

    def __init__(self, every_ms: Sequence[int], jobs: Jobs | None = None) -> None:
        self.clock = ManualClock(SECOND)
        jobs = jobs or Jobs(len(every_ms))
        self.lanes = [Lane(number, self.clock, jobs, every * MS) for number, every in enumerate(every_ms)]
        self.students = [SlowStudent(self.pass_time) for _ in every_ms]
        clients = [
            Client({0: student}, lane.parts, [lane.slots], Timing(), lane.health, lambda *_: False, {})  # type: ignore[dict-item]
            for lane, student in zip(self.lanes, self.students, strict=True)
        ]
        self.inference = Inference(clients, jobs, self.clock, Progress(self.clock, {inference.SOURCE: SECOND}))

    def pass_time(self, duration_ns: int) -> None:
        until_ns = self.clock.now_ns() + duration_ns
        while self.clock.now_ns() < until_ns:
            self.clock.advance(MS)
            for lane in self.lanes:
                lane.live_until(self.clock.now_ns())

    def run(self, seconds: int) -> World:
        end_ns = self.clock.now_ns() + seconds * SECOND
        while self.clock.now_ns() < end_ns:
            if any(lane.slots.taken for lane in self.lanes):
                self.inference.serve(0)
            else:
                self.pass_time(MS)
        return self


class FirstComeFirstServed(Jobs):
    """What one queue for all would do."""

    def _next(self) -> int:
        waiting = {station: jobs[0].ready_ns for station, jobs in enumerate(self._waiting) if jobs}
        return min(waiting, key=waiting.__getitem__)


class EarliestDeadlineFirst(Jobs):
    """What deadlines alone would do."""

    def _next(self) -> int:
        waiting = {station: jobs[0].part.deadline_ns for station, jobs in enumerate(self._waiting) if jobs}
        return min(waiting, key=waiting.__getitem__)


def test_a_station_that_floods_costs_the_other_not_one_deadline() -> None:
    flood, calm = World(every_ms=(10, 100)).run(60).lanes
    ended = len(calm.settled)
    assert ended >= 590 and calm.met() == ended
    assert flood.born >= 10 * calm.born
    reasons = Counter(one.decision[1] for one, _ in flood.settled)
    assert reasons[Reason.OVERRUN] > 1_000, "what it sends too much is refused at once, in its own slots"
    assert flood.met() > 1_500, "and it has all of the engine that the other leaves"


@pytest.mark.parametrize("unfair", [FirstComeFirstServed, EarliestDeadlineFirst])
def test_another_order_would_have_cost_some(unfair: type[Jobs]) -> None:
    _, calm = World(every_ms=(10, 100), jobs=unfair(2)).run(20).lanes
    assert calm.met() < 0.9 * len(calm.settled)


def test_three_calm_stations_beside_two_that_flood() -> None:
    *floods, one, two, three = World(every_ms=(8, 11, 300, 310, 320)).run(30).lanes
    assert all(lane.met() == len(lane.settled) > 90 for lane in (one, two, three))
    assert all(lane.born > 2_500 for lane in floods)


def test_stations_that_the_engine_can_serve_are_all_served_in_time() -> None:
    for lane in World(every_ms=(70, 90)).run(60).lanes:
        assert lane.met() == len(lane.settled) > 600


def test_a_network_that_fails_is_a_fault_of_the_stations_that_judge_by_it() -> None:
    world = World(every_ms=(70, 90))
    world.students[0].fails = True
    world.run(5)
    assert [lane.health.standing.level for lane in world.lanes] == [Level.FAULT, Level.READY]
    assert world.lanes[1].met() == len(world.lanes[1].settled) > 40
