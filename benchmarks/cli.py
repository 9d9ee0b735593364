"""The command `edge-bench`: the latency profile of a bundle on this machine, or of a whole station."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from pydantic import TypeAdapter
from rich.console import Console

from benchmarks.bundle_bench import Measured, bench_bundle
from benchmarks.bundle_profile import Plan
from benchmarks.hardware import Hardware
from benchmarks.page import page
from benchmarks.paths import of_a_bundle, of_a_station
from benchmarks.recorder import recording
from benchmarks.results import Limits, check_paths, figures, misses, read_budget, read_result, unlike
from benchmarks.results import compare as compare_results
from benchmarks.station_run import bench_station
from benchmarks.tables import comparison_table, hardware_rows, hardware_table, profile_tables
from edge.bundle import load_keys, read_bundle
from edge.clock import SystemClock
from edge.errors import ConfigError, KenpinError
from edge.options import Engine

PARTS = 500
SECONDS = 10.0
SHORTEST_GAP_S, LONGEST_GAP_S = 0.01, 600.0
OF_STATIONS = ("parts", "patience", "runs", "budget", "anyway", "json_file", "html_file")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

Station = Annotated[Path | None, typer.Argument(metavar="[STATION.TOML]", show_default=False)]
BundleFile = Annotated[
    Path | None, typer.Option("--bundle", metavar="X.bundle", help="measure this bundle instead")
]
Keys = Annotated[Path | None, typer.Option(metavar="DIR", help="public keys that may have signed the bundle")]
Parts = Annotated[int | None, typer.Option(min=1, help=f"station: stop after so many parts (default {PARTS})")]
Patience = Annotated[float, typer.Option(min=1, help="station: stop it when no part has ended for so many seconds")]
Seconds = Annotated[float, typer.Option(min=0.1, help="bundle: how long to measure, each time")]
Rate = Annotated[float, typer.Option(min=0.1, max=1_000, help="bundle: pictures per second of the paced line")]
Runs = Annotated[
    int, typer.Option(min=1, max=100, help="measure so many times; all of them together, and the spread")
]
EngineKind = Annotated[str, typer.Option("--engine", help="bundle: ort, ov (OpenVINO) or trt (TensorRT)")]
BudgetFile = Annotated[
    Path | None, typer.Option("--budget", metavar="TOML", help="end with 1 where a figure misses its limit")
]
Two = Annotated[
    tuple[Path, Path] | None,
    typer.Option("--compare", metavar="A.json B.json", help="compare two results instead of measuring"),
]
Idle = Annotated[
    str, typer.Option(metavar="SECONDS", help="bundle: idle gaps, as 0.1,1,10,60; 0 = none", show_default=True)
]
Against = Annotated[
    str | None, typer.Option(metavar="PRECISION", help="bundle: also time its model of this precision, in turns")
]
RivalFile = Annotated[
    Path | None,
    typer.Option(
        "--against-bundle", metavar="Y.bundle", help="bundle: also measure this one, in turns; the ratio's interval"
    ),
]
Threads = Annotated[int, typer.Option(min=1, max=64, help="bundle: the engine's threads")]
Precision = Annotated[str | None, typer.Option(help="bundle: int8, fp16 or fp32 (default: its preferred model)")]
Anyway = Annotated[
    bool,
    typer.Option("--anyway", help="measure although clocks move or the machine is slowed down; the result says so"),
]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="also write the figures as JSON")]
Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="also write a page with plots; it opens without a network"),
]


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
    patience: Patience = 60.0,
    seconds: Seconds = SECONDS,
    rate: Rate = 20.0,
    idle: Idle = "0.1,1,10",
    threads: Threads = 1,
    precision: Precision = None,
    against: Against = None,
    against_bundle: RivalFile = None,
    engine: EngineKind = "ort",
    runs: Runs = 1,
    budget: BudgetFile = None,
    compare: Two = None,
    anyway: Anyway = False,
    json_file: Json = None,
    html_file: Html = None,
) -> None:
    """Measure what was named; exactly one of a station file, --bundle and --compare."""
    if (station is not None) + (bundle is not None) + (compare is not None) != 1:
        raise typer.BadParameter("give either a station file, or --bundle X.bundle --keys DIR, or --compare A B")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if compare is not None:
        _refuse(context, (), "--compare measures nothing")
        _compare(*compare)
        return
    _check_files(json_file, html_file)
    limits = {} if budget is None else read_budget(budget)
    if station is not None:
        check_paths(limits, of_a_station(), budget)
        _refuse(context, OF_STATIONS, "only with --bundle; the station file says the rest")
        _check_clocks(anyway)
        with recording() as recorded:
            measured = bench_station(station, parts or PARTS, patience, runs)
    else:
        assert bundle is not None
        if keys is None or parts is not None:
            raise typer.BadParameter("--bundle needs --keys DIR, and takes --seconds, not --parts")
        gaps_s = _gaps(idle)
        check_paths(limits, of_a_bundle(gaps_s, against, against_bundle is not None), budget)
        options, plan = _engine(engine, threads, precision), Plan(seconds, rate, gaps_s)
        _check_precision("--against", against)
        _check_clocks(anyway)
        cv2.setNumThreads(1)  # as the eye does: a resize must not compete with the engine for a core
        found = read_bundle(bundle, load_keys(keys))
        rival = None if against_bundle is None else read_bundle(against_bundle, load_keys(keys))
        with recording() as recorded:
            measured = bench_bundle(found, options, plan, runs, against, SystemClock(), rival)
        Console().print(profile_tables(measured.values))
    measured.values["hardware"] = recorded.values(measured.span)
    _keep(measured.values, json_file, html_file)
    codes = [_tell_partial(measured), _tell_hardware(measured.values["hardware"], anyway)]
    codes.append(_hold(limits, budget, measured.values))
    if code := next(filter(None, codes), 0):
        raise typer.Exit(code)


def _check_clocks(anyway: bool) -> None:
    """A machine whose clocks follow the load measures the load: refused before it takes anybody's time."""
    moving = Hardware(nvml=None).unlocked()
    if moving and not anyway:
        raise ConfigError(
            f"{'; '.join(moving)}: run jetson_clocks first, or measure --anyway, which the result says"
        )


