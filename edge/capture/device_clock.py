"""Puts the time stamps of a camera's own clock on CLOCK_MONOTONIC, with the error that this has."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from edge.clock import MS, SECOND, Clock
from edge.records import TimeSource

DRIFT = 1e-4  # two quartz clocks drift apart by less than 100 ppm
WINDOW_NS = 5 * SECOND  # the shortest way is looked for among the frames of this time
PLAUSIBLE_NS = 2 * SECOND  # a frame takes less from its stamp to us; otherwise the clock was set


@dataclass(frozen=True, slots=True)
class Latch:
    """The camera's clock, read between two readings of ours."""

    before_ns: int
    device_ns: int
    after_ns: int


@dataclass(frozen=True, slots=True)
class Captured:
    """When a frame was captured, how wrong that may be, and by whose clock."""

    at_ns: int
    err_ns: int
    source: TimeSource


@dataclass(frozen=True, slots=True)
class _Offset:
    """Our clock minus the camera's, as it was at `at_ns`."""

    ns: int
    err_ns: int
    at_ns: int


class DeviceClock:
    """One camera's clock, from one opening to the next.

    Where the camera's clock can be latched (`set_by`), a stamp is exact to half the latch's round trip and the drift
    since then. Elsewhere the fastest frame of the last seconds is taken to have needed no time at all: the stamps
    are then exact to `stated_err_ns`, but late by that frame's way, which is constant and belongs to
    `trigger_to_frame_ms`. A frame without a stamp counts as captured when it arrived. `set_by` may be called by
    another thread than `captured`.
    """

    def __init__(self, stated_err_ns: int) -> None:
        self._stated_err_ns = stated_err_ns
        self._latched: _Offset | None = None
        self._refused = False
        self._delays: deque[tuple[int, int]] = deque()  # (arrival, delay), both rising
        self._newest_ns = 0

    @property
    def is_latched(self) -> bool:
        return self._latched is not None and not self._refused

    def set_by(self, latches: Sequence[Latch]) -> None:
        """Take the offset from the latch with the shortest round trip."""
        best = min(latches, key=lambda latch: latch.after_ns - latch.before_ns)
        middle_ns = (best.before_ns + best.after_ns) // 2
        err_ns = (best.after_ns - best.before_ns + 1) // 2
        self._latched = _Offset(middle_ns - best.device_ns, err_ns, middle_ns)

    def captured(self, stamp_ns: int, arrived_ns: int) -> Captured:
        """When the frame was captured that the camera stamped so (0: it did not) and whose first byte arrived then.

        Later than every frame before: what a corrected offset would take away is added to the error.
        """
        found = self._found(stamp_ns, arrived_ns)
        at_ns = max(min(found.at_ns, arrived_ns), self._newest_ns + 1)
        self._newest_ns = at_ns
        return Captured(at_ns, found.err_ns + max(0, at_ns - found.at_ns), found.source)

    def _found(self, stamp_ns: int, arrived_ns: int) -> Captured:
        if stamp_ns <= 0:
            return Captured(arrived_ns, self._stated_err_ns, TimeSource.ARRIVAL)
        latched = self._latched
        if latched is not None and not self._refused:
            at_ns = stamp_ns + latched.ns
            err_ns = latched.err_ns + round(DRIFT * abs(arrived_ns - latched.at_ns))
            if -err_ns - MS <= arrived_ns - at_ns <= PLAUSIBLE_NS:
                return Captured(at_ns, err_ns, TimeSource.SENSOR)
            self._refused = True  # the frames are stamped in other units or by another clock than the latched one
        return Captured(stamp_ns + self._shortest(stamp_ns, arrived_ns), self._stated_err_ns, TimeSource.DEVICE)

    def _shortest(self, stamp_ns: int, arrived_ns: int) -> int:
        """The smallest difference of our clock to the stamps, among the last frames and this one."""
        delay_ns = arrived_ns - stamp_ns
        if self._delays and abs(delay_ns - self._delays[0][1]) > PLAUSIBLE_NS:
            self._delays.clear()  # the camera's clock was set
        while self._delays and self._delays[0][0] < arrived_ns - WINDOW_NS:
            self._delays.popleft()
        while self._delays and self._delays[-1][1] >= delay_ns:
            self._delays.pop()
        self._delays.append((arrived_ns, delay_ns))
        return self._delays[0][1]


class WallStamps:
    """Puts stamps of the wall clock, taken in this machine a moment ago, on the monotonic clock.

    Where the wall clock was set meanwhile, the stamp is worth nothing: then the time is now, which is never too early.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_ns = self._ahead()

    def monotonic_ns(self, wall_ns: int) -> int:
        """When the wall clock showed `wall_ns`."""
        ahead_ns, now_ns = self._ahead(), self._clock.now_ns()
        was_set = abs(ahead_ns - self._ahead_ns) > MS
        self._ahead_ns = ahead_ns
        at_ns = wall_ns - ahead_ns
        return now_ns if was_set or not now_ns - PLAUSIBLE_NS <= at_ns <= now_ns else at_ns

    def _ahead(self) -> int:
        """The wall clock minus ours, from the closer of two pairs of readings."""
        readings: list[tuple[int, int]] = []
        for _ in range(2):
            before_ns, wall_ns, after_ns = self._clock.now_ns(), self._clock.wall_ns(), self._clock.now_ns()
            readings.append((after_ns - before_ns, wall_ns - (before_ns + after_ns) // 2))
        return min(readings)[1]
