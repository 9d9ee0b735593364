"""What a newly installed bundle must still prove on the running line, and what became of one that did not.

Small files beside the bundles: `probation` says which version is watched and which one takes over, `returned` how the
active version came back, `left` which versions the station has left by itself and no person has chosen since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from edge.durable import sync_folder, write_whole

PROBATION, RETURNED, LEFT = "probation", "returned", "left"
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

    def left_words(self) -> str:
        """For a list in which this version stands."""
        return f"the station has gone back from it: it {self.why}"


def read(folder: Path, active: int) -> Probation | None:
    """The probation of a product's active version; None where it is not watched. A damaged file watches nothing."""
    return next((one for one in _watched(folder) if one.version == active), None)


def _watched(folder: Path) -> tuple[Probation, ...]:
    """Of the active version, and of one that is to be active: a cut between the two leaves the first one watched."""
    return _read(folder / PROBATION, TypeAdapter(tuple[Probation, ...])) or ()


def returned(folder: Path, active: int) -> Returned | None:
    """How the active version came to be active again by the station itself, if it did."""
    found = _read(folder / RETURNED, TypeAdapter(Returned))
    return found if found is not None and found.back_to == active else None


def left(folder: Path) -> dict[int, Returned]:
    """The versions that the station has left by itself. A damaged file names none."""
    return {one.version: one for one in _read(folder / LEFT, TypeAdapter(tuple[Returned, ...])) or ()}


def _read(path: Path, kind: TypeAdapter[_T]) -> _T | None:
    try:
        return kind.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def begin(folder: Path, version: int, back_to: int, active: int) -> None:
    """Watch this version once it is active, and until then the one that is, if it is watched. Raises OSError."""
    _write_watched(folder, [one for one in _watched(folder) if one.version == active], Probation(version, back_to))


def run_begins(folder: Path, known: Probation) -> None:
    """Count a run as unclean until it ends in order. Raises OSError."""
    _write_watched(folder, (), replace(known, unclean=known.unclean + 1))


def run_ended(folder: Path, known: Probation) -> None:
    """The run that began with `known` has ended in order. Raises OSError."""
    _write_watched(folder, (), known)


def end(folder: Path) -> None:
    """Watch no longer. Raises OSError."""
    (folder / PROBATION).unlink(missing_ok=True)
    sync_folder(folder)


def note_left(folder: Path, what: Returned) -> None:
    """The station leaves this version by itself. Raises OSError."""
    _write_left(folder, {**left(folder), what.version: what})


def forget_left(folder: Path, *versions: int) -> None:
    """These versions were chosen by a person, have proven themselves, or are gone. Raises OSError."""
    known = left(folder)
    if known.keys() & set(versions):
        _write_left(folder, {version: one for version, one in known.items() if version not in versions})


def _write_left(folder: Path, known: dict[int, Returned]) -> None:
    kind = TypeAdapter(tuple[Returned, ...])
    write_whole(folder / LEFT, kind.dump_json(tuple(known[version] for version in sorted(known))) + b"\n")


def note_return(folder: Path, what: Returned) -> None:
    """Keep what the station has done by itself. Raises OSError."""
    write_whole(folder / RETURNED, TypeAdapter(Returned).dump_json(what) + b"\n")


def forget_return(folder: Path) -> None:
    """Another version was made active by a person. Raises OSError."""
    (folder / RETURNED).unlink(missing_ok=True)


def _write_watched(folder: Path, others: Sequence[Probation], known: Probation) -> None:
    write_whole(folder / PROBATION, TypeAdapter(tuple[Probation, ...]).dump_json((*others, known)) + b"\n")
