"""The commands `edge journal verify` and `edge journal export`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.errors import ConfigError, JournalError

if TYPE_CHECKING:
    from edge.journal.chain import Head
    from edge.journal.heads import SignedHead
    from edge.journal.verify import Verified

app = typer.Typer(help="The journal: verify it, take it out.", no_args_is_help=True)

Source = Annotated[
    Path,
    typer.Argument(help="a station file or a journal's folder", metavar="STATION.TOML|DIR", show_default=False),
]
_ANCHOR = re.compile(r"(\d+):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class _Source:
    """A journal's folder; with its station, the key and the head that lie outside of it."""

    folder: Path
    keys: tuple[bytes, ...] = ()
    kept: SignedHead | None = None


def _source(path: Path) -> _Source:
    from edge.device_key import PUBLIC, load_public
    from edge.journal.files import day_files
    from edge.journal.heads import OUTSIDE, kept_head
    from edge.station import load

    if path.is_dir():
        return _Source(path)
    station = load(path)
    state_dir, folder = station.station.state_dir, station.journal.dir
    if _is_missing(state_dir / PUBLIC) and not day_files(folder):
        raise ConfigError(
            f"{path}: this station has not run yet, so there is no journal in {folder}; start it (edge run), then ask "
            "again"
        )
    return _Source(
        folder, (load_public(state_dir / PUBLIC).public_bytes_raw(),), kept_head(state_dir / OUTSIDE, folder)
    )


def _is_missing(path: Path) -> bool:
    """Not of a file that somebody may not see."""
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def _anchor(text: str) -> Head:
    from edge.journal.chain import Head

    found = _ANCHOR.fullmatch(text)
    if found is None:
        raise ConfigError(f"--anchor {text}: give a head as `edge journal verify` prints it, NUMBER:LINK")
    return Head(int(found[1]), bytes.fromhex(found[2]))


def _day(text: str | None, name: str) -> str:
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise ConfigError(f"{name} {text}: give a day as 2026-11-24") from None


@app.command()
def verify(
    source: Source,
    key: Annotated[list[Path] | None, typer.Option(help="a device.pub whose signatures count too")] = None,
    anchor: Annotated[
        list[str] | None, typer.Option(help="a head that was noted elsewhere", metavar="NUMBER:LINK")
    ] = None,
) -> None:
    """Check the chain of all rows, the signatures of its heads, and that no part is missing; 74 when broken."""
    from edge.device_key import load_public
    from edge.journal.verify import verify as check

    journal = _source(source)
    keys = (*journal.keys, *(load_public(path).public_bytes_raw() for path in key or ()))
    found = check(journal.folder, keys, journal.kept, [_anchor(text) for text in anchor or ()])
    for line in _lines(found, bool(keys)):
        print(line)
    if found.broken:
        for words in found.broken:
            print(f"BROKEN: {words}")
        raise JournalError(
            f"the journal {journal.folder} is broken: {found.broken[0]}; keep a copy of the folder as it is, then find "
            "out what wrote there"
        )
    print("intact")


def _lines(found: Verified, keys_known: bool) -> list[str]:
    from edge.journal.verify import time_of

    lines = [f"{found.files} files, rows {found.begin.number + 1} to {found.head.number}"]
    if found.signed is not None:
        signed = found.signed
        newer = found.head.number - signed.head.number
        lines.append(f"head {signed.head}, signed {time_of(signed.wall_ns)}; {newer} rows after it")
    for key, count in found.keys.items():
        trust = "" if keys_known else "; whose key this is was not checked, give its device.pub with --key"
        lines.append(f"{count} heads signed by {key.hex()}{trust}")
    if found.parts is not None:
        lines.append(f"{found.parts.parts} parts of {found.parts.sessions} lives of the line")
        lines += [f"  {count} {why}" for why, count in sorted(found.parts.excused.items()) if count]
    return lines


@app.command()
def export(
    source: Source,
    out: Annotated[Path, typer.Argument(help="a folder that is empty or does not exist", show_default=False)],
    from_: Annotated[str | None, typer.Option("--from", help="the first day, UTC", metavar="DAY")] = None,
    to: Annotated[str | None, typer.Option("--to", help="the last day, UTC", metavar="DAY")] = None,
    rejects: Annotated[bool, typer.Option("--rejects", help="only what was not let pass")] = False,
    lot: Annotated[str, typer.Option(help="the pictures' group; without it each part is one")] = "",
) -> None:
    """Write parts and notes as CSV (and Parquet), and the kept pictures as a set for edge-train."""
    from edge.journal.export import Wanted
    from edge.journal.export import export as take_out
    from edge.journal.tables import LIBRARY, has_parquet
    from edge.kinds import EXTRAS

    wanted = Wanted(_day(from_, "--from"), _day(to, "--to"), rejects, lot)
    done = take_out(_source(source).folder, out, wanted)
    print(f"{done.parts} parts, {done.notes} notes and {done.pictures} pictures in {out}")
    if not has_parquet():
        print(f"no Parquet without {LIBRARY}: {EXTRAS[LIBRARY]}")
