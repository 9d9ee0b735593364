"""Sleeping towards an instant so that another thread can end it."""

from __future__ import annotations

from edge.clock import MS, Clock

_SLICE_NS = 20 * MS


class Pacer:
    """Sleeps in slices; `stop` from another thread ends a sleep within 20 ms."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.stopped = True

    def sleep_until(self, at_ns: int) -> bool:
        """True when `at_ns` came, False when stopped first."""
        while not self.stopped:
            now_ns = self._clock.now_ns()
            if now_ns >= at_ns:
                return True
            self._clock.sleep_until(min(at_ns, now_ns + _SLICE_NS))
        return False

    def start(self) -> None:
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True
