"""`edge io`: try one device of a station by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.clock import SystemClock
from edge.errors import ConfigError
from edge.operate import StationFile
from edge.options import Camera as CameraOptions
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
) -> None:
    """Look at a camera's pictures: focus, exposure, clipping, flicker, blur; are they as the student learned them?"""
    from edge import camera_trial

    station = load(station_file)
    chosen = _chosen(station, name)
    known, words = camera_trial.learned(station)
    seen = camera_trial.look(chosen, frames, known, SystemClock())
    words = camera_trial.appraised(seen, known, exposure_us) + words
    for line in words:
        print(f"camera {chosen.name}: {line}")
    if sheet is not None:
        _write(sheet, camera_trial.png(seen, words))


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
