"""A line of 10,000 parts whose camera errs at random: no part passes by another's picture, who has none is UNKNOWN.

Everything between the camera and the verdict is the station's own; the picture of each part carries its number.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from edge import options
from edge.capture import About, EndOfPictures
from edge.clock import MS, SECOND, ManualClock
from edge.eye.camera_watch import CameraWatch
from edge.eye.jobs import Job
from edge.eye.parts import Parts, Settled
from edge.eye.sight import Sight, source_of
from edge.eye.slots import Slots
from edge.health import Health, Progress
from edge.pairing import View
from edge.records import Frame, Kind, Part, Reason, TimeSource
from edge.report import Counts

PARTS = 10_000
PITCH, WINDOW, OFFSET, ERR = 50 * MS, 10 * MS, 8 * MS, MS
DEADLINE = 200 * MS
JUDGING = 12 * MS
FAULTS = ("late", "early", "repeated", "frozen", "missing", "after its deadline")


@dataclass(frozen=True)
class Shot:
    """A frame as the camera delivers it: whose picture it is, when it was captured and when it comes."""

    shows: int
    captured_ns: int
    arrives_ns: int
    counter: int


def picture(number: int) -> np.ndarray:
    """Noise that no two parts share, with the part's number in its first pixels."""
    image = np.random.default_rng(number).integers(60, 190, (16, 32), np.uint8)
    image[0, :4] = np.frombuffer(number.to_bytes(4, "big"), np.uint8) % 100 + 60
    return image


def number_in(image: np.ndarray) -> int:
    """The part in the picture, by all of its noise."""
    return SHOWN[image.tobytes()]


SHOWN: dict[bytes, int] = {}


def births(luck: random.Random) -> list[int]:
    """When the parts come, in ns: one to two pitches apart."""
    gaps = (round(PITCH * luck.uniform(1.0, 2.0)) for _ in range(PARTS))
    return list(itertools.accumulate(gaps, initial=SECOND))[:PARTS]


def shot(luck: random.Random, number: int, born_ns: int, fault: str, counted: bool) -> Shot | None:
    """What the camera does of this part. Without a counter a frame errs by less than the gap between two windows:
    by time alone one that errs further is the neighbour's."""
    captured = born_ns + OFFSET + round(luck.uniform(-1, 1) * WINDOW)
    beyond = WINDOW + 2 * ERR + round(luck.uniform(0.1, 3 * 50 if counted else 25) * MS)
    if fault == "missing":
        return None
    if fault == "late":
        captured = born_ns + OFFSET + beyond
    elif fault == "early":
        captured = born_ns + OFFSET - min(beyond, WINDOW + 27 * MS)
    arrives = captured + luck.choice((MS, 5 * MS, 20 * MS))
    if fault == "after its deadline":
        arrives = born_ns + DEADLINE + luck.randrange(PITCH)
    return Shot(number, captured, arrives, number + 7 if counted else -1)


