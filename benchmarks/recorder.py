"""Records the machine while it is measured, from a process of its own, so that nothing measured waits for it.

`python -m benchmarks.recorder ROOT` writes a line of JSON every half second until its stdin ends.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.hardware import Hardware, Readings, moved, nvml

EVERY_S = 0.5
_LOOK_S = 0.01
MOST = 240  # samples in a result; then every second one is dropped


@dataclass(frozen=True, slots=True)
class Span:
    """From when until when `parts` parts were measured, ns of the monotonic clock."""

    from_ns: int
    until_ns: int
    parts: float


@dataclass(frozen=True, slots=True)
class Sample:
    """The gauges at one instant, ns of the monotonic clock."""

    at_ns: int
    readings: Readings

    def of(self, kind: str) -> dict[str, float]:
        """The gauges of one kind."""
        return self.readings.get(kind, {})


@dataclass
class Recording:
    """`samples` are there when the recording has ended; none of a machine that tells nothing."""

    hardware: Hardware
    samples: list[Sample] = field(default_factory=list)

    def values(self, span: Span | None) -> dict[str, Any]:
        """For a result: facts; least, mean and most of each gauge within the span (for None, always); the energy of a
        part; the course; and as `unfit` why its times are not those of this machine at its best."""
        inside = [each for each in self.samples if span is None or span.from_ns <= each.at_ns <= span.until_ns]
        told: dict[str, Any] = {"facts": self.hardware.facts()}
        for kind in ("clocks_mhz", "temperatures_c", "power_w"):
            if spreads := _spreads(inside, kind):
                told[kind] = spreads
        if span is not None and "power_w" in told:
            seconds = (span.until_ns - span.from_ns) / 1e9 / span.parts
            told["joules_per_part"] = {
                rail: round(each["mean"] * seconds, 4) for rail, each in told["power_w"].items()
            }
        if self.samples:
            told["course"] = self._course()
        clocks = {name: (each["least"], each["most"]) for name, each in told.get("clocks_mhz", {}).items()}
        told["unfit"] = [*self.hardware.unlocked(), *moved(clocks), *_slowed(self.samples)]
        return told

    def _course(self) -> list[dict[str, Any]]:
        samples = self.samples
        while len(samples) > MOST:
            samples = samples[::2]
        begin_ns = samples[0].at_ns
        return [{"at_s": round((each.at_ns - begin_ns) / 1e9, 2)} | each.readings for each in samples]


def _spreads(samples: Sequence[Sample], kind: str) -> dict[str, dict[str, float]]:
    found: dict[str, list[float]] = {}
    for sample in samples:
        for name, value in sample.of(kind).items():
            found.setdefault(name, []).append(value)
    return {
        name: {"least": min(each), "mean": round(sum(each) / len(each), 3), "most": max(each)}
        for name, each in found.items()
    }


def _slowed(samples: Sequence[Sample]) -> list[str]:
    """What slowed the machine down at any time of the recording."""
    now = {name for each in samples for name, state in each.of("slowed_by").items() if state}
    risen = {
        name
        for before, after in pairwise(samples)
        for name, times in after.of("slow_downs").items()
        if times > before.of("slow_downs").get(name, times)
    }
    return [f"slowed down by {name}" for name in sorted(now | risen)]


@contextmanager
def recording(root: Path = Path("/")) -> Iterator[Recording]:
    """Record while this lasts. Nothing is started where the machine tells nothing."""
    recorded = Recording(Hardware(root, nvml()))
    if recorded.hardware.is_silent():
        yield recorded
        return
    with tempfile.TemporaryFile("w+") as file:
        command = [sys.executable, "-m", "benchmarks.recorder", str(root)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, start_new_session=True) as process:
            while process.poll() is None and not os.fstat(file.fileno()).st_size:
                time.sleep(_LOOK_S)  # its imports are no part of what is measured
            yield recorded
            assert process.stdin is not None
            process.stdin.close()
        file.seek(0)
        for line in file:
            sample = json.loads(line)
            recorded.samples.append(Sample(sample.pop("at_ns"), sample))


def main() -> None:
    """Write samples until stdin ends."""
    hardware = Hardware(Path(sys.argv[1]), nvml())
    while True:
        print(json.dumps({"at_ns": time.monotonic_ns()} | hardware.read()), flush=True)
        if select.select([sys.stdin], [], [], EVERY_S)[0]:
            return


if __name__ == "__main__":
    main()
