"""The commands of `edge`: they read the command line, call the rooms and print for people."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge import __version__, by_hand, lanes
from edge.clock import SECOND, SystemClock
from edge.collecting import Encoding, Grouping, Plan, Quota, WhenFull
from edge.doctor.command import doctor
from edge.durations import parse_ns
from edge.entry import loading
from edge.errors import BundleError, CameraError, ConfigError, KenpinError
from edge.journal.cli import app as journal_app
from edge.kinds import find
from edge.line_starter import starting
from edge.operate import COMMANDS, StationFile
from edge.outbox import TABLE
from edge.panel.command import panel
from edge.panel.command import users as panel_users
from edge.signals import stop_signals
from edge.station import Metrics, load
from edge.systemd.command import setup
from edge.systemd.log import words_for
from edge.threshold import chosen_product, threshold

if TYPE_CHECKING:
    from edge.outbox.send import Outbox

app = typer.Typer(
    help="Edge inspection: trigger, camera, verdict, reject gate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

StationFiles = Annotated[
    list[Path],
    typer.Argument(
        help="the station file, or one for each station of this eye", metavar="STATION.TOML...", show_default=False
    ),
]
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
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # what it warns of, the camera says in its own words
    handler = logging.StreamHandler()
    handler.setFormatter(words_for("%(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])


def _one_core_pictures() -> None:
    import cv2

    cv2.setNumThreads(1)  # a resize must not compete with the engine for a core


def _say_which_thread() -> None:
    """The threads of several stations have their names in front."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(words_for("%(threadName)s: %(message)s"))


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
    station_files: StationFiles,
    for_: For = None,
    parts: Annotated[int | None, typer.Option(help="stop after so many parts")] = None,
    report: ReportFile = None,
    own_line: Annotated[bool, typer.Option("--own-line/--no-own-line", help="start the line process")] = True,
    exit_on_stop: Annotated[
        bool, typer.Option("--exit-on-stop", help="end with 75 when a limit stops the line; else wait for edge ack")
    ] = False,
) -> None:
    """Inspect: judge every part and drive the gate. SIGTERM finishes the parts in the zone, then stops.

    Several stations share one eye: a camera that they name alike is opened once, each has its region of the frame.
    """
    limits = _duration_ns(for_), _count(parts, "--parts"), exit_on_stop
    stations = [load(path) for path in station_files]
    _writable(report)
    for station in stations:
        if station.station.mode == "collect":
            raise ConfigError(f'{station.source} has mode = "collect": use edge collect, or set mode = "inspect"')
    lanes.refuse(stations)
    if len(stations) > 1:
        _say_which_thread()
    asked, clock = stop_signals(), SystemClock()
    with starting(stations if own_line else (), clock) as starters:  # beside what the eye imports
        with loading():
            from edge.eye.run import Until
            from edge.eye.run import run as run_eye
        _one_core_pictures()
        done = run_eye(stations, Until(*limits), clock, asked, starters=starters)
    from edge.screen import print_report  # tables are not on the way to READY

    write_report(report, done.to_dict())
    print_report(done)
    raise typer.Exit(done.exit_code)


@app.command()
def check(
    station_files: StationFiles,
    devices: Annotated[
        bool, typer.Option("--devices", help="also open the camera, infer once and read back the gate")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="say only what is wrong")] = False,
) -> None:
    """Check a station file, its bundle, its time budget and its outputs; fires nothing. Several: also whether they may
    share an eye."""
    from edge import trial
    from edge.screen import print_check, print_products

    _one_core_pictures()
    if quiet and devices:
        raise ConfigError("--devices tells what each one answers: leave --quiet out")
    stations = [load(path) for path in station_files]
    lanes.refuse(stations)
    if quiet:
        for station in stations:
            trial.bundles_of(station)
        return
    for station in stations:
        print_check(station)
        for words in trial.pipelines(station):
            print(words)
        with suppress(BundleError) if devices else nullcontext():  # devices are tried before there is a bundle, too
            print_products(station, trial.bundles_of(station))
    for words in lanes.advice(stations):
        print(f"advice: {words}")
    if len(stations) > 1:
        print("the stations may run together")
    for station in stations if devices else ():
        for words in trial.try_devices(station, SystemClock()):
            print(words)


