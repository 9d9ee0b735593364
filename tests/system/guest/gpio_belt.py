"""Runs in the guest: a belt on a chip of gpio-sim, whose photo-eye is line 0; tells what gate (1) and permit (2) do.

    python -m tests.system.guest.gpio_belt LINES SEED PITCH_MS JITTER_MS     `part NS`, `1 LEVEL NS`, `2 LEVEL NS`

LINES is the chip's folder in sysfs. All times are the guest's CLOCK_MONOTONIC.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from edge.clock import MS
from edge.conveyor import first_after, passes_ns

_LOOK_EVERY_S = 0.002


class Belt:
    def __init__(self, lines: Path, seed: int, pitch_ns: int, jitter_ns: int) -> None:
        self._lines = lines
        self._law = (seed, pitch_ns, jitter_ns)
        self._width_ns = pitch_ns // 4
        self._levels = {1: False, 2: False}

    def run(self) -> None:
        """For ever."""
        part = first_after(*self._law, time.monotonic_ns())
        while True:
            at_ns = passes_ns(*self._law, part)
            self._wait_until(at_ns)
            self._pull(True)
            print("part", time.monotonic_ns(), flush=True)
            self._wait_until(at_ns + self._width_ns)
            self._pull(False)
            part += 1

    def _wait_until(self, at_ns: int) -> None:
        while time.monotonic_ns() < at_ns:
            self._look()
            time.sleep(max(0.0, min(_LOOK_EVERY_S, (at_ns - time.monotonic_ns()) / 1e9)))

    def _look(self) -> None:
        for line, before in self._levels.items():
            level = (self._lines / f"sim_gpio{line}" / "value").read_text().strip() == "1"
            if level is not before:
                self._levels[line] = level
                print(line, int(level), time.monotonic_ns(), flush=True)

    def _pull(self, level: bool) -> None:
        (self._lines / "sim_gpio0" / "pull").write_text("pull-up" if level else "pull-down")


if __name__ == "__main__":
    lines, seed, pitch_ms, jitter_ms = sys.argv[1:]
    Belt(Path(lines), int(seed), round(float(pitch_ms) * MS), round(float(jitter_ms) * MS)).run()
