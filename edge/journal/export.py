"""Takes a journal out: tables of parts and notes, and the kept pictures as a set that edge-train reads.

OUT/parts.csv  notes.csv             and .parquet beside them, where pyarrow is installed
OUT/pictures/labels.csv  images/     unlabelled: a verdict is no label
"""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from math import isnan
from pathlib import Path

from edge.errors import ConfigError, JournalError
from edge.journal import files
from edge.journal.completeness import name_of
from edge.journal.reading import notes_of, parts_of
from edge.journal.rows import Decided, PartRow
from edge.journal.tables import Cell, tables
from edge.records import GateEvent, GateOutcome, Kind

PICTURES = "pictures"  # in the journal's folder and in what is taken out
PICTURE = re.compile(r"([0-9a-f]{16})_(.+)_([a-z]+)\.jpg")

_TYPES = {"i": int, "t": str, "r": float, "b": bool}


def _columns(words: str) -> Mapping[str, type]:
    """Names and types of columns from NAME:TYPE."""
    return {name: _TYPES[kind] for name, _, kind in (word.partition(":") for word in words.split())}


PARTS = _columns(
    "part_id:i session:i number:i day:t recipe:i born_ns:i deadline_ns:i "
    "verdict:t verdict_reason:t score:r threshold:r model:t decided_ns:i "
    "outcome:t outcome_verdict:t outcome_reason:t planned_ns:i written_ns:i confirmed_ns:i ended_utc:t ring_seq:i "
    "shadow:b sensed:t sensed_ns:i"
)
NOTES = _columns("utc:t kind:t words:t")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to take out: the days from `first` to `last` (2026-11-24; empty: no bound), only rejected parts or all,
    and the lot that the pictures belong to (empty: each part's own group)."""

    first: str = ""
    last: str = ""
    rejects: bool = False
    lot: str = ""

    def has(self, day: str) -> bool:
        return (not self.first or day >= self.first) and (not self.last or day <= self.last)


@dataclass(frozen=True, slots=True)
class Exported:
    """How much was taken out."""

    parts: int
    notes: int
    pictures: int


def export(folder: Path, into: Path, wanted: Wanted) -> Exported:
    """Write the tables and the pictures; also while the journal is being written.

    A part belongs to the day of its first row. Raises ConfigError when `into` holds something, JournalError when the
    journal cannot be read or the disk refuses.
    """
    days = files.existing_days(folder)
    try:
        into.mkdir(parents=True, exist_ok=True)
        if any(into.iterdir()):
            raise ConfigError(f"{into} is not empty; give a folder that is, or does not exist")
        parts = _write(into / "parts", PARTS, _part_rows(days, wanted))
        notes = _write(into / "notes", NOTES, _note_rows(days, wanted))
        pictures = _copy_pictures(folder / PICTURES, into / PICTURES, wanted)
    except OSError as error:
        raise JournalError(
            f"cannot write {into}: {error.strerror or error}; free disk space, check its rights"
        ) from error
    return Exported(parts, notes, pictures)


def _write(stem: Path, columns: Mapping[str, type], rows: Iterator[Sequence[Cell]]) -> int:
    count = 0
    with ExitStack() as stack:
        made = tables(stem, columns)
        for table in made:
            stack.callback(table.close)
        for row in rows:
            count += 1
            for table in made:
                table.add(row)
    return count


# --- tables -----------------------------------------------------------------------------------------------------


def _part_rows(days: Sequence[Path], wanted: Wanted) -> Iterator[Sequence[Cell]]:
    """A part may have its rows in neighbouring files: the files beside the wanted ones are read too."""
    inside = [index for index, path in enumerate(days) if wanted.has(path.stem)]
    if not inside:
        return
    near = days[max(0, inside[0] - 1) : inside[-1] + 2]
    for day, part in parts_of(near):
        if wanted.has(day) and (not wanted.rejects or _is_rejected(part)):
            yield _part_row(day, part)


def _is_rejected(part: PartRow) -> bool:
    """Whether it was not let pass, or should not have been."""
    judged = part.decided is not None and part.decided.verdict.kind is not Kind.PASS
    return judged or (part.outcome is not None and part.outcome.outcome is not GateOutcome.RELEASED)


def _part_row(day: str, part: PartRow) -> Sequence[Cell]:
    source = part.decided.part if part.decided is not None else part.outcome
    assert source is not None
    begins = (part.part_id, part.part_id >> 32, part.part_id & 0xFFFF_FFFF, day)
    born = (source.recipe, source.born_ns, source.deadline_ns)
    return (*begins, *born, *_decided_cells(part.decided), *_outcome_cells(part.outcome))


def _decided_cells(decided: Decided | None) -> Sequence[Cell]:
    if decided is None:
        return (None,) * 6
    verdict = decided.verdict
    scores = (None if isnan(score) else score for score in (verdict.score, verdict.threshold))
    return (verdict.kind.name, verdict.reason.name, *scores, verdict.model, verdict.decided_ns)


def _outcome_cells(event: GateEvent | None) -> Sequence[Cell]:
    if event is None:
        return (None,) * 11
    names = (event.outcome.name, event.verdict.name, event.reason.name)
    times = (event.planned_ns, event.written_ns, event.confirmed_ns, _utc(event.ended_wall_ns))
    return (*names, *times, event.ring_seq, event.shadow, event.sensed.name, event.sensed_ns)


def _note_rows(days: Sequence[Path], wanted: Wanted) -> Iterator[Sequence[Cell]]:
    for note in notes_of([path for path in days if wanted.has(path.stem)]):
        yield _utc(note.wall_ns), note.kind, note.words


def _utc(wall_ns: int) -> str:
    """ISO 8601 to the microsecond."""
    return datetime.fromtimestamp(wall_ns / 1e9, timezone.utc).isoformat(timespec="microseconds")


# --- pictures ---------------------------------------------------------------------------------------------------


def _copy_pictures(kept: Path, into: Path, wanted: Wanted) -> int:
    rows: list[tuple[str, str, str, str]] = []
    for path in sorted(kept.glob("*/*.jpg")):
        found = PICTURE.fullmatch(path.name)
        if found is None or not wanted.has(path.parent.name):
            continue
        if wanted.rejects and found[3] == Kind.PASS.name.lower():
            continue
        name = f"images/{path.name}"
        (into / "images").mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # it has just given way to a newer one
            shutil.copyfile(path, into / name)
            rows.append((name, "", wanted.lot or f"part-{name_of(int(found[1], 16))}", ""))
    if rows:
        with (into / "labels.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("file", "label", "group", "mask"))
            writer.writerows(rows)
    return len(rows)
