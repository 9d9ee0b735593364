"""Verifies a journal: the chain of its rows, the signatures of its heads, and that no part is missing."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

from edge.clock import SECOND
from edge.errors import JournalError
from edge.journal import completeness, files
from edge.journal.chain import START, Head, Value
from edge.journal.completeness import Complete
from edge.journal.heads import SignedHead
from edge.journal.reading import links_after
from edge.journal.retention import KIND as DROPPED
from edge.journal.retention import dropped_from
from edge.journal.rows import NOTES, SCHEMA


@dataclass(slots=True)
class Verified:
    """What was found. The journal is intact when `broken` is empty; its sentences name file and row."""

    files: int = 0
    begin: Head = START
    head: Head = START
    signed: SignedHead | None = None
    keys: dict[bytes, int] = field(default_factory=dict)  # heads signed by each
    parts: Complete | None = None
    broken: list[str] = field(default_factory=list)


def verify(
    folder: Path,
    keys: Collection[bytes] = (),
    kept: SignedHead | None = None,
    anchors: Sequence[Head] = (),
) -> Verified:
    """Check every row, head and part of a journal; also while it is being written.

    keys: the public keys (32 bytes) whose signatures count; empty: any key, and whose it is stays open. kept: the
    head that was kept outside of the folder. anchors: heads that somebody noted elsewhere. Raises JournalError when
    the folder holds no journal.
    """
    days = files.existing_days(folder)
    walk = _Walk(days, keys, [*anchors, *([kept.head] if kept is not None else [])])
    found = walk.found
    if not found.broken:
        found.parts = completeness.check(days, found.begin.number)
        found.broken += found.parts.broken
    return found


class _Walk:
    """Goes along the chain from file to file."""

    def __init__(self, days: Sequence[Path], keys: Collection[bytes], anchors: Sequence[Head]) -> None:
        self.found = Verified(files=len(days))
        self._keys = keys
        self._anchors = {anchor.number: anchor for anchor in anchors}
        self._head: Head | None = None  # None: not known, because the file before cannot be read
        self._dropped: list[Head] = []
        self._before = ""
        self._empty = ""
        for path in days:
            self._file(path, is_last=path == days[-1])
        self._beginning(days[0])
        for anchor in self._anchors.values():
            if self._head is not None and anchor.number > self._head.number:
                self._broken(
                    f"row {anchor.number} was signed or noted and is missing: the journal ends before it{self._empty}"
                )

    def _broken(self, words: str) -> None:
        self.found.broken.append(words)

    def _file(self, path: Path, is_last: bool) -> None:
        try:
            with closing(files.translated(path, lambda: files.connect(path, "ro"))) as file:
                files.translated(path, lambda: self._whole(path, file, is_last))
        except JournalError as error:
            self._broken(f"{path.name} cannot be read: {error.__cause__ or error}")
            self._head = None
            self._before = path.name

    def _whole(self, path: Path, file: sqlite3.Connection, is_last: bool) -> None:
        file.execute("BEGIN")  # one view of the file, while others write
        if not _tables(file):
            self._empty = f"; {path.name} is empty"  # only begun, when the disk failed or its writer was killed
            return
        files.check_version(file)
        damage = file.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if damage != "ok":
            raise sqlite3.DatabaseError(" ".join(str(damage).split()))
        if _tables(file) != _expected_tables():
            raise sqlite3.DatabaseError("it has other tables than Kenpin makes")
        begin = files.first_head(file)
        self._goes_on(path, begin)
        self._before, self._empty = path.name, ""
        heads = list(_heads(file))
        rows = self._rows(path, file, begin, {signed.head.number for signed in heads})
        self._signatures(path, heads, rows)
        if not is_last and heads[-1].head.number != self.found.head.number:
            self._broken(f"the end of {path.name}, row {self.found.head.number}, is not signed")

    def _goes_on(self, path: Path, begin: Head) -> None:
        """Where the file begins, against the end of the one before."""
        if not self._before:
            self.found.begin = begin
        elif self._head is not None and begin != self._head:
            end = f"{self._before} ends at row {self._head.number}"
            if begin.number > self._head.number:
                self._broken(
                    f"{path.name} goes on from row {begin.number}, {end}: what was between is missing{self._empty}"
                )
            else:
                self._broken(f"{path.name} goes on from row {begin.number}, {end}: one of them was exchanged")
        self._head = begin

    def _rows(self, path: Path, file: sqlite3.Connection, begin: Head, wanted: set[int]) -> dict[int, bytes]:
        """Follow the rows of a file; the links of the wanted ones."""
        head = begin
        links = {begin.number: begin.link}
        for link in links_after(file, -1):
            if link.number > head.number + 1:
                missing = (head.number + 1, link.number - 1)
                self._broken(f"{_rows_words(*missing)} missing in {path.name}")
            elif link.number <= head.number:
                self._broken(f"row {link.number} stands twice in {path.name}")
            elif not link.follows(head):
                self._broken(f"row {link.number} of {path.name}, in {link.table}, is not what was written")
            elif link.table == NOTES:
                self._note(*link.values[5:])
            head = Head(link.number, link.link)
            anchor = self._anchors.get(head.number)
            if anchor is not None and anchor != head:
                self._broken(f"row {head.number} of {path.name} is not the one that was signed or noted elsewhere")
            if head.number in wanted:
                links[head.number] = head.link
        self._head = self.found.head = head
        return links

    def _signatures(self, path: Path, heads: list[SignedHead], links: dict[int, bytes]) -> None:
        for signed in heads:
            where = f"the head at row {signed.head.number} of {path.name}"
            if links.get(signed.head.number) != signed.head.link:
                self._broken(f"{where} is not that of its row")
            elif not signed.is_genuine():
                self._broken(f"the signature of {where} is wrong")
            elif self._keys and signed.key not in self._keys:
                self._broken(f"{where} is signed by another key, {signed.key.hex()}")
            else:
                self.found.signed = signed
                self.found.keys[signed.key] = self.found.keys.get(signed.key, 0) + 1

    def _note(self, kind: Value, words: Value) -> None:
        if kind == DROPPED.encode() and isinstance(words, bytes):
            gone = dropped_from(words.decode(errors="replace"))
            self._dropped += [gone.head] if gone is not None else []

    def _beginning(self, first: Path) -> None:
        """Earlier rows are missing for a reason only: a note that names their head."""
        begin = self.found.begin
        if self._head is not None and begin not in (START, *self._dropped):
            self._broken(
                f"{first.name} goes on from row {begin.number}, and no note says that those before were dropped"
            )


def _rows_words(first: int, last: int) -> str:
    return f"row {first} is" if first == last else f"rows {first} to {last} are"


def _heads(file: sqlite3.Connection) -> Iterator[SignedHead]:
    for row in file.execute("SELECT number, link, wall_ns, key, signature FROM heads ORDER BY number"):
        yield SignedHead(Head(row["number"], row["link"]), row["wall_ns"], row["key"], row["signature"])


def _tables(file: sqlite3.Connection) -> list[tuple[str, ...]]:
    return [tuple(row) for row in file.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name")]


@cache
def _expected_tables() -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(":memory:")) as blank:
        blank.executescript(SCHEMA)
        return _tables(blank)


def time_of(wall_ns: int) -> str:
    """Wall time for people, in UTC to the second."""
    return datetime.fromtimestamp(wall_ns // SECOND, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
