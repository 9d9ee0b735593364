"""The photo-eye of the simulated conveyor: its edges follow the law in edge/conveyor.py."""

from __future__ import annotations

from edge import options
from edge.clock import MS, SECOND, Clock
from edge.conveyor import first_after, passes_ns
from edge.errors import ConfigError, InputError
from edge.line.inputs.pacing import Pacer
from edge.records import Edge, TimeSource


class SimulatedInput:
    """Rises when a part passes, falls a third of the smallest gap later. The law is exact: `err_ns` is 0.

    Edges are delivered `debounce_ms` after their instant, as a debouncing device would; none is lost when nobody
    waits for a while. Parts that passed before `open` are not reported. Raises ConfigError for an impossible belt.
    """

    def __init__(self, options: options.SimulatedInput, clock: Clock) -> None:
        self._seed = options.seed
        self._pitch_ns = round(options.pitch_ms * MS)
        self._jitter_ns = round(options.jitter_ms * MS)
        self._debounce_ns = round(options.debounce_ms * MS)
        self._width_ns = (self._pitch_ns - 2 * self._jitter_ns) // 3
        self._clock = clock
        self._pacer = Pacer(clock)
        self._part = 0
        self._level = False
        self._rises = 0
        if self._width_ns <= self._debounce_ns:
            raise ConfigError(
                f"trigger: pitch_ms = {options.pitch_ms:g} with jitter_ms = {options.jitter_ms:g} brings parts too "
                f"near to each other for debounce_ms = {options.debounce_ms:g}: reduce one of the last two"
            )

    def open(self) -> None:
        """Start with the next part that passes."""
        self._part = first_after(self._seed, self._pitch_ns, self._jitter_ns, self._clock.now_ns())
        self._level = False
        self._pacer.start()

    def wait(self, timeout_s: float) -> Edge | None:
        """The next edge, at its instant on the clock; see the Protocol."""
        if self._pacer.stopped:
            raise InputError("the simulated photo-eye is not open: open it before waiting")
        at_ns = passes_ns(self._seed, self._pitch_ns, self._jitter_ns, self._part)
        at_ns += self._width_ns if self._level else 0
        until_ns = self._clock.now_ns() + round(timeout_s * SECOND)
        due_ns = at_ns + self._debounce_ns
        if not self._pacer.sleep_until(min(due_ns, until_ns)) or due_ns > until_ns:
            return None
        return self._passed(at_ns)

    def level(self) -> bool:
        """The level after the last edge that `wait` returned."""
        return self._level

    def close(self) -> None:
        """Wakes a waiting `wait` within 20 ms; may be called twice."""
        self._pacer.stop()

    def _passed(self, at_ns: int) -> Edge:
        self._level = not self._level
        if self._level:
            self._rises += 1
        else:
            self._part += 1
        return Edge(self._level, at_ns, 0, TimeSource.DEVICE, self._rises)
