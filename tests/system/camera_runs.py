"""What the long camera tests measure: how old frames are, what they cost, and what a reconnect leaves behind."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.capture import Camera
from edge.clock import MS, SECOND, SystemClock
from edge.errors import CameraError
from edge.report import memory_mb
from edge.timing import Series, percentile


@dataclass(frozen=True)
class Held:
    """What this process holds: threads of Python and of the system, open files, resident memory in MB."""

    threads: int
    native_threads: int
    files: int
    rss_mb: float

    @classmethod
    def now(cls) -> Held:
        return cls(
            threading.active_count(),
            len(list(Path("/proc/self/task").iterdir())),
            len(list(Path("/proc/self/fd").iterdir())),
            round(memory_mb(), 1),
        )

    def __str__(self) -> str:
        return f"{self.native_threads} threads, {self.files} files, {self.rss_mb:.0f} MB"


@dataclass(frozen=True)
class Delivery:
    """What came of reading `frames` frames: the ages at hand-over, and this process's CPU time for each frame."""

    frames: int
    lost: int
    copies: int
    age_ms: dict[str, float]
    cpu_ms: float
    fps: float


def deliver(camera: Camera, frames: int) -> Delivery:
    """Read so many frames of an opened camera, each within 10 s."""
    clock, ages = SystemClock(), Series()
    began_ns, cpu_s, copies, first_lost = clock.now_ns(), _cpu_s(), 0, 0
    for number in range(frames):
        frame = camera.read(10.0)
        assert frame is not None, f"no frame for 10 s after {number}"
        ages.add(clock.now_ns() - frame.captured_ns)
        copies = max(copies, frame.copies)
        first_lost = frame.lost if number == 0 else first_lost
    took_s = (clock.now_ns() - began_ns) / SECOND
    ordered = ages.newest()
    age_ms = {name: round(percentile(ordered, share) / MS, 2) for name, share in (("p50", 0.5), ("p99", 0.99))}
    age_ms["max"] = round(ordered[-1] / MS, 2)
    return Delivery(
        frames, frame.lost - first_lost, copies, age_ms, (_cpu_s() - cpu_s) * 1_000 / frames, frames / took_s
    )


def returns(camera: Camera, lose: Callable[[], None], bring_back: Callable[[], None], times: int) -> list[int]:
    """Take the source away and bring it back so often; the camera says it is lost and opens again by itself, as the
    eye would have it. Returns how long each return took, from the source's to the first frame, in ns."""
    clock, took_ns = SystemClock(), []
    for _ in range(times):
        lose()
        until_lost(camera)
        camera.close()
        bring_back()
        back_ns = clock.now_ns()
        until_frame(camera)
        took_ns.append(clock.now_ns() - back_ns)
    return took_ns


def deaths(camera: Camera, peer: Any, times: int) -> tuple[list[int], tuple[Held, Held]]:
    """The source, a process, is killed more than ten times: how long each return took in ns, and what was held after
    the tenth and at the end."""
    camera.open()
    took_ns = returns(camera, peer.kill, peer.start, 10)
    first = Held.now()
    took_ns += returns(camera, peer.kill, peer.start, times - 10)
    last = Held.now()
    camera.close()
    return took_ns, (first, last)


def until_lost(camera: Camera, within_s: float = 20.0) -> str:
    """The words with which the camera gives up."""
    clock = SystemClock()
    until_ns = clock.now_ns() + round(within_s * SECOND)
    while clock.now_ns() < until_ns:
        try:
            camera.read(0.2)
        except CameraError as error:
            return str(error)
    raise AssertionError(f"the camera noticed nothing for {within_s:g} s")


def until_frame(camera: Camera, within_s: float = 60.0) -> None:
    """Open, again and again, until a frame comes."""
    clock = SystemClock()
    until_ns = clock.now_ns() + round(within_s * SECOND)
    while clock.now_ns() < until_ns:
        try:
            camera.open()
            if camera.read(5.0) is not None:
                return
        except CameraError:
            clock.sleep_until(clock.now_ns() + 50 * MS)
        camera.close()
    raise AssertionError(f"the camera did not come back within {within_s:g} s")


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
