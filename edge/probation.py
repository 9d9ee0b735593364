"""What a newly installed bundle must still prove on the running line, and what became of one that did not.

Both are small files beside the bundles: `probation` says which version is watched and which one takes over, `returned`
which version the station has left by itself, and why.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from edge.durable import sync_folder, write_whole

PROBATION, RETURNED = "probation", "returned"
MOST_UNCLEAN = 3  # runs with it that did not end in order: what kills the process is not seen otherwise
_T = TypeVar("_T")


@dataclass(frozen=True)
class Probation:
    """`version` is watched and gives way to `back_to`; `unclean` runs began with it and did not end in order."""

    version: int
    back_to: int
    unclean: int = 0


@dataclass(frozen=True)
class Returned:
    """The station went from `version` back to `back_to` by itself at this wall time (ns), and why."""

    version: int
    back_to: int
    why: str
    wall_ns: int

    def sentence(self, product: str) -> str:
        """For people and the journal."""
        return f"{product} is back at version {self.back_to}: version {self.version} {self.why}"


def read(folder: Path, active: int) -> Probation | None:
    """The probation of a product's active version; None where it is not watched. A damaged file watches nothing."""
    found = _read(folder / PROBATION, TypeAdapter(Probation))
    return found if found is not None and found.version == active else None


def returned(folder: Path, active: int) -> Returned | None:
    """How the active version came to be active again by the station itself, if it did."""
    found = _read(folder / RETURNED, TypeAdapter(Returned))
    return found if found is not None and found.back_to == active else None


def _read(path: Path, kind: TypeAdapter[_T]) -> _T | None:
    try:
        return kind.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def begin(folder: Path, version: int, back_to: int) -> None:
    """Watch this version from the next run on. Raises OSError."""
    _write(folder / PROBATION, Probation(version, back_to))


def run_begins(folder: Path, known: Probation) -> None:
    """Count a run as unclean until it ends in order. Raises OSError."""
    _write(folder / PROBATION, replace(known, unclean=known.unclean + 1))


def run_ended(folder: Path, known: Probation) -> None:
    """The run that began with `known` has ended in order. Raises OSError."""
    _write(folder / PROBATION, known)


def end(folder: Path) -> None:
    """Watch no longer. Raises OSError."""
    (folder / PROBATION).unlink(missing_ok=True)
    sync_folder(folder)


def note_return(folder: Path, what: Returned) -> None:
    """Keep what the station has done by itself. Raises OSError."""
    _write(folder / RETURNED, what)


def forget_return(folder: Path) -> None:
    """Another version was made active by a person. Raises OSError."""
    (folder / RETURNED).unlink(missing_ok=True)


def _write(path: Path, what: Probation | Returned) -> None:
    write_whole(path, TypeAdapter(type(what)).dump_json(what) + b"\n")
