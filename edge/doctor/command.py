"""`edge doctor`: examines and prints; what is wrong ends it with 69."""

from __future__ import annotations

import json as as_json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from edge.clock import SystemClock
from edge.doctor.finding import Here
from edge.errors import DeviceError
from edge.station import load


def doctor(
    station_files: Annotated[
        list[Path] | None, typer.Argument(help="also what these stations need", metavar="[STATION.TOML...]")
    ] = None,
    with_engines: Annotated[
        bool,
        typer.Option("--engines", help="time the bundles' engines too: seconds of work, not while it inspects"),
    ] = False,
    endurance_tb: Annotated[
        float,
        typer.Option(min=0, help="what the journal's disk may be written in its life (TBW of its data sheet)"),
    ] = 0,
    json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Examine this machine: what is missing or in the way, and the remedy.

    Opens none of a station's devices; writes one file to time the disk, and removes it.
    """
    from edge.doctor import machine, needs

    here, clock = Here(), SystemClock()
    found = list(machine.examine(here))
    for path in station_files or []:
        station = load(path)
        found += needs.examine(station, here, clock, endurance_tb)
        if with_engines:
            from edge.doctor import engines  # arrays and pictures, which no other command would wait for

            found += engines.examine(station, clock)
    if json:
        print(as_json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        from edge.screen import print_findings

        print_findings(found)
    if any(finding.grade == "wrong" for finding in found):
        raise typer.Exit(DeviceError.exit_code)
