"""Writes the line's words to a stream from a thread of its own, so that a full pipe never holds up an edge."""

from __future__ import annotations

import threading
from collections import deque
from typing import TextIO

_KEPT = 1_000


class Log:
    """A bounded queue of words and the thread that writes them; the oldest are dropped and counted."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._words: deque[str] = deque(maxlen=_KEPT)
        self._dropped = 0
        self._wake = threading.Event()
        self._closing = False
        # a daemon, because a reader that never reads must not keep the process alive
        self._thread = threading.Thread(target=self._write_all, name="line-log", daemon=True)
        self._thread.start()

    def say(self, words: str) -> None:
        """Queue a line; never blocks."""
        if len(self._words) == _KEPT:
            self._dropped += 1
        self._words.append(words)
        self._wake.set()

    def close(self) -> None:
        """Write what is queued, for at most a second."""
        self._closing = True
        self._wake.set()
        self._thread.join(1.0)

    def _write_all(self) -> None:
        while not (self._closing and not self._words):
            self._wake.wait()
            self._wake.clear()
            if not self._write_queued():
                return

    def _write_queued(self) -> bool:
        try:
            while self._words:
                self._stream.write(f"line: {self._words.popleft()}\n")
            if self._dropped:
                self._stream.write(f"line: {self._dropped} lines of this log were dropped\n")
                self._dropped = 0
            self._stream.flush()
        except (OSError, ValueError):
            return False  # the reader is gone: the line goes on without a log
        return True
