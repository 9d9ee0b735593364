"""Feeds systemd's watchdog of the line: the loop turns, and every input's thread came back from its last wait."""

from __future__ import annotations

import functools
from collections.abc import Callable

from edge.clock import SECOND, Clock
from edge.health import Notifier

BOUND_NS = 30 * SECOND  # opening a device and waiting for its answer may take that long


class Pulse:
    """`turned` belongs to the loop; each input's thread calls what `of` gave for it. `say` takes words for the log."""

    def __init__(self, notifier: Notifier, clock: Clock, say: Callable[[str], None]) -> None:
        self._notifier = notifier
        self._clock = clock
        self._say = say
        self._beats: dict[str, int] = {}
        self._silent: list[str] = []

    def of(self, name: str) -> Callable[[], None]:
        """What the thread of this input calls as a sign of life."""
        self._beat(name)
        return functools.partial(self._beat, name)

    def _beat(self, name: str) -> None:
        self._beats[name] = self._clock.now_ns()

    def turned(self) -> None:
        """The loop has turned: feed the watchdog when it is time, unless an input's thread stands still."""
        now_ns = self._clock.now_ns()
        if not self._notifier.is_hungry(now_ns):
            return
        silent = [name for name, at_ns in self._beats.items() if now_ns - at_ns > BOUND_NS]
        if not silent:
            self._notifier.alive(now_ns)
        elif silent != self._silent:
            self._say(f"no sign of life from {', '.join(silent)}: systemd is no longer told that the line lives")
        self._silent = silent
