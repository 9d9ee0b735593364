"""Notices a free-running camera that sends nothing although its connection is open."""

from __future__ import annotations

from edge.clock import MS, SECOND, Clock
from edge.errors import CameraError
from edge.options import CameraOptions

FIRST_NS = 10 * SECOND  # connecting, and the first picture that can be decoded, take their time


class Silence:
    """From one opening to the next. A triggered camera may be silent for as long as no part comes."""

    def __init__(self, options: CameraOptions, clock: Clock) -> None:
        self._clock = clock
        self._limit_ns = round(options.timeout_ms * MS)
        self._triggered = options.triggered
        self._heard_ns = clock.now_ns()
        self._allowed_ns = max(FIRST_NS, self._limit_ns)

    def heard(self) -> None:
        """A frame came."""
        self._heard_ns = self._clock.now_ns()
        self._allowed_ns = self._limit_ns

    def check(self) -> None:
        """No frame came. Raises CameraError when that has been so for too long."""
        silent_ns = self._clock.now_ns() - self._heard_ns
        if silent_ns > self._allowed_ns and not self._triggered:
            raise CameraError(f"it has sent nothing for {silent_ns / SECOND:.1f} s")
