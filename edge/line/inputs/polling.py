"""An input that a Modbus device is asked for again and again: the pace, and what happens to a poll that fails."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from edge.clock import MS, SECOND, Clock
from edge.errors import InputError
from edge.line.inputs.pacing import Pacer
from edge.line.modbus_link import ModbusLink
from edge.records import Edge

_GAP_IN_POLLS = 10

T = TypeVar("T")


class Polled(ABC):
    """Polls every `poll_ms` while `wait` runs; what is asked, and what follows from the answer, the kind says.

    Two polls further apart than ten intervals (a stopped process, a resent packet) are a lost device: a part may
    have passed in between, so the input must be opened again and the zone purged. `wait` and `close` may run in two
    threads. `wait` overruns its timeout by one request at most (`timeout_ms`).
    """

    def __init__(self, link: ModbusLink, poll_ms: float, clock: Clock) -> None:
        self._link = link
        self._poll_ns = round(poll_ms * MS)
        self._clock = clock
        self._pacer = Pacer(clock)
        self._in_use = threading.Lock()
        self._next_poll_ns = 0
        self._polled_ns = 0  # when the last poll began, 0 before the first

    @abstractmethod
    def _begin(self) -> None:
        """Ask for the first time. Raises InputError."""

    @abstractmethod
    def _look(self) -> Edge | None:
        """Ask again; the edge that shows, or one that is still to be told. Raises InputError."""

    @abstractmethod
    def level(self) -> bool:
        """See the Protocol."""

    def open(self) -> None:
        """Connect and ask once. Edges that came before are not reported. Raises InputError."""
        self._link.connect()
        self._polled_ns = 0
        self._begin()
        self._pacer.start()

    def wait(self, timeout_s: float) -> Edge | None:
        """The next edge; see the Protocol. After an InputError it has to be opened again."""
        if self._pacer.stopped:
            raise InputError(f"{self._link} is not open: open the input before waiting")
        until_ns = self._clock.now_ns() + round(timeout_s * SECOND)
        while self._pacer.sleep_until(min(self._next_poll_ns, until_ns)):
            if self._clock.now_ns() >= self._next_poll_ns:
                edge = self._poll()
                if edge is not None:
                    return edge
            if self._clock.now_ns() >= until_ns:
                return None
        return None

    def close(self) -> None:
        """Wakes a waiting `wait` at once; may be called twice."""
        self._pacer.stop()
        self._link.interrupt()
        with self._in_use:
            self._link.close()

    def _poll(self) -> Edge | None:
        with self._in_use:
            try:
                return self._look()
            except InputError:
                if self._pacer.stopped:  # closed by another thread, not lost
                    return None
                self._pacer.stop()
                raise

    def _ask(self, request: Callable[[], T]) -> tuple[T, int, int]:
        """The answer, and when the request began and ended. Raises InputError, also when it comes too late."""
        before_ns = self._polled_ns
        from_ns = self._polled_ns = self._clock.now_ns()
        self._next_poll_ns = from_ns + self._poll_ns
        answer = request()
        to_ns = self._clock.now_ns()
        if before_ns and to_ns - before_ns > _GAP_IN_POLLS * self._poll_ns:
            raise InputError(
                f"{self._link} was not polled for {(to_ns - before_ns) // MS} ms, parts may have passed unseen: "
                f"look for network trouble, or lengthen trigger.poll_ms where the device is slow"
            )
        return answer, from_ns, to_ns
