"""Runs a real station by its own command and hands back its report."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from benchmarks.bundle_bench import Measured
from benchmarks.gaps import after_gaps, last_part
from benchmarks.ranks import known
from benchmarks.tables import station_tables
from benchmarks.watch import EVERY_S, Watch
from edge.clock import SystemClock
from edge.control import Control
from edge.errors import DeviceError, KenpinError
from edge.report import Report
from edge.screen import print_report
from edge.station import load


class StationError(KenpinError):
    """The station ended without a report; it has said why itself. `exit_code` is the station's own."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("the station ended without a report; see its message above")
        self.exit_code = exit_code


def bench_station(station: Path, parts: int, patience_s: float) -> Measured:
    """Run the station, show its table, and hand back its report with the exit code; partial where it ended early, or
    was ended because no part came to its end for `patience_s`.

    Raises ConfigError for a file that is no station's, StationError where it wrote no report.
    """
    loaded = load(station)
    watch = Watch(Control(loaded).figures, SystemClock())
    last = last_part(loaded.journal.dir)
    done = run_station(station, parts, watch, patience_s)
    edges = known(done.gate["edge_error_us"])
    latency_ms = {stage: known(figures) for stage, figures in done.latency_ms.items()}
    done = replace(done, latency_ms=latency_ms, gate=done.gate | {"edge_error_us": edges})
    print_report(done)
    values = done.to_dict() | {"bench": {"station": str(station)} | watch.values()}
    values["bench"]["after_gap"] = after_gaps(loaded.journal.dir, last)
    Console().print(station_tables(values["bench"]))
    stalled = watch.stands_still(patience_s)
    if done.parts < parts or done.exit_code or stalled:
        why = f"no part ended for {patience_s:g} s; {watch.state}" if stalled else done.cause or "the station ended"
        values["partial"] = f"{done.parts} of {parts} parts: {why}"
    return Measured(values, done.exit_code or (DeviceError.exit_code if stalled else 0), watch.span())


def run_station(station: Path, parts: int, watch: Watch, patience_s: float) -> Report:
    """Run `edge run` in a process of its own until `parts` parts ended, and return its report; `watch` looks at it.
    It is stopped early once no part has ended for `patience_s`.

    The station's messages go to stderr as they come; its table is left out. SIGTERM and SIGINT stop it as they
    would stop `edge run`. Raises StationError where it wrote no report.
    """
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        file = Path(folder) / "report.json"
        command = [
            sys.executable,
            "-m",
            "edge.cli",
            "run",
            str(station),
            "--parts",
            str(parts),
            "--exit-on-stop",
            "--report",
            str(file),
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process, _stopping_with_us(process):
            code = _watched(process, watch, patience_s)
        if not file.is_file():
            raise StationError(code if 0 < code < 128 else 1)
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return Report(**values)


def _watched(process: subprocess.Popen[bytes], watch: Watch, patience_s: float) -> int:
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(EVERY_S)
        watch.look()
        if watch.stands_still(patience_s):
            process.terminate()
            return process.wait()


@contextmanager
def _stopping_with_us(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Pass SIGTERM and SIGINT on: the station finishes the parts in its zone and reports."""

    def forward(number: int, _frame: FrameType | None) -> None:
        if process.poll() is None:
            process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
