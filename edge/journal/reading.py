"""Reads the journal back: parts, notes, what an earlier run left open, and the chain's rows as they were written."""

from __future__ import annotations

import heapq
import sqlite3
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol, TypeVar

from edge.errors import JournalError
from edge.journal import files
from edge.journal.chain import Head, Value, canonical, follow
from edge.journal.rows import (
    DECIDED,
    OUTCOMES,
    TABLES,
    Decided,
    Note,
    PartRow,
    decided_from,
    note_from,
    outcome_from,
)
from edge.records import GateEvent, Part, RingPlace

# far more than a zone holds, and than outcomes come out of order
_RECENT = "SELECT * FROM {} ORDER BY number DESC LIMIT 4000"


# --- parts and notes --------------------------------------------------------------------------------------------


def read_parts(folder: Path) -> list[PartRow]:
    """Every recorded part, in the order of the ids, which is that of birth; also while a Journal is writing.

    Raises JournalError.
    """
    return [row for _, row in parts_of(files.existing_days(folder))]


def parts_after(folder: Path, part_id: int) -> list[PartRow]:
    """The parts with a greater id, as `read_parts` gives them, of the newest two days. Raises JournalError."""
    return [row for _, row in parts_of(files.existing_days(folder)[-2:], part_id)]


def newest_part(folder: Path) -> int:
    """The greatest id on record in the newest two days, 0 when there is none. Raises JournalError."""
    days = files.existing_days(folder)[-2:]
    asked = " UNION ALL ".join(f"SELECT MAX(part_id) FROM {table}" for table in (DECIDED, OUTCOMES))  # noqa: S608
    return max((row[0] or 0 for path in days for row in files.rows(path, asked)), default=0)


def parts_of(days: Sequence[Path], after: int = -1) -> Generator[tuple[str, PartRow], None, None]:
    """The parts in these days' files whose id is greater than `after`, in the order of the ids, each with the day of
    its first row.

    Raises JournalError.
    """
    words_of_all = by_part(days, lambda path: _words_in(path, after))
    for part_id, words in groupby(words_of_all, key=lambda word: word.part_id):
        told = list(words)
        decided = next((word.record for word in told if isinstance(word.record, Decided)), None)
        outcome = next((word.record for word in told if isinstance(word.record, GateEvent)), None)
        yield min(word.day for word in told), PartRow(part_id, decided, outcome)


@dataclass(frozen=True, slots=True)
class _Word:
    part_id: int
    day: str
    record: Decided | GateEvent


class _OfPart(Protocol):
    @property
    def part_id(self) -> int: ...


_Row = TypeVar("_Row", bound=_OfPart)


def by_part(days: Sequence[Path], read: Callable[[Path], Iterator[_Row]]) -> Iterator[_Row]:
    """What `read` finds in each file, which it gives by part id, of all files by part id.

    A file is open only while its ids are passed, so that years may be read. Raises JournalError.
    """
    first_ids = ((_first_id(path), path) for path in days)
    waiting = deque(sorted((first, path) for first, path in first_ids if first is not None))
    opened: list[tuple[int, Path, _Row, Iterator[_Row]]] = []
    while waiting or opened:
        while waiting and (not opened or waiting[0][0] <= opened[0][0]):
            path = waiting.popleft()[1]
            _push(opened, path, read(path))
        if opened:
            _, path, row, rest = heapq.heappop(opened)
            yield row
            _push(opened, path, rest)


def _push(opened: list[tuple[int, Path, _Row, Iterator[_Row]]], path: Path, rows: Iterator[_Row]) -> None:
    row = next(rows, None)
    if row is not None:
        heapq.heappush(opened, (row.part_id, path, row, rows))


def _first_id(path: Path) -> int | None:
    first = "SELECT MIN(part_id) AS first FROM {}"
    both = f"{first.format(DECIDED)} UNION ALL {first.format(OUTCOMES)}"
    return min((row["first"] for row in files.rows(path, both) if row["first"] is not None), default=None)


def _words_in(path: Path, after: int) -> Iterator[_Word]:
    decided = (_Word(row["part_id"], path.stem, decided_from(row)) for row in _in_order(path, DECIDED, after))
    outcomes = (_Word(row["part_id"], path.stem, outcome_from(row)) for row in _in_order(path, OUTCOMES, after))
    return heapq.merge(decided, outcomes, key=lambda word: word.part_id)


