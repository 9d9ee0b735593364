"""Parts that come past a photo-eye and a camera of the tests, whose frames err at random; each picture is marked."""

from __future__ import annotations

import itertools
import random
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from edge.clock import MS, SECOND, SystemClock
from tests.eye.stations import DARK
from tests.peers import ModbusServer
from tests.peers.gige_vision import GvCamera

INPUT = 4
WIDTH, HEIGHT = 64, 48
CELL, DIGITS = 8, 16  # a part's number stands in cells of so many pixels, one a binary digit
OFFSET_MS, WINDOW_MS = 30, 6
PITCH_MS = 70  # and up to 40 more
FAULTS = ("late", "early", "repeated", "frozen", "lost", "not taken")
OF_THE_ONE_BEFORE = ("repeated", "frozen")  # what they send is of the frame before
NEVER_SEEN = ("repeated", "lost")
SHARE = 0.12  # of the parts


@dataclass
class Shown:
    """What became of a part before the station saw it; times in ns. The photo-eye rose between `rose_ns` and
    `stood_ns`; `exposed_ns` is 0 where no frame was taken of it."""

    fault: str
    rose_ns: int = 0
    stood_ns: int = 0
    exposed_ns: int = 0

    def is_from_ns(self, born_ns: int) -> int:
        """By how much a birth misses its edge, at least."""
        return max(0, self.rose_ns - born_ns, born_ns - self.stood_ns)

    def is_off_by_ns(self) -> int:
        """By how much its frame missed its instant, at least."""
        instants = (self.rose_ns + OFFSET_MS * MS, self.stood_ns + OFFSET_MS * MS)
        return max(0, instants[0] - self.exposed_ns, self.exposed_ns - instants[1])


@dataclass
class FaultyLine:
    """`run` brings so many parts, 70 to 110 ms apart, and returns when the last is past; its thread must be punctual.

    Of some parts the frame comes too late or too early, is lost on the wire while the one before it is sent again
    (repeated) or not (lost), shows what the one before it showed (frozen), or is not taken at all. What is sent or
    shown again has arrived before: nobody could tell an old picture that comes for the first time in the right instant,
    and a lost frame that comes later is that part's own.
    """

    server: ModbusServer
    parts: int
    seed: int = 7
    shown: list[Shown] = field(default_factory=list)
    _lost: set[int] = field(default_factory=set)
    _frames: list[int] = field(default_factory=list)  # the part that each exposed frame shows

    def __post_init__(self) -> None:
        luck = random.Random(self.seed)
        faults = [luck.choice(FAULTS) if luck.random() < SHARE else "" for _ in range(self.parts)]
        self.shown = []
        before = ""  # the fault of the frame that would be sent or shown again
        for number, fault in enumerate(faults):
            if fault in OF_THE_ONE_BEFORE and before in NEVER_SEEN:
                fault = "lost"
            self.shown.append(Shown(fault if number else ""))
            before = before if fault == "not taken" else self.shown[-1].fault
        self._luck = luck
        self._clock = SystemClock()
        self.camera = GvCamera(content=self._content, lose=lambda frame, packet: frame in self._lost)

    def run(self) -> None:
        began_ns = self._clock.now_ns() + SECOND
        for at_ns, do in sorted(self._script(), key=lambda each: each[0]):
            self._clock.sleep_until(began_ns + at_ns)
            do()

    def _script(self) -> Iterator[tuple[int, Callable[[], None]]]:
        gaps = (round(MS * self._luck.uniform(PITCH_MS, PITCH_MS + 40)) for _ in self.shown)
        for number, born_ns in enumerate(itertools.accumulate(gaps)):
            yield born_ns, lambda number=number: self._rise(number)
            yield born_ns + 22 * MS, lambda: self.server.set_input(INPUT, False)
            beyond = round(self._luck.uniform(15, 21) * MS)
            by_ns = {"late": beyond, "early": -beyond}.get(self.shown[number].fault, 0)
            yield born_ns + OFFSET_MS * MS + by_ns, lambda number=number: self._expose(number)

    def _rise(self, number: int) -> None:
        shown = self.shown[number]
        shown.rose_ns = self._clock.now_ns()
        self.server.set_input(INPUT, True)
        shown.stood_ns = self._clock.now_ns()

    def _expose(self, number: int) -> None:
        shown = self.shown[number]
        if shown.fault == "not taken":
            return
        if shown.fault in ("repeated", "lost"):
            self._lost.add(len(self._frames))  # the camera may still be busy with the one before
        before = self._frames[-1] if self._frames else number
        self._frames.append(before if shown.fault == "frozen" else number)
        shown.exposed_ns = self._clock.now_ns()
        self.camera.edge()
        if shown.fault == "repeated":
            self.camera.again(2)

    def _content(self, frame: int, width: int, height: int, pixel_format: str) -> bytes:
        return picture(self._frames[frame]).tobytes()

    def part_at(self, born_ns: int) -> int:
        """The part whose edge is nearest to this birth, wherever the edge lies between its two times."""
        after = bisect_left(self.shown, born_ns, key=lambda shown: shown.stood_ns)
        near = [number for number in (after - 1, after) if 0 <= number < len(self.shown)]
        return min(near, key=lambda number: self.shown[number].is_from_ns(born_ns))


def picture(number: int) -> np.ndarray:
    """Noise of its own that every student here calls good, and the part's number, which a JPEG does not blur."""
    image = np.random.default_rng(number).integers(DARK - 20, DARK + 20, (HEIGHT, WIDTH), np.uint8)
    for digit in range(DIGITS):
        row, column = divmod(digit, WIDTH // CELL)
        cell = image[CELL * row + 16 : CELL * (row + 1) + 16, CELL * column : CELL * (column + 1)]
        cell //= 8
        cell += 120 * (number >> digit & 1)
    return image


def number_in(image: np.ndarray) -> int:
    """The number that a picture shows."""
    number = 0
    for digit in range(DIGITS):
        row, column = divmod(digit, WIDTH // CELL)
        cell = image[CELL * row + 18 : CELL * (row + 1) + 14, CELL * column + 2 : CELL * (column + 1) - 2]
        number |= int(cell.mean() > 60) << digit
    return number
