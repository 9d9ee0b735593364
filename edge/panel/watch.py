"""Asks the eye for everybody who looks: at most twice a second, however many pages are open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from edge.clock import MS, Clock
from edge.errors import ControlError

FRESH_NS = 450 * MS
_Told = TypeVar("_Told")


@dataclass(frozen=True, slots=True)
class Seen(Generic[_Told]):
    """What the eye said at `at_ns`; where that is nothing, `words` say why."""

    told: _Told | None
    words: str
    at_ns: int


class Watch(Generic[_Told]):
    """Any thread may ask; while one waits for an eye that is slow, the others get what was seen last."""

    def __init__(self, ask: Callable[[], _Told], clock: Clock, fresh_ns: int = FRESH_NS) -> None:
        self._ask = ask
        self._clock = clock
        self._fresh_ns = fresh_ns
        self._asking = threading.Lock()
        self._last: Seen[_Told] | None = None

    def now(self) -> Seen[_Told]:
        """What the eye says, or said a moment ago. Blocks up to 6 s where it hangs and nothing was seen yet."""
        last = self._last
        if last is not None and self._clock.now_ns() - last.at_ns < self._fresh_ns:
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

    def _look(self) -> Seen[_Told]:
        told, words = None, ""
        try:
            told = self._ask()
        except ControlError as error:
            words = str(error)
        return Seen(told, words, self._clock.now_ns())