@app.command()
def collect(
    station_file: StationFile,
    into: Annotated[Path, typer.Option(help="the picture set's folder; made when absent")],
    lot: Annotated[
        str, typer.Option(help="the pictures' group; without it the folder's last lot, or the hour")
    ] = "",
    shifts: Annotated[
        str, typer.Option(help="when shifts begin, as 06:00,14:00,22:00: a group for each", metavar="TIMES")
    ] = "",
    group: Annotated[Grouping, typer.Option(help="what pictures of one group share: the lot, or the part")] = "lot",
    at_trigger: Annotated[
        bool,
        typer.Option("--at-trigger", help="one picture of each part that the trigger sees, as when inspecting"),
    ] = False,
    every: Annotated[str | None, typer.Option(help="at most one picture in this time, as 500ms")] = None,
    changed: Annotated[
        float, typer.Option(min=0, max=1, help="only where this share of the picture has changed, as 0.02")
    ] = 0.0,
    encoding: Annotated[
        Encoding, typer.Option("--as", help="jpeg loses detail, bmp is large and costs least")
    ] = "png",
    max_mb: Annotated[int | None, typer.Option("--max-mb", min=1, help="the most that the set may hold")] = None,
    when_full: Annotated[WhenFull, typer.Option("--when-full", help="then stop, or drop the oldest")] = "stop",
    pictures: Annotated[int | None, typer.Option(help="stop after so many pictures")] = None,
    for_: For = None,
) -> None:
    """Day one: record pictures into a set that edge-train reads; no bundle, no gate."""
    from edge.eye.collect import collect as record
    from edge.eye.lots import parse_shifts
    from edge.photo_eye import photo_eye_of
    from edge.screen import collected_words, collecting

    if at_trigger and (every or changed):
        raise ConfigError("--at-trigger takes each part: leave --every and --changed out")
    station, clock = load(station_file), SystemClock()
    plan = Plan(
        into,
        lot.strip(),
        parse_shifts(shifts),
        group,
        _duration_ns(every) or 0,
        changed,
        at_trigger,
        encoding,
        Quota(max_mb, station.journal.free_min_mb, when_full),
        _count(pictures, "--pictures"),
        _duration_ns(for_),
    )
    _one_core_pictures()
    with collecting(plan.pictures) as watch:
        done = record(station, plan, clock, stop_signals(), watch, photo_eye_of(station, clock))
    print(f"{done.stored} pictures stored in {into}: {collected_words(done)}")
    if not done.stored + done.skipped and not done.full:
        words = "; ".join(done.away.values()) or "no camera delivered a picture: check the station's trigger"
        is_device = done.away and all(camera.kind != "folder" for camera in station.camera)
        raise (CameraError if is_device else ConfigError)(f"nothing was recorded: {words}")


@app.command()
def line(station_file: StationFile) -> None:
    """The line process alone, for a service of its own; `edge run --no-own-line` then connects to it."""
    from edge.line.__main__ import main as run_line

    raise typer.Exit(run_line([str(station_file)]))


@app.command()
def outbox(station_file: StationFile) -> None:
    """Send the journal to the broker of \\[mqtt], for a service of its own; a broker that is away is waited for."""
    station = load(station_file)
    if station.mqtt is None:
        raise ConfigError(f"{station_file} has no [mqtt]: add it with the broker's host")
    sender: type[Outbox] = find(TABLE, "mqtt", "outbox")
    sender(station, station.mqtt, SystemClock(), stop_signals()).run()


@app.command()
def metrics(
    station_files: StationFiles,
    listen: Annotated[
        str, typer.Option(help="answer Prometheus here; there is no password: keep it on this machine")
    ] = "",
    file: Annotated[
        Path | None, typer.Option(help="write this file instead, for node_exporter's textfile collector")
    ] = None,
    every: Annotated[str, typer.Option(help="how often the file is written", metavar="TIME")] = "15s",
) -> None:
    """A station's figures for Prometheus, from a process of its own; a station that is away is told as down."""
    from edge.metrics import keep, registry_of, serve

    stations = [load(path) for path in station_files]
    registry = registry_of(stations)
    if file is not None:
        keep(registry, file, parse_ns(every) / SECOND, stop_signals())
    else:
        serve(registry, listen or (stations[0].metrics or Metrics()).listen, stop_signals())


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
    version: Annotated[
        int | None, typer.Option(help="this one, also where the station has left it by itself")
    ] = None,
) -> None:
    """Return to the version before the active one; those that the station has left by itself are passed over."""
    from edge.install import rollback as back
    from edge.screen import print_evidence

    print_evidence(back(product, load(station_file), version))


@app.command()
def bundles(station_file: Annotated[Path, typer.Option("--station", help="the station")]) -> None:
    """List the installed bundles."""
    from edge.install import installed
    from edge.screen import print_installed

    print_installed(installed(load(station_file)))


@app.command()
def replay(
    folder: Annotated[
        Path,
        typer.Argument(
            help="what edge journal export wrote, a journal's folder, or a picture set",
            metavar="DIR",
            show_default=False,
        ),
    ],
    station_file: Annotated[Path, typer.Option("--station", help="the station whose pictures they are")],
    bundle: Annotated[
        Path | None,
        typer.Option(help="judge by this one, installed or not; else by the active one", metavar="X.BUNDLE"),
    ] = None,
    engine: Annotated[Literal["ort", "ov"] | None, typer.Option(help="by another engine")] = None,
    precision: Annotated[Literal["int8", "fp16", "fp32"] | None, typer.Option(help="by this one's model")] = None,
    product: Annotated[str, typer.Option(help="whose active bundle, where the station has several")] = "",
    report: ReportFile = None,
) -> None:
    """Judge recorded pictures again by another bundle or engine, and list which verdicts change, worst first."""
    from edge.install import open_active
    from edge.replay import engine_of, open_other
    from edge.replay import replay as judge_again
    from edge.screen import judging

    if bundle is not None and product:
        raise ConfigError("a bundle says whose it is: leave --product out")
    station, clock = load(station_file), SystemClock()
    _writable(report)
    os.nice(19)  # a station that runs here comes first
    _one_core_pictures()
    opened = (
        open_other(bundle, station, clock) if bundle else open_active(station, chosen_product(station, product))
    )
    done = judge_again(folder, station, opened, engine_of(station, engine, precision), clock, judging)
    write_report(report, done.to_dict())
    for words in done.lines():
        print(words)


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
    code, values = run_demo(duration_ns, _count(parts, "--parts"), rate, stop_signals())
    write_report(report, values)
    raise typer.Exit(code)


app.add_typer(by_hand.app, name="io")
for command in (*COMMANDS, threshold, panel, setup, doctor):
    app.command()(command)
app.add_typer(journal_app, name="journal")
app.add_typer(panel_users, name="panel-user")


if __name__ == "__main__":
    main()
