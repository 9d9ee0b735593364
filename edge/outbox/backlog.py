"""What of the journal was not sent yet: its rows in the order of the chain, after a place that is kept on the disk."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.durable import hold, write_whole
from edge.errors import JournalError
from edge.journal import files
from edge.journal.chain import START, Head
from edge.journal.rows import TABLES

PLACE = "outbox.place"  # in station.state_dir
LOCK = "outbox.lock"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the journal: its day, its table, its columns without the link, and the chain's head with it."""

    day: str
    table: str
    values: dict[str, Any]
    head: Head


class Place:
    """The newest row that the broker has taken, kept in a file; of this folder only.

    One process holds it. Raises JournalError when another one does, or when the disk refuses.
    """

    def __init__(self, state_dir: Path, folder: Path) -> None:
        self._path = state_dir / PLACE
        self._folder = folder.absolute()
        self._lock = _locked(state_dir / LOCK)
        self.head = self._read()

    def keep(self, head: Head) -> None:
        """Rows up to this one are the broker's. Raises JournalError."""
        text = f"{head}\n{self._folder}\n"
        try:
            write_whole(self._path, text.encode(errors="surrogateescape"))
        except OSError as error:
            raise JournalError(
                f"cannot write {self._path}: {error.strerror}; free disk space, check the folder's rights"
            ) from error
        self.head = head

    def close(self) -> None:
        """Let another process go on."""
        os.close(self._lock)

    def _read(self) -> Head:
        with suppress(OSError, ValueError):
            first, folder = self._path.read_bytes().decode(errors="surrogateescape").splitlines()
            number, _, link = first.partition(":")
            if folder == str(self._folder):
                return Head(int(number), bytes.fromhex(link))
        return START


def _locked(path: Path) -> int:
    try:
        return hold(path)
    except BlockingIOError as error:
        raise JournalError(f"another edge outbox sends for {path.parent}; stop that one first") from error
    except OSError as error:
        raise JournalError(f"cannot write {path}: {error.strerror}; check the folder's rights") from error


def checked(folder: Path, head: Head) -> Head:
    """The place to go on from: `head`, or the journal's beginning where that row is another one now.

    A row that retention has dropped cannot be compared; the journal then goes on after it. Raises JournalError.
    """
    for path in reversed(files.day_files(folder)):
        for table in (*TABLES, "heads"):
            for row in files.rows(path, f"SELECT link FROM {table} WHERE number = {head.number}"):  # noqa: S608
                return head if row["link"] == head.link else START
    newest = newest_number(folder)
    return head if newest is None or head.number <= newest else START


def newest_number(folder: Path) -> int | None:
    """The number of the journal's last row, None without a journal. Raises JournalError."""
    days = files.day_files(folder)
    return files.newest_head(days[-1]).number if days else None


def rows_after(folder: Path, number: int, count: int, since: str = "") -> list[Row]:
    """The next rows after this number, at most `count`, none from before the day `since`; empty when there are none.

    Files are open for that long only: a day that is over can be sealed. Raises JournalError.
    """
    for path in files.day_files(folder):
        if path.stem >= since and (found := _rows(path, number, count)):
            return found
    return []


def _rows(path: Path, number: int, count: int) -> list[Row]:
    if next(_numbers(path, number), None) is None:
        return []
    found = heapq.merge(*(_of_table(path, table, number, count) for table in TABLES), key=_number)
    return [row for row, _ in zip(found, range(count), strict=False)]


def _numbers(path: Path, number: int) -> Iterator[int]:
    """The greatest number of each table that has one after this."""
    for table in TABLES:
        for row in files.rows(path, f"SELECT MAX(number) AS number FROM {table}"):  # noqa: S608
            if (row["number"] or 0) > number:
                yield row["number"]


def _of_table(path: Path, table: str, number: int, count: int) -> Iterator[Row]:
    statement = f"SELECT * FROM {table} WHERE number > {number} ORDER BY number LIMIT {count}"  # noqa: S608
    for row in files.rows(path, statement):
        values = dict(row)
        link = values.pop("link")
        yield Row(path.stem, table, values, Head(row["number"], link))


def _number(row: Row) -> int:
    return row.head.number
