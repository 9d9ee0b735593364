"""An encoder on the belt: a counter that wraps, read every few ms, and what can go wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from math import floor

from edge.clock import MS
from edge.line.events import ENCODER, Counted, Event, InputBack, InputLost
from tests.conveyor.actuator import Spans, Time
from tests.conveyor.belt import Belt
from tests.conveyor.plant import Plant

_GAP_IN_POLLS = 10
_RETRY_NS = 100 * MS
_TOLD_NS = 100_000


class Encoder:
    """`tell` takes an event as the line's thread would; `stopped_ns` says until when the line's process stands still.

    `dead` are the times in which it stood, whatever the belt did, until the line noticed.
    """

    def __init__(
        self, time: Time, belt: Belt, plant: Plant, tell: Callable[[Event], None], stopped_ns: Callable[[], int]
    ) -> None:
        self._time = time
        self._belt = belt
        self._plant = plant
        self._tell = tell
        self._stopped_ns = stopped_ns
        self._offset = 0
        self._frozen: int | None = None
        self._opened = 0  # which opening the ticks belong to
        self._last_ns = 0
        self.scale = plant.per_mm
        self.is_away = False
        self.is_anew = False  # and the line has not said so yet
        self.dead = Spans()

    def counter(self) -> int:
        """What it says now."""
        if self._frozen is not None:
            return self._frozen
        return (floor(self._belt.mm(self._time.now_ns) * self.scale) + self._offset) % (1 << self._plant.bits)

    # --- the line's thread ---

    def open(self) -> None:
        """The line's process opens it, or tries to until it can."""
        self._opened += 1
        self._try(self._opened)

    def _try(self, opened: int) -> None:
        if opened != self._opened:
            return
        if self.is_away:
            self._time.at(self._time.now_ns + _RETRY_NS, self._try, opened)
            return
        self._tell(InputBack(ENCODER))
        self._last_ns = 0
        self._read(opened)

    def _read(self, opened: int) -> None:
        now_ns = self._time.now_ns
        if opened != self._opened:
            return
        if self._stopped_ns() > now_ns:
            self._time.at(self._stopped_ns(), self._read, opened)
            return
        poll_ns = round(self._plant.poll * MS)
        if self.is_away or (self._last_ns and now_ns - self._last_ns > _GAP_IN_POLLS * poll_ns):
            self._tell(InputLost("a fault of the test", ENCODER))
            self._time.at(now_ns + _RETRY_NS, self._try, opened)
            return
        self._last_ns = now_ns
        self._time.at(now_ns + _TOLD_NS, self._tell, Counted(self.counter(), now_ns))
        self._time.at(now_ns + poll_ns, self._read, opened)

    # --- what happens to it ---

    def begin_anew(self) -> None:
        """Its power was off: it counts from nothing."""
        self._offset -= self.counter()
        self.is_anew = True

    def lose(self, mm: float) -> None:
        """It misses some pulses."""
        self._offset -= round(mm * self.scale)

    @property
    def is_frozen(self) -> bool:
        return self._frozen is not None

    def freeze(self) -> None:
        """Its coupling breaks: it stands whatever the belt does."""
        self._frozen = self.counter()
        self.dead.begin(self._time.now_ns)

    def noticed(self) -> None:
        """The line knows, and has acted."""
        self.dead.end(self._time.now_ns)

    def thaw(self) -> None:
        """It is mended and goes on from what it says."""
        frozen, self._frozen = self._frozen, None
        if frozen is not None:
            self._offset += frozen - self.counter()
