"""Small threads that wait for one input each, reopen its device when it is lost, and wake the keeper."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from edge.clock import MS, Clock
from edge.errors import InputError
from edge.line.events import ENCODER, Counted, EdgeSeen, Event, InputBack, InputLost
from edge.line.inputs import Input, Position
from edge.line.inputs.pacing import Pacer

_WAIT_S = 0.2
_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 5.0
_GAP_IN_POLLS = 10


class _Source(Protocol):
    """What a watch does with its device."""

    def open(self) -> InputBack:
        """Open it. Raises InputError."""
        ...

    def pass_on(self, tell: Callable[[Event], None]) -> None:
        """Wait for the next event, for a while, and tell it. Raises InputError."""
        ...

    def close(self) -> None:
        """Release it, waking a `pass_on` that waits; never raises."""
        ...


class Edges:
    """The edges of a digital input that goes by this name."""

    def __init__(self, device: Input, name: str) -> None:
        self._device = device
        self._name = name
        self.close = device.close

    def open(self) -> InputBack:
        self._device.open()
        return InputBack(self._name, self._device.level())

    def pass_on(self, tell: Callable[[Event], None]) -> None:
        edge = self._device.wait(_WAIT_S)
        if edge is not None:
            tell(EdgeSeen(edge, self._name))


class Counts:
    """The counter of an encoder, read every `poll_ms`; a reading that comes ten intervals late is a lost encoder."""

    def __init__(self, device: Position, poll_ms: float, clock: Clock) -> None:
        self._device = device
        self._poll_ns = round(poll_ms * MS)
        self._clock = clock
        self._pacer = Pacer(clock)
        self._last_ns = 0

    def open(self) -> InputBack:
        self._device.open()
        self._pacer.start()
        self._last_ns = 0
        return InputBack(ENCODER)

    def pass_on(self, tell: Callable[[Event], None]) -> None:
        if self._last_ns and not self._pacer.sleep_until(self._last_ns + self._poll_ns):
            return
        counter, at_ns = self._device.read()
        gap_ns = at_ns - self._last_ns
        if self._last_ns and gap_ns > _GAP_IN_POLLS * self._poll_ns:
            raise InputError(
                f"the encoder was not read for {gap_ns // MS} ms: look for network trouble, or lengthen "
                "encoder.poll_ms where the device is slow"
            )
        self._last_ns = at_ns
        tell(Counted(counter, at_ns))

    def close(self) -> None:
        self._pacer.stop()
        self._device.close()


class Watch:
    """Owns its source from `start` to `stop`; `tell` takes its events and may be called from this thread. It calls
    `beat` whenever the source came back from a wait, in vain or not: at least every few seconds."""

    def __init__(
        self, source: _Source, name: str, tell: Callable[[Event], None], beat: Callable[[], None] = lambda: None
    ) -> None:
        self._source = source
        self._name = name
        self._tell = tell
        self._beat = beat
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"line-{name}")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and release the device; may be called twice."""
        self._stop.set()
        self._source.close()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def _run(self) -> None:
        try:
            self._watch()
        except Exception as error:
            self._tell(InputLost(f"internal error {error!r}; report it, then restart the line", self._name))
        finally:
            self._source.close()

    def _watch(self) -> None:
        retry_s = _FIRST_RETRY_S
        while not self._stop.is_set():
            self._beat()
            try:
                self._tell(self._source.open())
                retry_s = _FIRST_RETRY_S
                while not self._stop.is_set():
                    self._beat()
                    self._source.pass_on(self._tell)
            except InputError as error:
                if self._stop.is_set():
                    return
                self._source.close()
                self._tell(InputLost(str(error), self._name))
                self._stop.wait(retry_s)
                retry_s = min(_LAST_RETRY_S, 2 * retry_s)
