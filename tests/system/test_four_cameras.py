"""Four simulated cameras of four lines, each at ten parts a second, in one eye with one engine: who waits for whom."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edge.clock import SystemClock
from edge.demo.run import HERE, station_text
from edge.install import install
from edge.relay_board import RelayBoard
from edge.station import load
from tests.system.results import keep

LINES, RATE, SECONDS = 4, 10.0, 60
PARTS = round(LINES * RATE * SECONDS)
COMMAND = "python -m pytest tests/system/test_four_cameras.py"
APART = 1.5  # of the medians of the lines


def lay_out(folder: Path, number: int, port: str) -> Path:
    """The demo's station with a belt of its own and its bundle installed; no limit stops it, so that all is counted."""
    text = station_text(port, RATE).replace('name = "demo"', f'name = "line-{number}"')
    text = text.replace('name = "belt"', f'name = "belt-{number}"')
    text = re.sub(r"seed = \d+", f"seed = {11 + number}", text) + "unknown_in_a_row = 0\nmissed_deadlines = 0\n"
    folder.mkdir()
    file = folder / "station.toml"
    file.write_text(text, encoding="utf-8")
    (folder / "keys").mkdir()
    shutil.copy(HERE / "demo.pub", folder / "keys")
    install(next(HERE.glob("*.bundle")), load(file))
    return file


def test_four_cameras_at_ten_parts_a_second_miss_no_deadline(tmp_path: Path) -> None:
    report_file = tmp_path / "report.json"
    with ExitStack() as stack:
        boards = [stack.enter_context(RelayBoard(SystemClock())) for _ in range(LINES)]
        files = [lay_out(tmp_path / f"line-{number}", number, board.port) for number, board in enumerate(boards)]
        words = [sys.executable, "-m", "edge.cli", "run", *map(str, files), "--parts", str(PARTS)]
        pressure = waited_s()
        subprocess.run(
            [*words, "--report", str(report_file)], check=True, stdout=subprocess.DEVNULL, timeout=10 * SECONDS
        )
        pressure = waited_s() - pressure
    report = json.loads(report_file.read_text(encoding="utf-8"))
    keep("four-cameras", "Four cameras at 10 parts/s each, one engine", COMMAND, table(report, pressure))
    lanes: dict[str, dict[str, Any]] = report["lanes"]
    assert len(lanes) == LINES
    assert report["deadline"] == {"met": report["parts"], "missed": 0}
    assert "late" not in report["unknown_reasons"] and report["journal"]["lost"] == 0
    for lane in lanes.values():
        assert abs(lane["parts"] - report["parts"] / LINES) <= RATE, "each line's parts were taken"
        gate = lane["gate"]
        assert gate["orders"] == gate["fired"] + gate["released"] + gate["late"] and gate["late"] == 0
    middles = [lane["latency_ms"]["capture_to_verdict"]["p50"] for lane in lanes.values()]
    assert max(middles) <= APART * min(middles), "no line waits for the others more than they for it"


def waited_s() -> float:
    """How long processes of this machine have waited for a processor since it started."""
    some = Path("/proc/pressure/cpu").read_text(encoding="ascii").splitlines()[0]
    return int(some.rpartition("=")[2]) / 1e6


def table(report: dict[str, Any], pressure: float) -> list[str]:
    """A row for each line, and what the machine was doing."""
    columns = ("line", "parts", "judged", "missed deadlines", "capture to verdict p50, p99, max ms")
    lines = ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]
    for name, lane in [*report["lanes"].items(), ("all", report)]:
        took = lane["latency_ms"]["capture_to_verdict"]
        judged = lane["verdicts"]["pass"] + lane["verdicts"]["reject"]
        figures = f"{took['p50']}, {took['p99']}, {took['max']}"
        lines.append(f"| {name} | {lane['parts']} | {judged} | {lane['deadline']['missed']} | {figures} |")
    middles = [lane["latency_ms"]["capture_to_verdict"]["p50"] for lane in report["lanes"].values()]
    engine = report["latency_ms"]["engine"]["p50"]
    return [
        *lines,
        "",
        f"The slowest line's median is {max(middles) / min(middles):.2f} times that of the fastest; the engine takes",
        f"{engine} ms (p50), and a verdict must be there 360 ms after the trigger. All belts have one beat,",
        f"so their parts come together. Eye: {report['cpu_s']:.0f} CPU s, {report['rss_mb']} MB.",
        f"While it ran for about {SECONDS} s, processes of this machine waited {pressure:.0f} s for a processor:",
        "the more, the busier it was.",
    ]
