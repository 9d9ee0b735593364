"""The whole station for as long as KENPIN_SOAK says (default 30m): nothing is lost, memory stays flat and the latency
is at the end what it was at the beginning. Where the machine stands for longer than a gate may be late, the line stops
as it should and the test fails; it is acknowledged, so that the rest is measured all the same, cyclictest beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.clock import MS, SECOND
from edge.control import Control
from edge.durations import parse_ns
from edge.errors import ControlError
from edge.journal.reading import read_parts
from edge.records import Kind
from edge.station import load
from tests.system.costs import memory_mb
from tests.system.edges import cyclictest
from tests.system.results import keep
from tests.system.starts import demo_station

LONG = os.environ.get("KENPIN_SOAK", "30m")
COMMAND = f"KENPIN_SOAK={LONG} make soak PYTEST_ARGS='-k long_belt'"
RATE = 20
SETTLED_S = min(60.0, parse_ns(LONG) / SECOND / 2)
_SAMPLE_S = 5.0
_WAKES_US = 2_000  # cyclictest's, on each processor
_GROWTH = 0.01  # of the memory, in the whole time: what the allocator moves by without a leak
_DRIFT = 1.5  # of p99.9 from the first tenth to the last, beyond what the parts themselves scatter


@dataclass
class Memory:
    """Samples of one process, and the straight line through those after its first minute."""

    samples: list[tuple[float, float]] = field(default_factory=list)

    def look(self, at_s: float, pid: int) -> None:
        """Add a sample."""
        if at_s >= SETTLED_S:
            self.samples.append((at_s, memory_mb(pid)))

    def line(self) -> tuple[float, float]:
        """MB where it begins, and by how many MB it rises until the last sample."""
        at, memory = np.array(self.samples).T
        slope, begin = np.polyfit(at - at[0], memory, 1)
        return float(begin), float(slope * (at[-1] - at[0]))


def run_for_long(file: Path) -> tuple[dict[str, Any], dict[str, Memory], list[str]]:
    """The station's report, the memory of its two processes, and for what it was stopped meanwhile."""
    control, stops = Control(load(file)), []
    report, lock, said = (file.parent / name for name in ("report.json", "state/line.lock", "said.txt"))
    words = [sys.executable, "-m", "edge.cli", "run", str(file), "--for", LONG, "--report", str(report)]
    memory = {"eye": Memory(), "line": Memory()}
    began = time.monotonic()
    with said.open("w") as log, subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=log) as process:
        while process.poll() is None:
            time.sleep(_SAMPLE_S)
            at_s = time.monotonic() - began
            if at_s < parse_ns(LONG) / SECOND:  # later they may be about to end
                memory["eye"].look(at_s, process.pid)
                memory["line"].look(at_s, int(lock.read_text(encoding="ascii")))
                with suppress(ControlError):  # it is beginning
                    status = control.status()
                    if status.can_acknowledge:
                        control.acknowledge("nothing lies there", "the test")
                        stops.append(status.cause)
    assert process.returncode == 0, said.read_text()
    return json.loads(report.read_text(encoding="utf-8")), memory, stops


def p999(latencies: Sequence[float], dice: np.random.Generator) -> tuple[float, float, float]:
    """The 99.9th percentile, and where it lies in 95 of 100 draws of the same parts."""
    drawn = np.quantile(dice.choice(latencies, (500, len(latencies))), 0.999, axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(np.quantile(latencies, 0.999)), float(low), float(high)


def test_long_belt_loses_nothing_does_not_grow_and_gets_no_slower() -> None:
    with demo_station(RATE) as file:
        with cyclictest(_WAKES_US, os.cpu_count() or 1) as late_us:
            report, memory, stops = run_for_long(file)
        rows = read_parts(file.parent / "journal")
    judged = [row.decided for row in rows if row.decided and row.decided.verdict.kind is not Kind.UNKNOWN]
    latencies = [(each.verdict.decided_ns - each.part.born_ns) / MS for each in judged]
    tenth, dice = len(latencies) // 10, np.random.default_rng(0)
    tenths = {"first": p999(latencies[:tenth], dice), "last": p999(latencies[-tenth:], dice)}
    keep(
        "long-belt",
        f"The simulated line for {LONG} at {RATE} parts/s",
        COMMAND,
        _lines(report, memory, tenths, stops, late_us[-1]),
    )
    assert report["parts"] == sum(report["verdicts"].values()) == report["gate"]["orders"] == len(rows)
    assert all(row.decided and row.outcome for row in rows)
    assert report["frames"]["captured"] == report["frames"]["paired"] + report["frames"]["unpaired"]
    assert report["journal"]["lost"] == report["gate"]["late"] == report["deadline"]["missed"] == 0
    for name, each in memory.items():
        begin, rise = each.line()
        assert rise < _GROWTH * begin, f"the {name}'s memory rose by {rise:.1f} MB from {begin:.1f}"
    assert tenths["last"][1] < _DRIFT * tenths["first"][2], f"it got slower: p99.9 {tenths}"


def _lines(
    report: dict[str, Any],
    memory: dict[str, Memory],
    tenths: dict[str, tuple[float, float, float]],
    stops: Sequence[str],
    late_us: float,
) -> list[str]:
    lines = [
        "| what | measured |",
        "| --- | --- |",
        f"| parts, verdicts | {report['parts']:,}: {report['verdicts']}, {report['unknown_reasons']} |",
        f"| deadlines missed, late gate actions, records lost | {report['deadline']['missed']}, "
        f"{report['gate']['late']}, {report['journal']['lost']} |",
        f"| stopped and acknowledged | {'; '.join(stops) or 'never'} |",
        f"| cyclictest beside it, above the line's priority, at most, ms | {late_us / 1_000:.1f} |",
        f"| gate edge, planned to write issued, us | {report['gate']['edge_error_us']} |",
        f"| capture to release, ms | {report['latency_ms']['capture_to_release']} |",
    ]
    for name, (value, low, high) in tenths.items():
        lines.append(
            f"| trigger to verdict, p99.9 of the {name} tenth, ms | {value:.1f} ({low:.1f} to {high:.1f}) |"
        )
    for name, each in memory.items():
        begin, rise = each.line()
        share = f"{100 * rise / begin:+.2f} %"
        lines.append(
            f"| memory of the {name} after {SETTLED_S:.0f} s, and its rise until the end | {begin:.1f} MB, {share} |"
        )
    return [
        *lines,
        "",
        "In brackets: 95 of 100 draws of the same parts. The rise is that of the straight line through all samples.",
    ]