class Line:
    """The line, its camera and its judge, in virtual time; `read` is the camera's, and all else happens within it."""

    def __init__(self, seed: int, counted: bool) -> None:
        luck = random.Random(seed)
        born = births(luck)
        self.faults = [luck.choice(FAULTS) if luck.random() < 0.15 else "" for _ in born]
        self.faults[0] = ""
        shots: list[Shot] = []
        for number, (at_ns, fault) in enumerate(zip(born, self.faults, strict=True)):
            if fault == "repeated":
                shots.append(Shot(shots[-1].shows, shots[-1].captured_ns, at_ns + OFFSET, shots[-1].counter))
                continue
            made = shot(luck, number, at_ns, fault, counted)
            if made and fault == "frozen":  # the content that came last, with a new time
                made = replace(made, shows=shots[-1].shows)
            shots += [made] if made else []
        self.clock = ManualClock()
        self.shown: dict[int, int] = {}
        self.verdicts: dict[int, tuple[Kind, Reason]] = {}
        self._shots = iter(self._in_order(shots))
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self.slots = Slots(32)
        view = View("top", OFFSET, WINDOW, triggered=True)
        self._jobs: deque[Job] = deque()
        self.parts = Parts([view], (self.slots,), self._settled, lambda _: None, self._jobs.append)
        tells = sorted((at_ns + luck.choice((0, 3 * MS, 15 * MS)), number) for number, at_ns in enumerate(born))
        self._births = iter([(at_ns, self._part(number, born[number])) for at_ns, number in tells])
        self._next_birth = next(self._births)

    @staticmethod
    def _in_order(shots: list[Shot]) -> Iterator[Shot]:
        """A camera's frames do not overtake each other."""
        arrives_ns = 0
        for each in shots:
            arrives_ns = max(arrives_ns, each.arrives_ns)
            yield Shot(each.shows, each.captured_ns, arrives_ns, each.counter)

    @staticmethod
    def _part(number: int, born_ns: int) -> Part:
        return Part(number, born_ns, ERR, born_ns, born_ns + DEADLINE, born_ns + 2 * DEADLINE, token=number + 1)

    # --- the camera ---

    def open(self) -> None: ...

    def close(self) -> None: ...

    def about(self) -> About:
        return About()

    def read(self, timeout_s: float) -> Frame:
        try:
            made = next(self._shots)
        except StopIteration:
            self._pass_until(1 << 60)
            raise EndOfPictures from None
        self._pass_until(made.arrives_ns)
        image = picture(made.shows)
        SHOWN.setdefault(image.tobytes(), made.shows)
        return Frame(image, "top", 0, made.captured_ns, ERR, TimeSource.SENSOR, made.counter)

    # --- everybody else ---

    def _pass_until(self, until_ns: int) -> None:
        """Births, verdicts and deadlines up to here, in their order."""
        while True:
            self._take_jobs()
            birth_ns, part = self._next_birth
            judged_ns = self._due[0][0] if self._due else 1 << 61
            limit_ns = self.parts.next_limit_ns() or 1 << 61
            at_ns = min(birth_ns, judged_ns, limit_ns)
            if at_ns > until_ns:
                break
            self.clock.sleep_until(at_ns)
            if at_ns == birth_ns:
                self._next_birth = next(self._births, (1 << 61, part))
                self.parts.born(part, at_ns)
            elif at_ns == judged_ns:
                self._due.pop(0)[2]()
            self.parts.expire(at_ns)
        if until_ns < 1 << 60:
            self.clock.sleep_until(until_ns)

    def _take_jobs(self) -> None:
        while self._jobs:
            job = self._jobs.popleft()
            self.shown[job.part.part_id] = number_in(self.slots.image(job.slot))
            self.slots.free(job.slot)
            done = lambda job=job: self.parts.judged(job, (Kind.PASS, Reason.NONE), 0.1)  # noqa: E731
            self._due.append((self.clock.now_ns() + JUDGING, job.part.part_id, done))

    def _settled(self, one: Settled) -> None:
        assert one.part.part_id not in self.verdicts
        self.verdicts[one.part.part_id] = one.decision
        self.parts.ended(one.part.part_id)


@pytest.mark.parametrize("counted", [False, True], ids=["by time", "by trigger counter"])
def test_of_ten_thousand_parts_none_is_judged_by_anothers_picture(counted: bool) -> None:
    SHOWN.clear()
    line = Line(seed=11, counted=counted)
    camera = options.BeltCamera(kind="belt", name="top")
    progress = Progress(line.clock, {source_of(camera): SECOND})
    started = threading.Event()
    started.set()
    room = (line.parts, line.slots, itertools.count(1), line.clock, Counts(), Health(), None, started)
    CameraWatch(line, [Sight(0, camera, *room)], line.clock, progress).run(threading.Event())

    assert sorted(line.verdicts) == list(range(PARTS)), "every part has one verdict"
    passed = {number for number, (kind, _) in line.verdicts.items() if kind is Kind.PASS}
    assert all(line.shown[number] == number for number in passed), "no part passed by another's picture"
    without = {number for number, fault in enumerate(line.faults) if fault}
    assert not passed & without, "a part whose picture is late, early, repeated or missing is UNKNOWN"
    assert Counter(line.faults[number] for number in without).keys() == set(FAULTS)
    assert len(passed) > 0.75 * (PARTS - len(without)), "the others are judged"
