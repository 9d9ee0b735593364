"""Asks a camera again and again whether it is still there and as it was set, in a thread that may wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edge.clock import SECOND, Clock
from edge.errors import CameraError

EVERY_S = 0.5


class Pulse:
    """`touch` asks the camera and raises CameraError when something is wrong; the first error is kept and ends it.

    A camera without power does not answer: then `touch` waits for its time-outs, and `check` says so before.
    """

    def __init__(self, touch: Callable[[], None], clock: Clock, name: str, patience_ns: int) -> None:
        self._touch = touch
        self._clock = clock
        self._patience_ns = patience_ns
        self._answered_ns = clock.now_ns()
        self._fault = ""
        self._stop = threading.Event()
        # a daemon: a driver that never returns must not keep the process from ending
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def check(self) -> None:
        """Raises CameraError when the camera is not as it was, or has not answered within the patience."""
        if self._fault:
            raise CameraError(self._fault)
        silent_ns = self._clock.now_ns() - self._answered_ns
        if silent_ns > self._patience_ns + round(EVERY_S * SECOND):
            raise CameraError(f"it has not answered for {silent_ns / SECOND:.1f} s")

    def stop(self) -> None:
        """Ends as soon as the camera has answered, or the driver's time is over."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def is_well(self) -> bool:
        return not self._fault

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                self._touch()
            except CameraError as error:
                self._fault = str(error)
                return
            self._answered_ns = self._clock.now_ns()
