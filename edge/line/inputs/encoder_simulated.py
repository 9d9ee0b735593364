"""The encoder of a simulated belt of constant speed."""

from __future__ import annotations

from edge import options
from edge.clock import SECOND, Clock
from edge.errors import InputError


class SimulatedEncoder:
    """Counts from the machine's own clock, so two runs on one machine see one belt."""

    def __init__(self, options: options.SimulatedEncoder, clock: Clock) -> None:
        self._per_s = options.counts_per_s
        self._modulus = 1 << options.bits
        self._clock = clock
        self._open = False

    def open(self) -> None:
        """There is nothing to connect to."""
        self._open = True

    def read(self) -> tuple[int, int]:
        """The counter and its instant; see the Protocol."""
        if not self._open:
            raise InputError("the simulated encoder is not open: open it before reading")
        now_ns = self._clock.now_ns()
        return now_ns * self._per_s // SECOND % self._modulus, now_ns

    def close(self) -> None:
        """May be called twice."""
        self._open = False
