"""The commands of `edge`: they read the command line, call the rooms and print for people."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from edge import __version__, by_hand
from edge.clock import SystemClock
from edge.durations import parse_ns
from edge.errors import ConfigError, KenpinError
from edge.journal.cli import app as journal_app
from edge.operate import COMMANDS, StationFile
from edge.station import load

app = typer.Typer(
    help="Edge inspection: trigger, camera, verdict, reject gate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

For = Annotated[str | None, typer.Option("--for", help="stop after this time: 30s, 5m, 2h", metavar="TIME")]
ReportFile = Annotated[Path | None, typer.Option("--report", help="write the report as JSON", metavar="FILE")]


def main() -> None:
    """Run a command; errors a person can act on are one message and an exit code (design: 0, 1, 2, 65 to 78)."""
    try:
        app()
    except KenpinError as error:
        print(f"edge: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="say more in the log")] = False,
) -> None:
    if version:
        print(f"kenpin {__version__}")
        raise typer.Exit
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )


def _stop_signals() -> threading.Event:
    """Set by SIGTERM and SIGINT; a second SIGINT ends at once."""
    asked = threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return asked


def _one_core_pictures() -> None:
    import cv2

    cv2.setNumThreads(1)  # a resize must not compete with the engine for a core


def _duration_ns(text: str | None) -> int | None:
    return None if text is None else parse_ns(text)


def _count(number: int | None, name: str) -> int | None:
    if number is not None and number < 1:
        raise ConfigError(f"{name} {number}: give a number from 1")
    return number


def _writable(path: Path | None) -> None:
    """Fail before a run rather than after it."""
    write_report(path, {})


def write_report(path: Path | None, values: dict[str, object]) -> None:
    """Write the report as JSON where a file is asked for. Raises ConfigError when it cannot be written."""
    if path is None:
        return
    try:
        path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write the report {path}: {error.strerror}; give another --report") from error


@app.command()
def run(
    station_file: StationFile,
    for_: For = None,
    parts: Annotated[int | None, typer.Option(help="stop after so many parts")] = None,
    report: ReportFile = None,
    own_line: Annotated[bool, typer.Option("--own-line/--no-own-line", help="start the line process")] = True,
    exit_on_stop: Annotated[
        bool, typer.Option("--exit-on-stop", help="end with 75 when a limit stops the line; else wait for edge ack")
    ] = False,
) -> None:
    """Inspect: judge every part and drive the gate. SIGTERM finishes the parts in the zone, then stops."""
    from edge.eye.run import Until
    from edge.eye.run import run as run_eye
    from edge.screen import print_report

    _one_core_pictures()
    until = Until(_duration_ns(for_), _count(parts, "--parts"), exit_on_stop)
    station = load(station_file)
    _writable(report)
    if station.station.mode == "collect":
        raise ConfigError(f'{station_file} has mode = "collect": use edge collect, or set mode = "inspect"')
    done = run_eye(station, until, SystemClock(), _stop_signals(), starts_line=own_line)
    write_report(report, done.to_dict())
    print_report(done)
    raise typer.Exit(done.exit_code)


@app.command()
def check(
    station_file: StationFile,
    devices: Annotated[
        bool, typer.Option("--devices", help="also open the camera, infer once and read back the gate")
    ] = False,
) -> None:
    """Check a station file, its bundle, its time budget and its outputs; fires nothing."""
    from edge import check as checks
    from edge import trial
    from edge.screen import print_check

    _one_core_pictures()
    station = load(station_file)
    checks.refuse(station)
    print_check(station, trial.bundles_of(station))
    for words in trial.pipelines(station):
        print(words)
    if devices:
        for words in trial.try_devices(station, SystemClock()):
            print(words)


@app.command()
def collect(
    station_file: StationFile,
    into: Annotated[Path, typer.Option(help="the picture set's folder; made when absent")],
    lot: Annotated[str, typer.Option(help="the pictures' group; without it the hour")] = "",
    every: Annotated[str | None, typer.Option(help="at most one picture in this time, as 500ms")] = None,
    pictures: Annotated[int | None, typer.Option(help="stop after so many pictures")] = None,
    for_: For = None,
) -> None:
    """Day one: record pictures into a set that edge-train reads; no bundle, no gate."""
    from edge.eye.collect import Plan
    from edge.eye.collect import collect as record
    from edge.screen import collecting

    plan = Plan(into, lot, _duration_ns(every) or 0, _count(pictures, "--pictures"), _duration_ns(for_))
    station = load(station_file)
    with collecting(plan.pictures) as watch:
        done = record(station, plan, SystemClock(), _stop_signals(), watch)
    print(
        f"{done.stored} pictures stored in {into}, {done.skipped} were there already, "
        f"{done.refused} refused (black, saturated or repeated)"
    )
    if not done.stored + done.skipped:
        words = "; ".join(done.away.values()) or "no camera delivered a picture: check the station's trigger"
        raise ConfigError(f"nothing was recorded: {words}")


@app.command()
def line(station_file: StationFile) -> None:
    """The line process alone, for a service of its own; `edge run --no-own-line` then connects to it."""
    from edge.line.__main__ import main as run_line

    raise typer.Exit(run_line([str(station_file)]))


@app.command()
def install(
    bundle: Annotated[Path, typer.Argument(help="the bundle", metavar="X.BUNDLE", show_default=False)],
    station_file: Annotated[Path, typer.Option("--station", help="the station that it is for")],
) -> None:
    """Verify a bundle, keep a copy and make it the product's active one; shows its evidence."""
    from edge.install import install as put
    from edge.screen import print_evidence

    print_evidence(put(bundle, load(station_file)))


@app.command()
def rollback(
    product: Annotated[str, typer.Argument(show_default=False)],
    station_file: Annotated[Path, typer.Option("--station", help="the station")],
) -> None:
    """Return to the version before the active one."""
    from edge.install import rollback as back
    from edge.screen import print_evidence

    print_evidence(back(product, load(station_file)))


@app.command()
def bundles(station_file: Annotated[Path, typer.Option("--station", help="the station")]) -> None:
    """List the installed bundles."""
    from edge.install import installed
    from edge.screen import print_installed

    print_installed(installed(load(station_file)))


@app.command()
def demo(
    for_: Annotated[str, typer.Option("--for", help="how long: 20s, 1m", metavar="TIME")] = "20s",
    parts: Annotated[int | None, typer.Option(help="stop after so many parts")] = None,
    report: ReportFile = None,
    rate: Annotated[float, typer.Option(help="parts per second")] = 10.0,
) -> None:
    """A simulated line with a relay board on a pseudo-terminal: needs no hardware and no files."""
    from edge.demo.run import run_demo

    _one_core_pictures()
    logging.getLogger().setLevel(logging.WARNING)
    duration_ns = None if parts is not None else parse_ns(for_)
    _writable(report)
    code, values = run_demo(duration_ns, _count(parts, "--parts"), rate, _stop_signals())
    write_report(report, values)
    raise typer.Exit(code)


app.add_typer(by_hand.app, name="io")
for command in COMMANDS:
    app.command()(command)
app.add_typer(journal_app, name="journal")


if __name__ == "__main__":
    main()
