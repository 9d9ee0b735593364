"""The command `edge-bench`: the latency profile of a bundle on this machine, or of a whole station."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from pydantic import TypeAdapter
from rich.console import Console

from benchmarks.bundle_profile import STAGES, Looks, Profile, medians, profile
from benchmarks.results import check_paths, figures, misses, read_budget, read_result, unlike
from benchmarks.results import compare as compare_results
from benchmarks.station_run import run_station
from benchmarks.tables import comparison_table, profile_tables
from edge.bundle import Bundle, load_keys, read_bundle
from edge.clock import MS, SystemClock
from edge.errors import ConfigError, KenpinError
from edge.eye.student import Student, load
from edge.options import Engine
from edge.report import Counts, Report, report
from edge.screen import model_line, print_report
from edge.timing import STAGES as ALL_STAGES
from edge.timing import Series, Timing

PARTS = 500
SECONDS = 10.0

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

Station = Annotated[Path | None, typer.Argument(metavar="[STATION.TOML]", show_default=False)]
BundleFile = Annotated[
    Path | None, typer.Option("--bundle", metavar="X.bundle", help="measure this bundle instead")
]
Keys = Annotated[Path | None, typer.Option(metavar="DIR", help="public keys that may have signed the bundle")]
Parts = Annotated[int | None, typer.Option(min=1, help=f"station: stop after so many parts (default {PARTS})")]
Seconds = Annotated[float, typer.Option(min=0.1, help="bundle: how long to measure, each time")]
Rate = Annotated[float, typer.Option(min=0.1, max=1_000, help="bundle: pictures per second of the paced line")]
Runs = Annotated[
    int, typer.Option(min=1, max=100, help="bundle: measure so many times; the medians, and the spread")
]
EngineKind = Annotated[str, typer.Option("--engine", help="bundle: ort, or ov (OpenVINO)")]
BudgetFile = Annotated[
    Path | None, typer.Option("--budget", metavar="TOML", help="end with 1 where a figure misses its limit")
]
Two = Annotated[
    tuple[Path, Path] | None,
    typer.Option("--compare", metavar="A.json B.json", help="compare two results instead of measuring"),
]
Idle = Annotated[float, typer.Option(min=0, max=600, help="bundle: seconds of each of the two idle gaps; 0 = none")]
Threads = Annotated[int, typer.Option(min=1, max=64, help="bundle: the engine's threads")]
Precision = Annotated[str | None, typer.Option(help="bundle: int8 or fp32 (default: its preferred model)")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="also write the figures as JSON")]


def main() -> None:
    """Run the command; errors a person can act on are one message and an exit code."""
    try:
        app()
    except KenpinError as error:
        print(f"edge-bench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


@app.command(help=__doc__)
def bench(
    context: typer.Context,
    station: Station = None,
    bundle: BundleFile = None,
    keys: Keys = None,
    parts: Parts = None,
    seconds: Seconds = SECONDS,
    rate: Rate = 20.0,
    idle: Idle = 10.0,
    threads: Threads = 1,
    precision: Precision = None,
    engine: EngineKind = "ort",
    runs: Runs = 1,
    budget: BudgetFile = None,
    compare: Two = None,
    json_file: Json = None,
) -> None:
    """Measure what was named; exactly one of a station file, --bundle and --compare."""
    if (station is not None) + (bundle is not None) + (compare is not None) != 1:
        raise typer.BadParameter("give either a station file, or --bundle X.bundle --keys DIR, or --compare A B")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if compare is not None:
        _refuse(context, (), "--compare measures nothing")
        _compare(*compare)
        return
    _check_writable(json_file)
    limits = {} if budget is None else read_budget(budget)
    if station is not None:
        _refuse(context, ("parts", "budget", "json_file"), "only with --bundle; the station file says the rest")
        done = run_station(station, parts or PARTS)
        print_report(done)
        _write(json_file, done.to_dict())
        if done.exit_code:
            raise typer.Exit(done.exit_code)
        _hold(limits, budget, done.to_dict())
        return
    assert bundle is not None
    if keys is None or parts is not None:
        raise typer.BadParameter("--bundle needs --keys DIR, and takes --seconds, not --parts")
    cv2.setNumThreads(1)  # as the eye does: a resize must not compete with the engine for a core
    options = _engine(engine, threads, precision)
    values = _bench_bundle(read_bundle(bundle, load_keys(keys)), options, seconds, rate, idle, runs)
    _write(json_file, values)
    _hold(limits, budget, values)


def _refuse(context: typer.Context, allowed: Sequence[str], why: str) -> None:
    """No option is left out silently."""
    given = sorted(
        name
        for name in context.params
        if name not in (*allowed, "station", "compare")
        and getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    )
    if given:
        names = ", ".join(f"--{name.removesuffix('_file')}" for name in given)
        raise typer.BadParameter(f"{names}: {why}")


def _hold(limits: dict[str, dict[str, float]], budget: Path | None, values: dict[str, Any]) -> None:
    """End with 1 where the result misses its budget; the result itself is kept before."""
    if budget is None:
        return
    known = figures(values)
    check_paths(limits, known, budget)
    missed = misses(limits, known)
    for miss in missed:
        print(f"over budget: {miss.words()}", file=sys.stderr)
    if missed:
        raise typer.Exit(1)
    print(f"within {budget}: {sum(map(len, limits.values()))} figures")


def _compare(before: Path, after: Path) -> None:
    one, other = read_result(before), read_result(after)
    Console().print(comparison_table(compare_results(one, other), str(before), str(after)))
    for words in unlike(one, other):
        print(f"not measured alike: {words}")


def _engine(kind: str, threads: int, precision: str | None) -> Engine:
    if precision not in (None, "int8", "fp32"):
        raise typer.BadParameter(f"--precision {precision}: use int8 or fp32")
    if kind not in ("ort", "ov"):
        raise typer.BadParameter(f"--engine {kind}: use ort or ov")
    return TypeAdapter(Engine).validate_python({"kind": kind, "threads": threads, "precision": precision})


def _check_writable(file: Path | None) -> None:
    """Measuring takes long: say before it that the result could not be kept."""
    if file is not None and (file.is_dir() or not os.access(file.parent, os.W_OK)):
        raise ConfigError(f"cannot write {file}: give --json a file in a folder that exists and may be written")


def _write(file: Path | None, values: dict[str, Any]) -> None:
    if file is None:
        return
    try:
        file.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}; give another --json") from error


def _bench_bundle(
    bundle: Bundle, engine: Engine, seconds: float, rate: float, idle: float, runs: int
) -> dict[str, Any]:
    clock = SystemClock()
    load_average = os.getloadavg()[0]
    began_ns = clock.now_ns()
    student = load(bundle, engine, clock)
    startup_ns = clock.now_ns() - began_ns
    try:
        print(f"{student.product} version {student.version}: {model_line(student.entry)}")
        pictures = [picture.image for picture in bundle.acceptance()]
        each = []
        for _ in range(runs):
            measured, looks = profile(student, pictures, clock, seconds, rate, idle)
            each.append(measured.to_dict())
    finally:
        student.engine.close()
    middle = medians(each)
    Console().print(profile_tables(Profile(**middle), each))
    facts = {"bundle_sha256": bundle.sha256, "threads": engine.threads, "load_average": round(load_average, 2)}
    told = {"runs": each} if runs > 1 else {}
    return _bundle_report(looks, startup_ns).to_dict() | {"bench": _identity(student) | facts | middle | told}


def _identity(student: Student) -> dict[str, Any]:
    entry = student.entry
    model = {"file": entry.file, "sha256": entry.sha256, "target": entry.target, "precision": entry.precision}
    return {"product": student.product, "version": student.version, "model": model}


def _bundle_report(looks: Looks, startup_ns: int) -> Report:
    """The run at saturation under the public keys; what a bench without a line has not, is 0 or null."""
    counts = Counts()
    counts.parts = looks.count
    counts.verdicts.update(looks.verdicts)
    counts.reasons.update({reason: times for reason, times in looks.reasons.items() if times})
    counts.frame("captured", looks.count)
    empty = Series(1).summary(MS)
    latency = {stage: looks.stages[stage].summary(MS) if stage in STAGES else empty for stage in ALL_STAGES}
    done = report(counts, Timing(1), startup_ns, "READY", "", 0)
    return replace(done, latency_ms=latency)


if __name__ == "__main__":
    main()
