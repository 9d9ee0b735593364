"""The gate and the line permit as devices: a coil that obeys, fails or lies, and a valve that lags behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from edge.clock import MS
from edge.errors import OutputError

_KEPT_NS = 20_000 * MS
_BROKEN_MS = 3.0  # a device that is away answers that it is


class Time(Protocol):
    """What a device needs of the world: the time, and that it goes on while the line waits for the device."""

    now_ns: int

    def pass_ns(self, duration_ns: int) -> None:
        """Let time pass in which the line process is busy."""
        ...

    def at(self, at_ns: int, happens: Callable[..., None], *values: object) -> None:
        """Let this happen then."""
        ...


class Spans:
    """Times during which something held; `open_ns` while it holds still."""

    def __init__(self) -> None:
        self.open_ns: int | None = None
        self._closed: deque[tuple[int, int]] = deque()

    def begin(self, now_ns: int) -> None:
        """It holds from now on, if it did not already."""
        if self.open_ns is None:
            self.open_ns = now_ns

    def end(self, now_ns: int) -> None:
        """It no longer holds."""
        if self.open_ns is not None:
            self.add(self.open_ns, now_ns)
            self.open_ns = None

    def add(self, from_ns: int, to_ns: int) -> None:
        """It held during this time."""
        self._closed.append((from_ns, to_ns))
        while self._closed[0][1] < to_ns - _KEPT_NS:
            self._closed.popleft()

    def touch(self, from_ns: int, to_ns: int) -> bool:
        """Whether it held at any time from `from_ns` to `to_ns`, both included."""
        if self.open_ns is not None and self.open_ns <= to_ns:
            return True
        return any(since <= to_ns and from_ns <= until for since, until in self._closed)


class Valve:
    """Follows the coil `on_lag_ns` or `off_lag_ns` later; `active` says where it stands at a time."""

    def __init__(self, on_lag_ns: int, off_lag_ns: int) -> None:
        self._lags = {True: on_lag_ns, False: off_lag_ns}
        self._stuck = False
        self._moves: deque[tuple[int, bool]] = deque([(0, False)])

    def stick(self, now_ns: int) -> None:
        """It stays where it is, whatever the coil does."""
        self._stuck, self._moves = True, deque([(0, self.active(now_ns))])

    def loosen(self, level: bool, now_ns: int) -> None:
        """It follows again, and goes where the coil stands."""
        self._stuck = False
        self.follow(level, now_ns)

    def follow(self, level: bool, now_ns: int) -> None:
        """The coil changed; a command that has not moved anything yet is overtaken by the newer one."""
        if self._stuck:
            return
        at_ns = now_ns + self._lags[level]
        while len(self._moves) > 1 and self._moves[-1][0] >= at_ns:
            self._moves.pop()
        self._moves.append((at_ns, level))
        while len(self._moves) > 1 and self._moves[1][0] < now_ns:
            self._moves.popleft()

    def active(self, now_ns: int) -> bool:
        for at_ns, level in reversed(self._moves):
            if at_ns <= now_ns:
                return level
        return self._moves[0][1]


class Coil:
    """An output of the line. `moved` hears of every change of its true level.

    `faults` are taken up by the next writes, one each: "fails" (refused), "loses" (obeyed, but the answer is lost),
    "lies" (said to be done, and is not), or a number of ms for which it blocks. While `away` nothing works.
    """

    def __init__(self, time: Time, write_ns: int, confirms: bool, watchdog_ns: int, moved: Callable[[bool], None]):
        self._time = time
        self.write_ns = write_ns
        self._confirms = confirms
        self._watchdog_ns = watchdog_ns
        self._moved = moved
        self._fed_ns = 0
        self._watched = False
        self.level = False
        self.away = False
        self.faults: deque[str | float] = deque()
        self.disobeys = Spans()  # what was commanded, or reported to have failed, is not what is
        self.lied = Spans()
        self.blocks = Spans()
        self.writes = 0

    # --- what the line calls ---

    def arm(self) -> None:
        self._command(False)

    def write(self, active: bool) -> int:
        return self._command(active)

    def rest(self) -> None:
        self._command(False)

    def close(self) -> None:
        """Nothing is held that needs closing."""

    # --- what it does ---

    def _command(self, level: bool) -> int:
        self.writes += 1
        fault = "away" if self.away else self.faults.popleft() if self.faults else ""
        if isinstance(fault, float):
            self._block(fault)
            fault = ""
        if fault in ("away", "fails"):
            self.disobeys.begin(self._time.now_ns)
            self._block(_BROKEN_MS)
            raise OutputError(f"it {fault}: a fault of the test")
        if fault == "lies":
            self.lied.begin(self._time.now_ns)
        else:
            self._obey(level, fault)
        return self._time.now_ns if self._confirms else 0

    def _block(self, ms: float) -> None:
        """The line waits for the device."""
        self.blocks.begin(self._time.now_ns)
        self._time.pass_ns(round(ms * MS))
        self.blocks.end(self._time.now_ns)

    def _obey(self, level: bool, fault: str) -> None:
        """Somewhere within the write the device obeys: at its end where it confirms, halfway where it does not."""
        after_ns = self.write_ns if self._confirms else self.write_ns // 2
        self._time.pass_ns(after_ns)
        self.fed()
        self.set(level)
        self.lied.end(self._time.now_ns)
        if fault == "loses":
            self.disobeys.begin(self._time.now_ns)
            raise OutputError("the answer is lost: a fault of the test")
        self.disobeys.end(self._time.now_ns)
        self._time.pass_ns(self.write_ns - after_ns)

    def set(self, level: bool) -> None:
        """The true level, by command or by itself."""
        if level is not self.level:
            self.level = level
            self._moved(level)

    # --- its watchdog ---

    def fed(self) -> None:
        """Somebody wrote: the watchdog waits anew."""
        self._fed_ns = self._time.now_ns
        if self._watchdog_ns and not self._watched:
            self._watched = True
            self._time.at(self._fed_ns + self._watchdog_ns, self._look)

    def _look(self) -> None:
        due_ns = self._fed_ns + self._watchdog_ns
        if due_ns > self._time.now_ns:
            self._time.at(due_ns, self._look)
            return
        self._watched = False
        self.set(False)
