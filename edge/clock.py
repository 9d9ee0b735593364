"""The only file that touches `time`: a system clock, and a manual one that tests step by hand.

`_ns` values are CLOCK_MONOTONIC nanoseconds and decide; wall time is stamped for records only.
"""

import os
import time
from pathlib import Path
from typing import Protocol

MS = 1_000_000
SECOND = 1_000_000_000


class Clock(Protocol):
    """What the rooms know of time."""

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds."""
        ...

    def wall_ns(self) -> int:
        """Wall time, nanoseconds since 1970 UTC; for records, never for decisions."""
        ...

    def sleep_until(self, at_ns: int) -> None:
        """Block until `at_ns` on the monotonic clock; returns at once when that is past."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        return time.time_ns()

    def sleep_until(self, at_ns: int) -> None:
        wait_ns = at_ns - time.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / SECOND)


class ManualClock:
    """A clock that moves only when told; `sleep_until` jumps to its time."""

    def __init__(self, now_ns: int = 0, wall_ns: int = 1_700_000_000 * SECOND) -> None:
        self._now_ns = now_ns
        self._wall_offset_ns = wall_ns - now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def wall_ns(self) -> int:
        return self._now_ns + self._wall_offset_ns

    def sleep_until(self, at_ns: int) -> None:
        self._now_ns = max(self._now_ns, at_ns)

    def advance(self, by_ns: int) -> None:
        """Move time forward; a negative step raises ValueError."""
        if by_ns < 0:
            raise ValueError(f"monotonic time cannot go back ({by_ns} ns)")
        self._now_ns += by_ns


def process_started_ns() -> int:
    """When this process started, CLOCK_MONOTONIC ns, as exactly as the kernel's ticks tell (10 ms)."""
    fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    since_boot_ns = int(fields[19]) * SECOND // os.sysconf("SC_CLK_TCK")
    return since_boot_ns + time.monotonic_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """What the kernel calls this run of the machine: monotonic times compare within one boot only."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def is_synchronised() -> bool:
    """Whether systemd-timesyncd has set the wall clock since the machine started; False where it does not run."""
    return Path("/run/systemd/timesync/synchronized").exists()
