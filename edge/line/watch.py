"""A small thread that waits for one input's edges, reopens the device when it is lost, and wakes the keeper."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edge.errors import InputError
from edge.line.events import EdgeSeen, Event, TriggerBack, TriggerLost
from edge.line.inputs import Input

_WAIT_S = 0.2
_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 5.0


class Watch:
    """Owns the input from `start` to `stop`; `tell` takes its events and may be called from this thread."""

    def __init__(self, device: Input, tell: Callable[[Event], None]) -> None:
        self._device = device
        self._tell = tell
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="line-trigger")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and release the device; may be called twice."""
        self._stop.set()
        self._device.close()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def _run(self) -> None:
        try:
            self._watch()
        except Exception as error:
            self._tell(TriggerLost(f"internal error {error!r}; report it, then restart the line"))
        finally:
            self._device.close()

    def _watch(self) -> None:
        retry_s = _FIRST_RETRY_S
        while not self._stop.is_set():
            try:
                self._device.open()
                self._tell(TriggerBack())
                retry_s = _FIRST_RETRY_S
                self._pass_edges()
            except InputError as error:
                if self._stop.is_set():
                    return
                self._device.close()
                self._tell(TriggerLost(str(error)))
                self._stop.wait(retry_s)
                retry_s = min(_LAST_RETRY_S, 2 * retry_s)

    def _pass_edges(self) -> None:
        while not self._stop.is_set():
            edge = self._device.wait(_WAIT_S)
            if edge is not None:
                self._tell(EdgeSeen(edge))
