"""One process of this machine for one output, where the device itself would obey any number of them."""

from __future__ import annotations

import socket

from edge.errors import OutputError

_LONGEST = 90  # of the 107 bytes that the kernel takes


class Claim:
    """A name that one process holds at a time; the kernel gives it back when the process ends, however it ends."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._held: socket.socket | None = None

    def take(self) -> None:
        """Raises OutputError when another process holds the name; harmless when this one does."""
        if self._held is not None:
            return
        held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            held.bind(f"\0kenpin output {self._name[-_LONGEST:]}")
        except OSError as error:
            held.close()
            raise OutputError(
                f"{self._name} is driven by another process of this machine ({error.strerror}): stop that one, or "
                f"give this station an output of its own"
            ) from error
        self._held = held

    def give_back(self) -> None:
        """May be called twice."""
        held, self._held = self._held, None
        if held is not None:
            held.close()
