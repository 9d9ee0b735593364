"""Slows down whoever guesses passwords, by name and by address: each failure doubles the wait."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from edge.clock import SECOND, Clock

FREE = 5  # failures in a row before anybody waits
LONGEST_S = 60
_FORGET_NS = 15 * 60 * SECOND
_MOST = 2_000  # names and addresses that are remembered


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last_ns: int = 0
    until_ns: int = 0


class Throttle:
    """Counts failures by name and by address; 15 min without one forgets them. Any thread may ask.

    The wait after the failures that are free is 1 s, then 2 s, 4 s, up to a minute.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def begin(self, name: str, address: str) -> float:
        """Count a try as failed until `succeeded` says otherwise, so that many at once count too; the seconds to wait
        first, where it is none."""
        now_ns = self._clock.now_ns()
        with self._lock:
            entries = [self._entry(key, now_ns) for key in (("name", name), ("address", address))]
            wait_ns = max(entry.until_ns for entry in entries) - now_ns
            if wait_ns > 0:
                return wait_ns / SECOND
            for entry in entries:
                _fail(entry, now_ns)
            return 0.0

    def succeeded(self, name: str, address: str) -> None:
        """It was the right password: the name's failures are forgotten, and this try is none of the address."""
        with self._lock:
            self._known.pop(("name", name), None)
            entry = self._known.get(("address", address))
            if entry is not None and entry.count:
                entry.count, entry.until_ns = entry.count - 1, 0

    def _entry(self, key: tuple[str, str], now_ns: int) -> _Failures:
        entry = self._known.pop(key, None)
        if entry is None or now_ns - entry.last_ns >= _FORGET_NS:
            entry = _Failures()
        self._known[key] = entry  # the newest is last
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return entry


def _fail(entry: _Failures, now_ns: int) -> None:
    entry.count += 1
    entry.last_ns = now_ns
    over = entry.count - FREE
    if over >= 0:
        entry.until_ns = now_ns + min(2 ** min(over, 10), LONGEST_S) * SECOND