def _in_order(path: Path, table: str, after: int) -> Iterator[sqlite3.Row]:
    return files.rows(path, f"SELECT * FROM {table} WHERE part_id > {after} ORDER BY part_id")  # noqa: S608


def read_notes(folder: Path) -> list[Note]:
    """Every note, oldest first. Raises JournalError."""
    return list(notes_of(files.existing_days(folder)))


def notes_of(days: Sequence[Path]) -> Iterator[Note]:
    """The notes in these days' files, oldest first. Raises JournalError."""
    for path in days:
        for row in files.rows(path, "SELECT * FROM notes ORDER BY number"):
            yield note_from(row)


# --- what a new run must know -----------------------------------------------------------------------------------


def left_open(folder: Path) -> list[Part]:
    """The parts among the last of a Journal's folder that have a verdict and no outcome: their line may have died
    with them in its zone. Raises JournalError.
    """
    recent = files.day_files(folder)[-2:]
    newest = [decided_from(row) for path in recent for row in reversed(_recent(path, DECIDED))]
    ended = {row["part_id"] for path in recent for row in _recent(path, OUTCOMES)}
    return [decided.part for decided in newest if decided.part.part_id not in ended]


def _recent(path: Path, table: str) -> list[sqlite3.Row]:
    return list(files.rows(path, _RECENT.format(table)))


def newest_outcome(folder: Path) -> RingPlace:
    """The last outcome of the line's ring before which none is missing, as far as the newest outcomes tell.

    Outcomes come in any order, and a line that lost its ring counts anew: what is told twice is known by its part.
    """
    recent = [
        RingPlace(row["ring_seq"], row["part_id"])
        for path in reversed(files.day_files(folder)[-2:])
        for row in _recent(path, OUTCOMES)
        if row["ring_seq"]
    ]
    if not recent:
        return RingPlace()
    own = {place.ring_seq: place for place in recent if place.part_id >> 32 == recent[0].part_id >> 32}
    before = [place for place in recent if place.part_id >> 32 != recent[0].part_id >> 32]
    first = own[min(own)]
    newest = max((place for place in before if place.ring_seq < first.ring_seq), default=first, key=_number)
    while newest.ring_seq + 1 in own:
        newest = own[newest.ring_seq + 1]
    return newest


def _number(place: RingPlace) -> int:
    return place.ring_seq


def newest_key(folder: Path) -> bytes | None:
    """The public key that signed last, None in a new journal. Raises JournalError."""
    for path in reversed(files.day_files(folder)):
        for row in files.rows(path, "SELECT key FROM heads ORDER BY number DESC LIMIT 1"):
            return bytes(row["key"])
    return None


# --- the chain --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Link:
    """A row of the chain as the file holds it: its number, table, values without the link, and the link.

    Texts are their bytes as stored.
    """

    number: int
    table: str
    values: tuple[Value, ...]
    link: bytes

    def follows(self, head: Head) -> bool:
        """Whether this is the row after `head`, unchanged."""
        return follow(head, canonical(self.table, self.values)) == Head(self.number, self.link)


def links_after(connection: sqlite3.Connection, number: int) -> Iterator[Link]:
    """The rows of a file after this number, in the order of the chain. Raises sqlite3.Error.

    The connection serves this alone until the end.
    """
    connection.text_factory = bytes
    return heapq.merge(*(_links(connection, table, number) for table in TABLES), key=lambda link: link.number)


def _links(connection: sqlite3.Connection, table: str, number: int) -> Iterator[Link]:
    for row in connection.execute(f"SELECT * FROM {table} WHERE number > ? ORDER BY number", (number,)):  # noqa: S608
        *values, link = row
        yield Link(values[0], table, tuple(values), link if isinstance(link, bytes) else b"")


def refuse_unsound(path: Path) -> None:
    """Raises JournalError when the rows since the newest signed head are not those that were written."""
    with closing(files.open_for_reading(path)) as file:
        files.translated(path, lambda: _refuse_unsound(path, file))


def _refuse_unsound(path: Path, file: sqlite3.Connection) -> None:
    row = file.execute("SELECT number, link FROM heads ORDER BY number DESC LIMIT 1").fetchone()
    head = Head(*row)
    for link in links_after(file, head.number):
        if not link.follows(head):
            raise JournalError(
                f"row {link.number} of {path} is not what was written; move the file away, check the disk, start again"
            )
        head = Head(link.number, link.link)
