"""Calls drivers in a thread of their own: one that hangs holds up nobody, and gets no second call before it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from edge.errors import CameraError


class Release:
    """Runs what may hang. Belongs to one camera and its one reading thread.

    `run` waits for its time and goes on; what it left behind ends before the next thing begins, and `wait` refuses
    while it has not ended, so that a driver that hangs costs no more threads with every try.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None

    def run(self, call: Callable[[], Any], within_s: float) -> bool:
        """Call it once what was left behind has ended; returns whether all that was done in time."""
        before = self._thread

        def call_in_turn() -> None:
            if before is not None:
                before.join()
            call()

        # a daemon: a driver that never returns must not keep the process from ending
        self._thread = threading.Thread(target=call_in_turn, name=self._name, daemon=True)
        self._thread.start()
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def wait(self, within_s: float) -> None:
        """For what was left behind. Raises CameraError when it has not ended within the time."""
        if self._thread is None:
            return
        self._thread.join(within_s)
        if self._thread.is_alive():
            raise CameraError(
                "its driver hangs since it was closed; restart the station, or the machine if that fails"
            )
        self._thread = None
