"""Brings to the journal who signed in and who failed to: through the eye, soon, and little however many try."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from datetime import datetime, timezone

from edge.clock import SECOND, Clock
from edge.control import Control
from edge.errors import ControlError

log = logging.getLogger(__name__)

EVERY_S = 10.0  # at most one note in this time
MOST = 100  # different words that wait; what comes beyond them is counted
_LONGEST = 850  # letters of a note, before the count of those that wait on
_IDLE_S = 1.0


class AccessNotes:
    """Any thread may `tell`, which never waits; one thread runs `run`. What a panel that ends has not told yet is in
    its log alone."""

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, tuple[int, str]] = OrderedDict()  # words -> how often, and the last time
        self._more = 0
        self._wake = threading.Event()

    def tell(self, words: str) -> None:
        """Somebody did this now; the same words again are counted."""
        at = f"{datetime.fromtimestamp(self._clock.wall_ns() // SECOND, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
        with self._lock:
            if words not in self._waiting and len(self._waiting) >= MOST:
                self._more += 1
            else:
                times, _ = self._waiting.get(words, (0, ""))
                self._waiting[words] = times + 1, at
        self._wake.set()

    def run(self, stop: threading.Event) -> None:
        """Send what waits until told to stop; an eye that is away is waited for."""
        while not stop.is_set():
            if self._wake.wait(_IDLE_S) and not stop.is_set():
                self.send()
                stop.wait(EVERY_S)

    def send(self) -> None:
        """One note of what waits; what does not fit, or was not taken, waits on."""
        with self._lock:
            batch, more = self._batch(), self._more
        words = [_words(each, *batch[each]) for each in batch] + ([f"and {more} more"] if more else [])
        try:
            if words:
                self._control.note_access("; ".join(words))
        except ControlError as error:
            log.debug("the journal does not know yet who signed in: %s", error)
            return
        with self._lock:
            for each, (times, _) in batch.items():
                now, at = self._waiting.pop(each)
                if now > times:
                    self._waiting[each] = now - times, at
            self._more -= more
            if not self._waiting and not self._more:
                self._wake.clear()

    def _batch(self) -> dict[str, tuple[int, str]]:
        chosen, length = {}, 0
        for each, known in self._waiting.items():
            length += len(_words(each, *known)) + 2
            if length > _LONGEST:
                break
            chosen[each] = known
        return chosen


def _words(words: str, times: int, at: str) -> str:
    return f"{words} at {at}" if times == 1 else f"{words}, {times} times until {at}"
