"""Runs a real station by its own command and hands back its report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from benchmarks.bundle_bench import Measured, identity
from benchmarks.gaps import last_part, recorded
from benchmarks.ranks import known
from benchmarks.station_runs import together
from benchmarks.tables import SPANS, station_tables
from benchmarks.watch import EVERY_S, Watch
from edge.clock import SystemClock
from edge.control import Control
from edge.errors import BundleError, DeviceError, KenpinError
from edge.install import open_version
from edge.report import Report
from edge.screen import print_report
from edge.station import Station, load


class StationError(KenpinError):
    """The station ended without a report; it has said why itself. `exit_code` is the station's own."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("the station ended without a report; see its message above")
        self.exit_code = exit_code


def bench_station(station: Path, parts: int, patience_s: float, runs: int) -> Measured:
    """Run the station `runs` times, show its tables, and hand back its report with the exit code; partial where it
    ended early, was not READY all the time, judged no part, or was ended because no part came to its end for
    `patience_s`. Of several runs those before a partial one are kept.

    Raises ConfigError for a file that is no station's, StationError where the first run wrote no report.
    """
    loaded = load(station)
    load_average = round(os.getloadavg()[0], 2)
    each: list[Measured] = []
    partial, code = "", 0
    while len(each) < runs and not partial:
        try:
            run = _one_run(loaded, parts, patience_s)
        except StationError as error:
            if not each:
                raise
            partial, code = f"{len(each)} of {runs} runs: {error}", error.exit_code
            break
        partial, code = run.values.pop("partial", ""), run.exit_code
        if partial and each:
            partial = f"{len(each)} of {runs} runs: {partial}"
        else:
            each.append(run)
    values = together([run.values for run in each])
    asked = {"asked": parts, "threads": loaded.engine.threads, "load_average": load_average}
    values["bench"] |= {"station": str(station), "name": loaded.station.name} | asked
    values["bench"]["spans"] = {stage: SPANS[stage] for stage in values["latency_ms"]}
    if partial:
        values["partial"] = partial
    Console().print(station_tables(values))
    return Measured(values, code, each[-1].span)


def _one_run(loaded: Station, parts: int, patience_s: float) -> Measured:
    watch = Watch(Control(loaded).figures, SystemClock())
    last = last_part(loaded.journal.dir)
    done = run_station(loaded.source, parts, watch, patience_s)
    stalled = done.parts < parts and watch.stands_still(patience_s)
    edges = known(done.gate["edge_error_us"])
    latency_ms = {stage: known(figures) for stage, figures in done.latency_ms.items()}
    done = replace(done, latency_ms=latency_ms, gate=done.gate | {"edge_error_us": edges})
    print_report(done)
    values = done.to_dict()
    values["bench"] = {"products": _products(loaded, watch.versions)} | watch.values()
    values["bench"] |= asdict(recorded(loaded.journal.dir, last))
    why, code = _lacking(done, parts, watch)
    if stalled:
        why, code = f"no part ended for {patience_s:g} s; {watch.state}", done.exit_code or DeviceError.exit_code
    if why:
        values["partial"] = f"{done.parts} of {parts} parts: {why}"
    return Measured(values, code, watch.span())


def _lacking(done: Report, parts: int, watch: Watch) -> tuple[str, int]:
    """Why the run is not what was asked for, "" where it is; and the exit code."""
    if done.parts < parts or done.exit_code:
        return done.cause or "the station ended", done.exit_code
    if watch.away:
        return f"the station was not READY for about {watch.away_s:.0f} s: {watch.away}", DeviceError.exit_code
    if not done.verdicts["pass"] + done.verdicts["reject"]:
        return f"none was judged: {_listed(done.unknown_reasons)}; {watch.state}", DeviceError.exit_code
    return "", 0


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _products(loaded: Station, versions: Mapping[str, int]) -> list[dict[str, Any]]:
    """What judged the parts; a bundle that is no longer there is left out."""
    told = []
    for product, version in versions.items():
        with suppress(BundleError):
            bundle = open_version(loaded, product, version)
            entry = bundle.manifest.entry(loaded.engine.kind, loaded.engine.precision)
            told.append(identity(product, version, entry) | {"bundle_sha256": bundle.sha256})
    return told


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
            "edge",  # as the services start it
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
