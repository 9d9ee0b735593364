"""`edge io`: try one device of a station by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from edge.clock import MS, SystemClock
from edge.durations import parse_ns
from edge.errors import ConfigError
from edge.operate import StationFile
from edge.options import Camera as CameraOptions
from edge.section import Axis
from edge.signals import stop_signals
from edge.station import Station, load

app = typer.Typer(help="Try one device of a station by hand.", no_args_is_help=True)


@app.callback()
def _devices() -> None:
    """Try one device of a station by hand."""


@app.command()
def camera(
    station_file: StationFile,
    name: Annotated[str, typer.Option(help="which camera; without it the first")] = "",
    frames: Annotated[int, typer.Option(min=1, max=100_000, help="how many pictures to look at")] = 120,
    exposure_us: Annotated[
        float | None, typer.Option("--exposure-us", min=1, help="the exposure, where the camera does not say")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="also draw pictures and figures into it", metavar="X.PNG")
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="also compare with these pictures, as the calibration set's", metavar="SET")
    ] = None,
) -> None:
    """Look at a camera's pictures: focus, exposure, clipping, flicker, blur; are they as the student learned them?"""
    from edge import camera_trial

    station = load(station_file)
    chosen = _chosen(station, name)
    known, words = camera_trial.learned(station)
    known |= camera_trial.like(like) if like is not None else {}
    seen = camera_trial.look(chosen, frames, known, SystemClock())
    words = camera_trial.appraised(seen, known, exposure_us) + words
    for line in words:
        print(f"camera {chosen.name}: {line}")
    if sheet is not None:
        _write(sheet, camera_trial.png(seen, words))


@app.command(name="input")
def input_(
    station_file: StationFile,
    name: Annotated[str, typer.Option(help="which input; without it the trigger")] = "",
    for_: Annotated[str | None, typer.Option("--for", help="how long: 30s, 5m", metavar="TIME")] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="send marked parts: the time from the trigger's edge to their picture")
    ] = False,
    camera: Annotated[str, typer.Option(help="with --measure: which camera; without it the first")] = "",
    parts: Annotated[int, typer.Option(min=1, max=1_000, help="with --measure: how many parts, one by one")] = 5,
    axis: Annotated[Axis, typer.Option(help="with --measure: the belt's direction in the picture")] = "x",
    within: Annotated[str, typer.Option(help="with --measure: a part is through by then", metavar="TIME")] = "2s",
    camera_mm: Annotated[
        float, typer.Option("--camera-mm", min=0, help="from the photo-eye to the middle of the picture")
    ] = 0.0,
    gate_mm: Annotated[float, typer.Option("--gate-mm", min=0, help="from the photo-eye to the gate")] = 0.0,
) -> None:
    """Show an input's edges as they come; or measure trigger_to_frame_ms with marked parts."""
    from edge import input_trial

    station, clock, asked = load(station_file), SystemClock(), stop_signals()
    duration_ns = None if for_ is None else parse_ns(for_)
    if not measure:
        for words in input_trial.show(station, input_trial.chosen_input(station, name), duration_ns, clock, asked):
            print(words, flush=True)
        return
    chosen = _chosen(station, camera)
    print(f"send {parts} marked parts one by one over the empty belt; --within {within} apart or more", flush=True)
    found = input_trial.measure(station, chosen, parts, axis, parse_ns(within), duration_ns, clock, asked)
    for words in input_trial.words_of(found, station, chosen, input_trial.Distances(camera_mm, gate_mm)):
        print(words)


@app.command()
def gate(
    station_file: StationFile,
    times: Annotated[int, typer.Option(min=1, max=100, help="how often to actuate it")] = 1,
    belt_stands: Annotated[
        bool, typer.Option("--belt-stands", help="do not ask whether the belt stands and nobody is at the gate")
    ] = False,
) -> None:
    """Move the gate for its pulse, while no line runs: how long a write takes, and whether the wire confirms it."""
    from edge.line.__main__ import lock
    from edge.line.outputs.trial import pulses

    station = load(station_file)
    held = lock(station.station.state_dir / "line.lock")
    try:
        if not belt_stands and not _agreed("Does the belt stand, and is nobody at the gate?"):
            raise ConfigError("the gate was not moved: stop the belt, then answer y")
        for moved in pulses(station, times, SystemClock()):
            after_ns = moved.confirmed_after_ns
            words = f"confirmed after {after_ns / MS:.1f} ms" if after_ns else "not confirmed"
            print(f"gate {'on ' if moved.active else 'off'}: written in {moved.took_ns / MS:.1f} ms, {words}")
    finally:
        os.close(held)
    print("the gate stands at rest; did it move? Only a person or a [confirm] sensor can tell")


def _agreed(question: str) -> bool:
    """Raises ConfigError where nobody is there to answer."""
    try:
        return typer.confirm(question)
    except typer.Abort:
        raise ConfigError(
            "the gate was not moved: nobody answered; run this at a terminal, or give --belt-stands where you see "
            "that it does"
        ) from None


def _chosen(station: Station, name: str) -> CameraOptions:
    for each in station.camera:
        if name in ("", each.name):
            return each
    raise ConfigError(f"--name {name!r} is not one of {', '.join(each.name for each in station.camera)}")


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; give another --sheet") from error
    print(f"wrote {path}")
