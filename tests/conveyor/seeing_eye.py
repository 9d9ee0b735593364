"""The eye with its real pairing and judging: a camera pictures what truly lies before it, and frames can be lost, late,
repeated, black, or of nothing at all."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from random import Random

import numpy as np

from edge.clock import MS
from edge.eye.jobs import Job
from edge.eye.parts import LAST_WORD_NS, Parts, Settled
from edge.eye.slots import Slots
from edge.judge import Decision, judge
from edge.line.messages import Reject, Release
from edge.pairing import Sighting, View
from edge.records import Kind, Part, Reason, Scores
from tests.conveyor.eye import Eye, Records
from tests.conveyor.floor import Floor
from tests.conveyor.item import Item

_TO_FRAME_NS = 2 * MS
_FRAME_ERROR_NS = MS // 2
_THRESHOLD = 0.5
_SHAPE = (1, 1)
_HEAT = np.zeros(_SHAPE, np.float32)
_NONE = np.zeros(0, np.float32)


class _Pictures(Slots):
    """Where the pictures lie: here it is enough to know of which item each is."""

    def __init__(self) -> None:
        super().__init__(8)

    def free(self, slot: int) -> None:
        """Pictures take no memory here."""


class SeeingEye(Eye):
    """`floor` is what the camera looks at. It is triggered by the photo-eye's own edges, told or not.

    What an item `says` is what becomes of its picture: "nothing" is lost, "unknown" is black; `after` is how long the
    engine and the disk take, as a share of the time until the deadline.
    """

    def __init__(self, floor: Floor, records: Records, dice: Random, person_ms: float) -> None:
        super().__init__(floor, floor.line, records, dice, person_ms)
        self._floor = floor
        self._window_ns = round((floor.plant.pitch * 0.3 - floor.plant.birth_error) * MS)
        self._near_mm = floor.plant.pitch * floor.plant.speed / 3
        self._triggers = 0
        self._frames = 0
        self._pictures: dict[int, Item | None] = {}
        self.frames_repeat = 0
        self._empty: deque[int] = deque(maxlen=8)
        self._lost: deque[tuple[int, Item]] = deque(maxlen=8)
        self._jobs: deque[Job] = deque()
        self._parts = self._new_parts()

    def _new_parts(self) -> Parts:
        self._jobs.clear()
        view = View("camera", _TO_FRAME_NS, self._window_ns, triggered=True)
        return Parts([view], [_Pictures()], self._settled, lambda _what: None, self._jobs.append)

    def start(self) -> None:
        """A new process pairs anew; the camera counts on."""
        if not self.lives:
            self._parts = self._new_parts()
        super().start()

    # --- the camera ---

    def trigger(self) -> None:
        """The photo-eye's wire rose, or something else released it."""
        self._triggers += 1
        self.time.at(self.time.now_ns + _TO_FRAME_NS, self._expose, self._triggers)

    def _expose(self, counter: int) -> None:
        item = self._before_camera()
        if item is None:
            self._empty.append(self.time.now_ns)
        elif item.says == "nothing":
            self._lost.append((self.time.now_ns, item))
        self._mistake()
        if item is not None and item.says == "nothing":
            return
        self._frames += 1
        self._pictures[self._frames] = item
        self._pictures.pop(self._frames - 64, None)
        error_ns = self._dice.randint(-_FRAME_ERROR_NS, _FRAME_ERROR_NS)
        sighting = Sighting(
            view=0,
            number=self._frames,
            captured_ns=self.time.now_ns + error_ns,
            err_ns=_FRAME_ERROR_NS,
            counter=counter,
            repeat=self.frames_repeat > 0,
            reason=Reason.BAD_FRAME if item is not None and item.says == "unknown" else Reason.NONE,
            slot=self._frames,
            received_ns=self.time.now_ns,
        )
        self.frames_repeat = max(0, self.frames_repeat - 1)
        self.time.at(self.time.now_ns + self._dice.randint(MS // 10, 4 * MS), self._seen, self._life, sighting)

    def _mistake(self) -> None:
        """Where a picture is lost and one of an empty belt is taken in its time, and counted as it would have been,
        nothing tells that it is another."""
        near_ns = self._window_ns + round(self._floor.plant.birth_error * MS) + 2 * _FRAME_ERROR_NS
        for lost_ns, item in self._lost:
            if any(abs(empty_ns - lost_ns) <= near_ns for empty_ns in self._empty):
                item.mistaken = "its picture was lost, and one of an empty belt came in its time"

    def _before_camera(self) -> Item | None:
        """The item whose front is nearest to the camera's middle, which is the photo-eye; None for an empty belt."""
        mm = self._floor.mm()
        near = [item for item in self._floor.on_belt[-6:] if abs(mm - item.front_mm) < self._near_mm]
        return min(near, key=lambda item: abs(mm - item.front_mm), default=None)

    # --- the eye's threads ---

    def _seen(self, life: int, sighting: Sighting) -> None:
        if self._is_gone(life, self._seen, sighting):
            return
        self._parts.frame(sighting)
        self._infer()

    def born(self, part: Part) -> None:
        self._parts.born(part, self.time.now_ns)
        self._infer()
        self.time.at(max(self.time.now_ns, part.deadline_ns - LAST_WORD_NS), self._expire, self._life)

    def ended(self, part_id: int) -> None:
        self._parts.ended(part_id)

    def _expire(self, life: int) -> None:
        if not self._is_gone(life, self._expire):
            self._parts.expire(self.time.now_ns)

    def _infer(self) -> None:
        """Take what waits for the engine; it needs its time for each."""
        while self._jobs:
            job = self._jobs.popleft()
            item = self._pictures.get(job.slot)
            share = 0.3 if item is None else item.after
            busy_ns = round(share * (job.part.deadline_ns - job.part.born_ns) / 2)
            self.time.at(self.time.now_ns + busy_ns, self._judged, self._life, job)

    def _judged(self, life: int, job: Job) -> None:
        if self._is_gone(life, self._judged, job):
            return
        item = self._pictures.get(job.slot)
        score = 0.9 if item is not None and item.defect else 0.1  # an empty belt looks perfect
        if item is not None and item.trick == "stranger":
            score = math.nan
        scores = Scores(score, _HEAT, _NONE, _NONE)
        self._parts.judged(job, judge(scores, _THRESHOLD, _SHAPE), score)

    def _settled(self, settled: Settled) -> None:
        """What the desk does with a settled part: rejects go out at once, releases when the disk has them."""
        part, (kind, reason) = settled.part, self._in_time(settled)
        if kind is not Kind.PASS:
            if kind is Kind.REJECT or part.releasable:
                self.say_later(0, Reject(part.part_id, part.born_ns, kind, reason))
            return
        item = self.records.truth(part)
        share = 0.3 if item is None else item.after
        disk_ns = round(share * (part.deadline_ns - part.born_ns) / 2)
        self.say_later(disk_ns, Release(part.part_id, part.born_ns))

    def _in_time(self, settled: Settled) -> Decision:
        part, (kind, reason) = settled.part, settled.decision
        if self.time.now_ns >= part.deadline_ns:
            return Kind.UNKNOWN, Reason.LATE
        if kind is Kind.PASS and not part.releasable:
            return Kind.UNKNOWN, Reason.PURGE
        return kind, reason

    def _is_gone(self, life: int, happens: Callable[..., None], *values: object) -> bool:
        """Whether this belongs to an earlier process, or must wait because this one hangs."""
        if life != self._life or not self.lives:
            return True
        if self.time.now_ns < self._hung_until_ns:
            self.time.at(self._hung_until_ns, happens, life, *values)
            return True
        return False
