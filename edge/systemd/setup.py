"""Makes stations services of this machine, and takes them off it: what is refused, what changes, in which order."""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge import lanes
from edge.credentials import secrets
from edge.errors import ConfigError
from edge.station import Station, load
from edge.systemd.machine import Machine
from edge.systemd.needs import folders
from edge.systemd.units import MARK, UNITS, File, Plan, plan

_PLAIN = re.compile(r"[A-Za-z0-9_./:+@,=-]+")  # what needs no quoting in any of the files
_HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108


@dataclass(frozen=True, slots=True)
class Change:
    """What setup will do with a file: "new", "changed", "same" or "removed"."""

    what: str
    file: File


def refuse(stations: Sequence[Station], machine: Machine) -> None:
    """Raises ConfigError with every reason why these stations cannot be services of one eye on this machine."""
    lanes.refuse(stations)
    given = {station.source.resolve() for station in stations}
    found = [words for station in stations for words in _unfit(station)]
    for other in sorted({path for _, owners in machine.ours() for path in owners} - given):
        found += _beside(stations, other)
    for owners in sorted(
        {owners for _, owners in machine.ours() if given & set(owners) and not set(owners) <= given}
    ):
        together = " ".join(map(str, owners))
        found.append(f"{together} share an eye: give all of them, or first `edge setup --remove {together}`")
    if found:
        listed = "\n".join(f"  {number}. {words}" for number, words in enumerate(found, 1))
        raise ConfigError(f"these stations cannot be set up as services:\n{listed}")


def _unfit(station: Station) -> Iterator[str]:
    source = station.source.resolve()
    if station.station.mode == "collect":
        yield f'{source} has mode = "collect": a service inspects or shadows; run edge collect by hand'
    read = [source, station.station.keys_dir, *(camera.dir for camera in station.camera if camera.kind == "folder")]
    for path in [*read, *folders(station), Path(sys.prefix)]:
        if not _PLAIN.fullmatch(str(path)):
            yield f"{path}: use a path of letters, digits and dashes; units would misread this one"
        if any(path.is_relative_to(hidden) for hidden in _HIDDEN):
            yield f"{path}: services see no home and no temporary folders; move it, as to /etc/kenpin or /opt/kenpin"
    for section in ("plc", "mqtt", "panel"):
        for path in secrets(station, section).values() if getattr(station, section) else ():
            if not path.is_file():
                yield f"{path}: the file is missing that {source} names; put it there, readable by root alone"
    yield from _open_to_others(source)


def _open_to_others(source: Path) -> Iterator[str]:
    """The station file is trusted, so only root may write it."""
    state = source.stat()
    if state.st_uid != 0 or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield f"{source}: others than root may write it; chown root and chmod 644 it"


def _beside(stations: Sequence[Station], other: Path) -> list[str]:
    """What these stations and one that is set up already would fight for."""
    if not other.exists():
        return [f"{other} is set up as a service and gone: edge setup --remove {other}"]
    known = load(other)
    return [words for station in stations for words in lanes.beside(station, known)]


def changes(wanted: Plan, stations: Sequence[Station], machine: Machine) -> list[Change]:
    """What differs from the machine as it is, and what of these stations is there no more. Raises ConfigError for a
    file in the way that setup has not written."""
    found = [_change(file, machine.read(file.path)) for file in wanted.files]
    given, kept = {station.source.resolve() for station in stations}, {file.path for file in wanted.files}
    left = [File(path, "", owners) for path, owners in machine.ours() if set(owners) & given and path not in kept]
    return found + [Change("removed", file) for file in left]


def _change(file: File, found: str | None) -> Change:
    if found is None:
        return Change("new", file)
    if not found.startswith(MARK):
        raise ConfigError(f"{file.path} is in the way and not written by edge setup: move it away")
    return Change("same" if found == file.text else "changed", file)


def set_up(stations: Sequence[Station], machine: Machine, bin_dir: Path) -> Iterator[str]:
    """Write what is new, enable all units, start those that do not run; says what it does. Raises KenpinError."""
    wanted = plan(stations, bin_dir)
    made = changes(wanted, stations, machine)
    gone = [change.file.path for change in made if change.what == "removed"]
    if gone:
        machine.forget(units_of(gone))
    for change in made:
        if change.what == "removed":
            machine.remove(change.file.path)
        elif change.what != "same":
            machine.write(change.file.path, change.file.text)
        yield f"{change.file.path}: {change.what}"
    machine.take_up_users(wanted.files[0].path)
    machine.take_up([file.path for file in wanted.files if file.path.parent.name == "tmpfiles.d"])
    _refuse_foreign_files(stations, machine)
    machine.enable(wanted.units)
    changed = {change.file.path for change in made if change.what == "changed"}
    for unit in wanted.units:
        yield _started(unit, machine, bool(changed & _paths_of(unit)))


def _refuse_foreign_files(stations: Sequence[Station], machine: Machine) -> None:
    """A run by hand leaves files that the service may not write. Bundles it need not: each install hands them over."""
    for folder in dict.fromkeys(path for station in stations for path in folders(station)):
        if machine.holds_files_of_root(folder, but="bundles"):
            raise ConfigError(f"{folder} holds files of root, as of a run by hand: chown -R kenpin:kenpin {folder}")


def _started(unit: str, machine: Machine, is_stale: bool) -> str:
    if not machine.is_active(unit):
        machine.start(unit)
        return f"{unit}: started"
    if is_stale:
        return f"{unit}: runs as it was set up before; when parts may be rejected: systemctl restart {unit}"
    return f"{unit}: runs"


def _paths_of(unit: str) -> set[Path]:
    kind = unit.partition("@")[0]
    return {UNITS / f"{kind}@.service", UNITS / f"{unit}.d" / "station.conf"}


def remove(sources: Sequence[Path], machine: Machine) -> Iterator[str]:
    """Stop, disable and take away what setup has written for these stations. Records, bundles, keys and the user stay.
    Raises KenpinError."""
    given = {path.resolve() for path in sources}
    owned = [(path, set(owners)) for path, owners in machine.ours() if set(owners) & given]
    if not owned:
        raise ConfigError(f"no service was set up for {' '.join(map(str, sources))}: nothing to remove")
    missing = sorted(set().union(*(owners for _, owners in owned)) - given)
    if missing:
        raise ConfigError(
            f"{' '.join(map(str, missing))} shares their eye: give all its stations, then set up the rest"
        )
    gone = [path for path, _ in owned]
    if len(gone) == sum(bool(owners) for _, owners in machine.ours()):
        gone += [path for path, owners in machine.ours() if not owners]
    machine.forget(units_of(gone))
    for path in gone:
        machine.remove(path)
        yield f"{path}: removed"
    machine.take_up([])
    yield "records, bundles, keys and the user kenpin are left as they are"


def units_of(paths: Sequence[Path]) -> list[str]:
    """The units whose drop-ins these are; the eye is stopped before its lines."""
    names = [path.parent.name.removesuffix(".d") for path in paths if path.name == "station.conf"]
    return sorted(names, key=lambda name: name.startswith("kenpin-line@"))
