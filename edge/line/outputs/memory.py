"""An output that moves nothing: it keeps its changes in memory, for tests and benchmarks."""

from __future__ import annotations

from collections import deque

from edge import options
from edge.clock import Clock
from edge.line.outputs.level import LevelOutput

KEPT = 100_000


class MemoryWire:
    """Remembers when its raw level changed: the last KEPT changes as (level, at_ns)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._level: bool | None = None
        self.changes: deque[tuple[bool, int]] = deque(maxlen=KEPT)

    def connect(self) -> None:
        """Nothing to open."""

    def put(self, level: bool) -> int:
        now_ns = self._clock.now_ns()
        if level != self._level:
            self._level = level
            self.changes.append((level, now_ns))
        return now_ns

    def get(self) -> bool | None:
        return self._level

    def drop(self) -> None:
        """Nothing to release."""


class MemoryOutput(LevelOutput):
    """`changes` are the raw levels with CLOCK_MONOTONIC ns, the first one from `arm`."""

    def __init__(self, options: options.MemoryOutput, clock: Clock) -> None:
        wire = MemoryWire(clock)
        super().__init__(wire, "the memory output", options.invert)
        self.changes = wire.changes
