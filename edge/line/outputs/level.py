"""The life of an output, written once: armed, written, at rest, lost, closed. A wire only knows raw levels."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from edge.errors import OutputError


class Wire(Protocol):
    """The device behind an output, in raw levels (before `invert`)."""

    def connect(self) -> None:
        """Open the device; bounded in time. Raises OutputError and leaves nothing open then."""
        ...

    def put(self, level: bool) -> int:
        """Command a raw level; bounded in time. Returns when it was confirmed (monotonic ns), 0 where the wire
        cannot. Raises OutputError when the level is unknown afterwards."""
        ...

    def get(self) -> bool | None:
        """The raw level as the device reports it, None where it cannot. Raises OutputError."""
        ...

    def drop(self) -> None:
        """Release the device without another command; never raises. What a working one was told still acts, what a
        failed one was told is discarded, so that it cannot act later."""
        ...


class LevelOutput:
    """An Output (see the room's Protocol) on a wire. For one thread.

    A write that fails drops the device: its level is unknown and no late byte may act or confirm. From then on
    `write` fails at once; `rest` or `arm` opens it again.
    """

    def __init__(self, wire: Wire, name: str, invert: bool) -> None:
        self._wire = wire
        self._name = name
        self._invert = invert
        self._armed = False
        self._lost = False

    def arm(self) -> None:
        """Open the device, write the rest level and read it back where the wire can. Raises OutputError."""
        self._lose()
        self._reopen_at_rest()
        self._armed = True

    def write(self, active: bool) -> int:
        """Command a level; see the Protocol. Raises OutputError, without touching the wire when it is lost."""
        self._must_be_armed()
        if self._lost:
            raise OutputError(f"{self._name} is lost: put it to rest to open it again, then look for the cause")
        try:
            return self._wire.put(active != self._invert)
        except OutputError:
            self._lose()
            raise

    def rest(self) -> None:
        """Command the inactive level; a lost device is opened again once. Raises OutputError."""
        self._must_be_armed()
        if not self._lost:
            try:
                self._wire.put(self._invert)
                return
            except OutputError:
                self._lose()
        self._reopen_at_rest()

    def read_back(self) -> bool | None:
        """Whether the device says that the output is active, None where it cannot tell. Raises OutputError."""
        self._must_be_armed()
        try:
            level = self._wire.get()
        except OutputError:
            self._lose()
            raise
        return None if level is None else level != self._invert

    def close(self) -> None:
        """Go to rest as well as it can and release the device; never raises, may be called twice."""
        if self._armed:
            with suppress(OutputError):
                self.rest()
        self._wire.drop()
        self._armed = False

    def _must_be_armed(self) -> None:
        if not self._armed:
            raise OutputError(f"{self._name} is not armed: arm it before using it")

    def _lose(self) -> None:
        self._lost = True
        self._wire.drop()

    def _reopen_at_rest(self) -> None:
        try:
            self._wire.connect()
            self._wire.put(self._invert)
            level = self._wire.get()
        except OutputError:
            self._wire.drop()
            raise
        if level is not None and level != self._invert:
            self._wire.drop()
            raise OutputError(
                f"{self._name} was put to rest but reports the other level: look for a second master or a locked "
                f"output (a tripped watchdog may need its reset)"
            )
        self._lost = False
