"""The commands `edge panel` and `edge panel-user`."""

from __future__ import annotations

import getpass
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from edge.errors import ConfigError, ControlError
from edge.kinds import find
from edge.panel import TABLE
from edge.panel.options import Panel
from edge.signals import stop_signals
from edge.station import load

if TYPE_CHECKING:
    from edge.panel.users import Users

StationFile = Annotated[Path, typer.Argument(help="the station file", metavar="STATION.TOML", show_default=False)]
Name = Annotated[str, typer.Argument(help="the name to sign in with", show_default=False)]


class RoleName(str, Enum):
    """The roles as they are typed."""

    viewer = "viewer"
    operator = "operator"
    engineer = "engineer"


def panel(
    station_file: StationFile,
    listen: Annotated[
        str | None, typer.Option(help="address and port, as 127.0.0.1:8080; other machines only by TLS")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="certificate chain, PEM")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="its private key, PEM")] = None,
    host: Annotated[
        list[str] | None, typer.Option(help="a name that browsers open it under; may be given again")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="the picture set that gets people's labels")] = None,
) -> None:
    """The operator panel: a web page in a process of its own that asks the eye and reads the journal.

    Options stand for those of \\[panel] in the station file. Users: `edge panel-user add`.
    """
    import cv2

    cv2.setNumThreads(1)
    asked = stop_signals()
    station = load(station_file)
    given = {
        "listen": listen, "certificate": tls_cert, "private_key": tls_key, "hosts": host, "labels_dir": labels,
    }  # fmt: skip
    settings = _merged(station.panel or Panel(), {key: value for key, value in given.items() if value})
    server = find(TABLE, "page", "panel")(station, settings)
    if not server.users.all():
        print(f"nobody may sign in yet: edge panel-user add {station_file} NAME --role operator", file=sys.stderr)
    if not asked.is_set():
        server.run(lambda address: print(address, flush=True))


def _merged(section: Panel, given: dict[str, Any]) -> Panel:
    try:
        return Panel.model_validate(section.model_dump() | given)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"--{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}") from error


users = typer.Typer(help="Who may sign in at the operator panel.", no_args_is_help=True)


@users.command()
def add(
    station_file: StationFile,
    name: Name,
    role: Annotated[
        RoleName,
        typer.Option(
            help="viewer looks; operator acknowledges and labels; engineer changes bundles, may begin a bypass"
        ),
    ] = RoleName.viewer,
) -> None:
    """Add somebody; the password is asked for, or read from standard input where that is no terminal."""
    from edge.panel.users import Role

    _users_of(station_file).add(name, Role[role.name.upper()], _password())
    _say(station_file, f"{name} may sign in as {role.value}")


@users.command()
def password(station_file: StationFile, name: Name) -> None:
    """Give somebody another password; where they are signed in, they are signed out."""
    _users_of(station_file).set_password(name, _password())
    _say(station_file, f"{name} has another password")


@users.command()
def remove(station_file: StationFile, name: Name) -> None:
    """Take somebody away; where they are signed in, they are signed out."""
    _users_of(station_file).remove(name)
    _say(station_file, f"{name} may not sign in any more")


@users.command("list")
def list_(station_file: StationFile) -> None:
    """Who may sign in, and as what."""
    known = _users_of(station_file).all()
    for user in known:
        print(f"{user.name}  {user.role.name.lower()}")
    if not known:
        print(f"nobody may sign in yet: edge panel-user add {station_file} NAME --role operator")


def _users_of(station_file: Path) -> Users:
    from edge.panel.users import Users  # its patterns take 20 ms to build, and edge run would wait for them

    return Users(load(station_file).station.state_dir)


def _say(station_file: Path, words: str) -> None:
    """To who asked, and to the journal where its eye is up."""
    from edge.control import Control

    print(words)
    try:
        Control(load(station_file)).note_access(f"panel: {words}")
    except ControlError as error:
        print(f"the journal does not know of it: {error}", file=sys.stderr)


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("password: ")
    if getpass.getpass("once more: ") != first:
        raise ConfigError("the two passwords differ: run the command again")
    return first
