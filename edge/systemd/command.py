"""`edge setup`: reads the command line and says what is done."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.clock import SystemClock
from edge.errors import ConfigError
from edge.station import Station, load

if TYPE_CHECKING:
    from edge.systemd.machine import Machine

_BIN = Path(sys.prefix) / "bin"


def setup(
    station_files: Annotated[
        list[Path],
        typer.Argument(
            help="the station file, or one for each station of one eye",
            metavar="STATION.TOML...",
            show_default=False,
        ),
    ],
    bundle: Annotated[
        list[Path] | None, typer.Option(help="first install this bundle; may be given again", metavar="X.BUNDLE")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only print the files")] = False,
    remove_: Annotated[bool, typer.Option("--remove", help="stop the services and take their files away")] = False,
) -> None:
    """Make stations services that start with the machine, or take them off it. May be run again: says what changed.

    Writes units, a user, folders and device rules from the station files; starts what does not run yet.
    """
    from edge.systemd.machine import Machine  # no other command would wait for these
    from edge.systemd.setup import refuse, remove, set_up

    if remove_ and (dry_run or bundle):
        raise ConfigError("--remove goes alone: leave --dry-run and --bundle out")
    machine = Machine()
    if not dry_run:
        machine.refuse()
    if remove_:
        done = remove(station_files, machine)
    else:
        stations = [load(path) for path in station_files]
        if dry_run:
            _verify(stations, bundle or [])
        refuse(stations, machine)
        if dry_run:
            _print(stations, machine)
            return
        _bundles(stations, bundle or [])
        done = set_up(stations, machine, _BIN)
    for words in done:
        print(words, flush=True)


def _verify(stations: list[Station], paths: list[Path]) -> None:
    """Refuse what could not be installed, as far as that can be said without running it."""
    from edge.bundle import load_keys
    from edge.install import verified

    clock = SystemClock()
    for station in stations:
        for path in paths:
            manifest = verified(path, load_keys(station.station.keys_dir), clock).manifest
            print(f"{path}: {manifest.product} version {manifest.version} would be installed")


def _bundles(stations: list[Station], paths: list[Path]) -> None:
    """Install those that were given; then every product must have one."""
    from edge.install import install, open_active
    from edge.screen import print_evidence

    for station in stations:
        for path in paths:
            print_evidence(install(path, station))
        for product in station.products().values():
            open_active(station, product)


def _print(stations: list[Station], machine: Machine) -> None:
    from edge.systemd.setup import changes
    from edge.systemd.units import plan

    for change in changes(plan(stations, _BIN), stations, machine):
        print(f"==> {change.file.path} ({change.what})\n{change.file.text}")
