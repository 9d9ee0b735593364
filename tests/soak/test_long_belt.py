"""The whole station for as long as KENPIN_SOAK says (default 30m): nothing is lost and memory stays flat."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from edge.durations import parse_ns
from tests.system.costs import memory_mb
from tests.system.results import keep

LONG = os.environ.get("KENPIN_SOAK", "30m")
COMMAND = f"KENPIN_SOAK={LONG} make soak"
SETTLED_S = 60.0
_SAMPLE_S = 5.0


def test_a_long_run_loses_nothing_and_does_not_grow(tmp_path: Path) -> None:
    report_file = tmp_path / "r.json"
    words = [sys.executable, "-m", "edge.cli", "demo", "--for", LONG, "--rate", "20", "--report", str(report_file)]
    samples: list[tuple[float, float]] = []
    began = time.monotonic()
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            time.sleep(_SAMPLE_S)
            if process.poll() is None:
                samples.append((time.monotonic() - began, memory_mb(process.pid)))
        assert process.returncode == 0
    report = json.loads(report_file.read_text())
    settled = [memory for at_s, memory in samples if at_s >= min(SETTLED_S, parse_ns(LONG) / 2e9)]
    growth = settled[-1] - settled[0]
    keep(
        "long-belt",
        f"The simulated line for {LONG} at 20 parts/s",
        COMMAND,
        [
            f"- {report['parts']} parts, {report['verdicts']}, {report['unknown_reasons']}",
            f"- deadlines missed {report['deadline']['missed']}, late gate actions {report['gate']['late']}",
            f"- gate edge error, us: {report['gate']['edge_error_us']}",
            f"- capture to release, ms: {report['latency_ms']['capture_to_release']}",
            f"- memory {settled[0]:.1f} MB after a minute, {settled[-1]:.1f} MB at the end",
        ],
    )
    assert report["parts"] == sum(report["verdicts"].values()) == report["gate"]["orders"]
    assert report["frames"]["captured"] == report["frames"]["paired"] + report["frames"]["unpaired"]
    assert report["journal"]["lost"] == report["gate"]["late"] == 0
    assert growth < 8, f"memory grew by {growth:.1f} MB"
