"""The commands of a person at a running station: how it is, acknowledge, bypass, challenge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from edge.clock import MS, SECOND, SystemClock
from edge.control import Control, Status
from edge.durations import parse_ns
from edge.errors import ConfigError
from edge.station import load

StationFile = Annotated[Path, typer.Argument(help="the station file", metavar="STATION.TOML", show_default=False)]
Why = Annotated[str, typer.Option("--why", help="the reason, for the journal", show_default=False)]
Who = Annotated[str, typer.Option("--who", help="your name; your user is recorded in any case", show_default=False)]

_SETTLES_NS = 2 * SECOND


def status(
    station_file: StationFile,
    json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """How the running station is: state with its first cause, permit, counts, recipe, bypass."""
    from edge.screen import print_status

    found = Control(load(station_file)).status()
    if json:
        print(found.model_dump_json(indent=2))
    else:
        print_status(found)


def ack(station_file: StationFile, why: Why, who: Who = "") -> None:
    """Acknowledge a stop, or an output that failed and stands at rest again; the line purges its zone and goes on."""
    control = Control(load(station_file))
    done = control.acknowledge(why, who)
    print(f"{done.words}; recorded as {done.by}")
    print(_state_after(control, lambda found: not found.can_acknowledge))


def bypass(
    station_file: StationFile,
    why: Why,
    for_: Annotated[str | None, typer.Option("--for", help="how long: 10m, 1h", metavar="TIME")] = None,
    end: Annotated[bool, typer.Option("--end", help="inspect again")] = False,
    who: Who = "",
) -> None:
    """Let parts pass uninspected for a limited time, as long as the station file allows; or end that."""
    if (for_ is None) is not end:
        raise ConfigError("give either --for TIME, or --end")
    control = Control(load(station_file))
    done = control.end_bypass(why, who) if for_ is None else control.bypass(parse_ns(for_) / SECOND, why, who)
    print(f"{done.words}; recorded as {done.by}")
    print(_state_after(control, lambda found: (found.bypass_left_s > 0) is not end))


def _state_after(control: Control, settled: Callable[[Status], bool]) -> str:
    """The state once the line has followed, or after 2 s."""
    clock = SystemClock()
    until_ns = clock.now_ns() + _SETTLES_NS
    while not settled(found := control.status()) and clock.now_ns() < until_ns:
        clock.sleep_until(clock.now_ns() + 50 * MS)
    return f"the station is {found.level}{f': {found.cause}' if found.cause else ''}"


COMMANDS = (status, ack, bypass)
