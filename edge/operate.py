"""The commands of a person at a running station: how it is, acknowledge, bypass, lot, challenge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.clock import MS, SECOND, SystemClock
from edge.control import Control, Status
from edge.durations import parse_ns
from edge.errors import ChallengeError, ConfigError
from edge.station import Station, load

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from edge.challenge.report import SignedReport

StationFile = Annotated[Path, typer.Argument(help="the station file", metavar="STATION.TOML", show_default=False)]
Why = Annotated[str, typer.Option("--why", help="the reason, for the journal", show_default=False)]
Who = Annotated[str, typer.Option("--who", help="your name; your user is recorded in any case", show_default=False)]

_SETTLES_NS = 2 * SECOND


def status(
    station_file: StationFile,
    json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """How the running station is: state with its first cause, permit, counts, recipe, bypass, how near its limits."""
    from edge.screen import print_status

    control = Control(load(station_file))
    if json:
        print(control.status().model_dump_json(indent=2))
    else:
        print_status(control.figures())


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


def lot(
    station_file: StationFile,
    name: Annotated[str, typer.Argument(help="the lot of the parts from now on", show_default=False)],
    who: Who = "",
) -> None:
    """Name the lot of the parts that are born from now on, or of the pictures that a running edge collect records."""
    done = Control(load(station_file)).set_lot(name, who)
    print(f"{done.words}; asked by {done.by}")


def challenge(
    station_file: Annotated[
        Path | None, typer.Argument(help="the station file", metavar="STATION.TOML", show_default=False)
    ] = None,
    bad: Annotated[int, typer.Option("--bad", help="known-bad test pieces in a row", min=1, max=100)] = 3,
    good: Annotated[int, typer.Option("--good", help="known-good parts in a row", min=0, max=100)] = 1,
    patience: Annotated[str, typer.Option(help="how long each step is waited for", metavar="TIME")] = "2m",
    answers: Annotated[
        Path | None, typer.Option(help="answers from a file or pipe instead of the terminal, a line each")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="the report's file; without it challenge-NAME-TIME.json")
    ] = None,
    who: Who = "",
    verify: Annotated[Path | None, typer.Option(help="check a report instead", metavar="REPORT")] = None,
    key: Annotated[Path | None, typer.Option(help="with --verify: the device's device.pub")] = None,
) -> None:
    """Guided reject test of a running station, with a signed report; or check such a report."""
    from edge.challenge import report as reports

    if verify is not None:
        page = reports.page_of(reports.verify(verify, _trusted_key(station_file, key)))
        print(f"{page}\nsigned by this device, and unchanged since")
        return
    if station_file is None:
        raise ConfigError("no station file: give the station.toml of the running station")
    file = report or _report_file(station_file)
    reports.refuse_unwritable(file)
    signed = _conduct(load(station_file), bad, good, parse_ns(patience), answers, who)
    page_file = reports.write(file, signed)
    print(f"\n{reports.page_of(signed)}\nwritten to {file} and {page_file}")
    if signed.report.result != "passed":
        raise ChallengeError(f"the challenge test is {signed.report.result}: see {page_file}, mend it, test again")


def _conduct(
    station: Station, bad: int, good: int, patience_ns: int, answers: Path | None, who: str
) -> SignedReport:
    from edge.challenge.guide import Guide
    from edge.challenge.person import whoever
    from edge.challenge.plan import plan

    with whoever(answers) as person:
        guide = Guide(station, Control(station), person, SystemClock(), patience_ns)
        return guide.conduct(plan(station, bad, good), who)


def _trusted_key(station_file: Path | None, key: Path | None) -> Ed25519PublicKey:
    from edge.device_key import PUBLIC, load_public

    if key is not None:
        return load_public(key)
    if station_file is None:
        raise ConfigError("whose signature? give --key DEVICE.PUB, or the station.toml on the device itself")
    return load_public(load(station_file).station.state_dir / PUBLIC)


def _report_file(station_file: Path) -> Path:
    """A name in the current folder that no earlier test has."""
    now = datetime.fromtimestamp(SystemClock().wall_ns() // SECOND, timezone.utc)
    return Path(f"challenge-{load(station_file).station.name}-{now:%Y%m%dT%H%M%SZ}.json")


def _state_after(control: Control, settled: Callable[[Status], bool]) -> str:
    """The state once the line has followed, or after 2 s."""
    clock = SystemClock()
    until_ns = clock.now_ns() + _SETTLES_NS
    while not settled(found := control.status()) and clock.now_ns() < until_ns:
        clock.sleep_until(clock.now_ns() + 50 * MS)
    return f"the station is {found.level}{f': {found.cause}' if found.cause else ''}"


COMMANDS = (status, ack, bypass, lot, challenge)
