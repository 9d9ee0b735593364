"""A photo-eye that sees parts as they truly are, and tells of them late, twice, not at all, or that it lost some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from edge.clock import MS
from edge.line.events import EdgeSeen, Event, InputBack, InputLost
from edge.records import Edge, TimeSource
from tests.conveyor.actuator import Spans, Time
from tests.conveyor.item import Item
from tests.conveyor.plant import TOLD_MS

BOUNCE_NS = 2 * MS


def _nobody(*_: object) -> None:
    """Nobody hears of it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Who hears what the photo-eye truly sees: which item a rising edge belongs to, one that was counted, as which, and
    not told, which one another one touches, so that they look like one. `wire` follows every true rise."""

    shows: Callable[[int, Item], None]
    missed: Callable[[Item, int], None] = _nobody
    touched: Callable[[Item, Item], None] = _nobody
    wire: Callable[[], None] = _nobody


class PhotoEye:
    """`tell` takes an event as the input's thread would."""

    def __init__(
        self,
        time: Time,
        source: str,
        error_ms: float,
        tell: Callable[[Event], None],
        sight: Sight,
        dice: Random,
    ) -> None:
        self._time = time
        self._source = source
        self._error_ns = round(error_ms * MS)
        self._tell = tell
        self._sight = sight
        self._first: Item | None = None  # what covered it first of all that covers it now
        self._dice = dice
        self._covering = 0
        self._rises = 0
        self._edge_ns = 0
        self._told_ns = 0
        self._hidden = False  # the item before it now is one that it does not see come
        self._goes_told = False  # but go
        self.is_lost = False
        self.late_ms = 0.0  # the next edges are told so much later
        self.told_late = Spans()
        self.skips = 0  # the next so many parts are counted but not told
        self.tells_going = False  # but of them only that they left

    def covers(self, item: Item, forwards: bool) -> None:
        """An item's front reaches it, or leaves it on a reversing belt."""
        self._count(1 if forwards else -1, item)

    def uncovers(self, item: Item, forwards: bool) -> None:
        """An item's rear has passed it, or comes back."""
        self._count(-1 if forwards else 1, item)

    def _count(self, change: int, item: Item) -> None:
        before = self._covering
        self._covering += change
        if (before > 0) is (self._covering > 0):
            if self._first is not None and change > 0:
                self._sight.touched(self._first, item)
            return
        if self._covering:
            self._rise(item)
        else:
            self._fall(item)

    def _rise(self, item: Item) -> None:
        self._rises += 1
        self._first = item
        self._sight.wire()
        self._hidden = self.is_lost or self.skips > 0
        self._goes_told = self.tells_going
        if self.skips > 0 and not self.is_lost:
            self.skips -= 1
            self._sight.missed(item, self._rises)
        if self._hidden:
            return
        self._edge(True, item)
        if item.bounces:
            self._time.at(self._time.now_ns + BOUNCE_NS, self._bounce, item)

    def _bounce(self, item: Item) -> None:
        if not self._hidden and not self.is_lost and self._covering:
            self._edge(False, item)
            self._rises += 1
            self._sight.wire()
            self._edge(True, item)

    def _fall(self, item: Item) -> None:
        if not self.is_lost and (self._goes_told or not self._hidden):
            self._edge(False, item)

    def _edge(self, level: bool, item: Item) -> None:
        now_ns = self._time.now_ns
        error_ns = self._dice.randint(-self._error_ns, self._error_ns)
        self._edge_ns = max(self._edge_ns + 1, now_ns + error_ns)
        edge = Edge(level, self._edge_ns, self._error_ns, TimeSource.POLL, self._rises)
        if level:
            self._sight.shows(self._edge_ns, item)
        late_ns = self._error_ns + round((self._dice.uniform(0, TOLD_MS) + self.late_ms) * MS)
        self._told_ns = max(self._told_ns + 1, now_ns + late_ns)
        if self._told_ns > now_ns + self._error_ns + round((TOLD_MS + 0.5) * MS):
            self.told_late.add(now_ns, self._told_ns)
        self._time.at(self._told_ns, self._tell, EdgeSeen(edge, self._source))

    # --- the device ---

    def lose(self, told_after_ms: float) -> None:
        """The device is away; the line hears of it a little later."""
        self.is_lost = True
        self._told_ns = max(self._told_ns + 1, self._time.now_ns + round(told_after_ms * MS))
        self._time.at(self._told_ns, self._tell, InputLost("a fault of the test", self._source))

    def find(self) -> None:
        """The device works again; what stands before it now is not seen to have come, but is seen to go."""
        self.is_lost = self._hidden = False
        self._told_ns = max(self._told_ns + 1, self._time.now_ns)
        self._time.at(self._told_ns, self._tell, InputBack(self._source, self._covering > 0))
