"""Asks the eye for everybody who looks: at most twice a second, however many pages are open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from edge.clock import MS, Clock
from edge.control import Figures
from edge.errors import ControlError

FRESH_NS = 450 * MS


@dataclass(frozen=True, slots=True)
class Seen:
    """What the eye said at `at_ns`; without figures, `words` say why there are none."""

    figures: Figures | None
    words: str
    at_ns: int


class Watch:
    """Any thread may ask; while one waits for an eye that is slow, the others get what was seen last."""

    def __init__(self, ask: Callable[[], Figures], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._asking = threading.Lock()
        self._last: Seen | None = None

    def now(self) -> Seen:
        """What the eye says, or said a moment ago. Blocks up to 6 s where it hangs and nothing was seen yet."""
        last = self._last
        if last is not None and self._clock.now_ns() - last.at_ns < FRESH_NS:
            return last
        if not self._asking.acquire(blocking=last is None):
            assert last is not None
            return last
        try:
            if self._last is last:
                self._last = self._look()
            assert self._last is not None
            return self._last
        finally:
            self._asking.release()

    def _look(self) -> Seen:
        try:
            figures, words = self._ask(), ""
        except ControlError as error:
            figures, words = None, str(error)
        return Seen(figures, words, self._clock.now_ns())