def _tell_hardware(hardware: dict[str, Any], anyway: bool) -> int:
    """What the machine told; the exit code is 1 where it was not itself."""
    if rows := hardware_rows(hardware):
        Console().print(hardware_table(rows))
    for words in hardware["unfit"]:
        print(f"edge-bench: no figure to publish: {words}", file=sys.stderr)
    return int(bool(hardware["unfit"]) and not anyway)


def _keep(values: dict[str, Any], json_file: Path | None, html_file: Path | None) -> None:
    if json_file is not None:
        _write("--json", json_file, json.dumps(values, indent=2, allow_nan=False) + "\n")
    if html_file is not None:
        _write("--html", html_file, page(values))


def _tell_partial(measured: Measured) -> int:
    """What was measured is kept; that it is not all that was asked for, a script must see."""
    if "partial" in measured.values:
        print(f"edge-bench: partial result: {measured.values['partial']}", file=sys.stderr)
    return measured.exit_code


def _refuse(context: typer.Context, allowed: Sequence[str], why: str) -> None:
    """No option is left out silently."""
    given = sorted(
        name
        for name in context.params
        if name not in (*allowed, "station", "compare")
        and getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    )
    if given:
        names = ", ".join(f"--{name.removesuffix('_file').replace('_', '-')}" for name in given)
        raise typer.BadParameter(f"{names}: {why}")


def _hold(limits: Limits, budget: Path | None, values: dict[str, Any]) -> int:
    """The exit code is 1 where the result misses its budget. A partial one does: what it has not shown is not held."""
    if budget is None:
        return 0
    missed = [miss.words() for miss in misses(limits, figures(values))]
    if "partial" in values:
        missed.append("the result is partial")
    for words in missed:
        print(f"over budget: {words}", file=sys.stderr)
    if not missed:
        print(f"within {budget}: {sum(map(len, limits.values()))} figures")
    return int(bool(missed))


def _compare(before: Path, after: Path) -> None:
    one, other = read_result(before), read_result(after)
    Console().print(comparison_table(compare_results(one, other), str(before), str(after)))
    for words in unlike(one, other):
        print(f"not measured alike: {words}")


def _engine(kind: str, threads: int, precision: str | None) -> Engine:
    _check_precision("--precision", precision)
    if kind not in ("ort", "ov", "trt"):
        raise typer.BadParameter(f"--engine {kind}: use ort, ov or trt")
    return TypeAdapter(Engine).validate_python({"kind": kind, "threads": threads, "precision": precision})


def _check_precision(option: str, precision: str | None) -> None:
    if precision not in (None, "int8", "fp16", "fp32"):
        raise typer.BadParameter(f"{option} {precision}: use int8, fp16 or fp32")


def _gaps(text: str) -> tuple[float, ...]:
    """The idle gaps in seconds: "0.1,1,10"; none for "0"."""
    try:
        gaps_s = tuple(float(word) for word in text.split(","))
    except ValueError:
        gaps_s = (-1.0,)
    if gaps_s == (0.0,):
        return ()
    if not all(SHORTEST_GAP_S <= gap_s <= LONGEST_GAP_S for gap_s in gaps_s):
        raise typer.BadParameter(
            f"--idle {text}: write seconds from {SHORTEST_GAP_S:g} to {LONGEST_GAP_S:g}, as 0.1,1,10; or 0"
        )
    return gaps_s


def _check_files(json_file: Path | None, html_file: Path | None) -> None:
    if json_file is not None and html_file is not None and json_file.resolve() == html_file.resolve():
        raise typer.BadParameter(f"--json and --html would both write {json_file}: name two files")
    _check_writable("--json", json_file)
    _check_writable("--html", html_file)


def _check_writable(option: str, file: Path | None) -> None:
    """Measuring takes long: say before it that the result could not be kept."""
    if file is not None and (file.is_dir() or not os.access(file.parent, os.W_OK)):
        raise ConfigError(f"cannot write {file}: give {option} a file in a folder that exists and may be written")


def _write(option: str, file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}; give another {option}") from error


if __name__ == "__main__":
    main()
