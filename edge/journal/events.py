"""Writes what happened to every part: a batch of records is one transaction, on the disk when it returns.

The wall clock chooses the day's file but never moves it backwards: while the clock is behind the newest file, that file
goes on, and gives way to the next by its size. The chain of rows goes on from file to file.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

from edge.clock import SECOND, Clock
from edge.errors import JournalError
from edge.journal import files
from edge.journal.chain import START, Head, canonical, follow
from edge.journal.heads import Heads, SignedHead
from edge.journal.reading import newest_key, newest_outcome, refuse_unsound
from edge.journal.reserve import Reserve
from edge.journal.retention import KIND as DROPPED
from edge.journal.retention import Dropped, Keep, too_many
from edge.journal.rows import NOTES, Note, Record, values_of
from edge.journal.stamps import Stamp, Stamps, newest_stamp

log = logging.getLogger(__name__)

SIGN_ROWS = 1_000  # a head is signed after so many rows,
SIGN_NS = 600 * SECOND  # and after this long where there were any
_TEND_NS = 10 * SECOND
_PART_ID = 4  # of a row's values, after number and stamp


@dataclass(frozen=True, slots=True)
class _Batch:
    """A transaction as it was tried: its records, the journal's own notes first, and what holds if it is stored."""

    records: tuple[Record, ...]
    own: int
    ignored: tuple[Record, ...]
    head: Head
    stamp: Stamp


class Journal:
    """The writer's side: one process (a lock file says so), one thread at a time.

    Opening makes what an earlier, killed process wrote durable before anything builds on it. `newest_outcome` is the
    last of the line's outcomes before which none was missing at opening. Raises JournalError.
    """

    def __init__(self, folder: Path, clock: Clock, heads: Heads, keep: Keep | None = None) -> None:
        self._folder = folder
        self._clock = clock
        self._heads = heads
        self._keep = keep or Keep()
        self._owed: list[tuple[str, str]] = []
        self._tried: _Batch | None = None
        self._untold: _Batch | None = None
        self._going: set[str] = set()
        self._before: sqlite3.Connection | None = None
        self._before_path: Path | None = None
        self._closed = False
        self._lock = files.lock(folder)
        with ExitStack() as undo:
            undo.callback(os.close, self._lock)
            self._reserve = Reserve(folder, self._keep.reserve_mb * 1_000_000)
            self._file: sqlite3.Connection | None = self._open()
            undo.callback(self._let_go)
            self.newest_outcome = newest_outcome(folder)
            undo.pop_all()
        self._tend_ns = 0
        with suppress(JournalError):  # whoever commits or tends next hears of it
            self.tend()

    # --- opening ---

    def _open(self) -> sqlite3.Connection:
        files.remove_partial(self._folder)
        days = [path.stem for path in files.day_files(self._folder)]
        self._day = max([*days, files.utc_day(self._clock.wall_ns())])
        self._path = self._folder / f"{self._day}.sqlite"
        earlier = [self._folder / f"{day}.sqlite" for day in days if day != self._day]
        key = newest_key(self._folder)
        if key not in (None, self._heads.public):
            self._owe("key", f"signed by {self._heads.public.hex()} from here on, before by {key.hex()}")
        before = self._seal_earlier(earlier)
        self._before_path = earlier[-1] if earlier else None
        file = files.open_day(self._path, self._sign(before))
        with ExitStack() as undo:
            undo.callback(file.close)
            files.translated(self._path, lambda: self._go_on(file))
            undo.pop_all()
        return file

    def _seal_earlier(self, earlier: Sequence[Path]) -> Head:
        """Seal the files that are still open: their writer ended before midnight, or was killed. Returns the head.

        One that is being read is tried again by `tend`.
        """
        for index, path in enumerate(earlier):
            if not files.is_sealed(path):
                self._seal(path, files.newest_head(earlier[index - 1]) if index else START)
        return files.newest_head(earlier[-1]) if earlier else START

    def _seal(self, path: Path, before: Head) -> None:
        with closing(files.open_day(path, self._sign(before))) as file:
            files.translated(path, lambda: files.insert_head(file, self._sign(files.last_head(file))))
        files.translated(path, lambda: files.seal_unless_read(path))

    def _go_on(self, file: sqlite3.Connection) -> None:
        """Find the end of the chain, and note what its next rows must explain."""
        self._head = files.last_head(file)
        self._stamps = Stamps(self._clock, newest_stamp(file) or self._stamp_before())
        self._signed = files.signed_number(file)
        self._signed_ns = self._clock.now_ns()
        kept = self._heads.kept(self._folder)
        if kept is not None and kept.head.number > self._head.number:
            missing = f"rows {self._head.number + 1} to {kept.head.number} were signed and are missing"
            self._owe("gap", f"{missing}; head {kept.head.link.hex()}")
            self._head, self._signed = kept.head, kept.head.number

    def _stamp_before(self) -> Stamp | None:
        if self._before_path is None:
            return None
        with closing(files.open_for_reading(self._before_path)) as before:
            return newest_stamp(before)

    def _owe(self, kind: str, words: str) -> None:
        """A note of the journal's own goes before the next records; while the disk fails, once is enough."""
        if (kind, words) not in self._owed:
            self._owed.append((kind, words))

    # --- committing ---

    def commit(self, records: Sequence[Record]) -> list[Record]:
        """Store the records in one transaction; they are on the disk when this returns. Returns those ignored.

        Raises JournalError: the same batch may be committed again later, as the same objects. Of a part that has a
        verdict or an outcome already, another one of the same sort is ignored. A full disk costs the emergency
        reserve first. After an error of the disk the file is opened again, held against what was acknowledged, and
        what it lacks is written anew.
        """
        return self._mended(lambda: self._commit(records))

    def _commit(self, records: Sequence[Record]) -> list[Record]:
        file = self._ready_file()
        ignored: list[Record] = []
        if self._untold is not None:
            told = {id(record) for record in self._untold.records}
            records = [record for record in records if id(record) not in told]
            ignored += self._untold.ignored
        ignored += self._store(file, records)
        self._untold = None
        return ignored

    def _ready_file(self) -> sqlite3.Connection:
        """The file of the day, trustworthy."""
        if self._file is None:
            self._file = self._open_again()
        day = files.utc_day(self._clock.wall_ns())
        if day > self._day:
            self._turn_to(day)
        elif day < self._day and files.bytes_of(self._path) > self._keep.bytes_a_day:
            self._turn_to(files.day_after(self._day))
        if self._before is None and self._before_path is not None:
            self._before = files.open_for_reading(self._before_path)
        return self._file

    def _store(self, file: sqlite3.Connection, records: Sequence[Record]) -> tuple[Record, ...]:
        stamp = self._stamps.now()
        news = self._stamps.news(stamp)
        own = [*self._owed, *([("clock", news)] if news else [])]
        if not own and not records:
            return ()
        notes = [Note(stamp.wall_ns, kind, words) for kind, words in own]
        file.execute("BEGIN IMMEDIATE")
        try:
            self._tried = self._insert(file, (*notes, *records), len(self._owed), stamp)
            file.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite has rolled back by itself after most errors
                file.execute("ROLLBACK")
            raise
        return self._stored(self._tried).ignored

    def _insert(self, file: sqlite3.Connection, records: tuple[Record, ...], own: int, stamp: Stamp) -> _Batch:
        head = self._head
        ignored: list[Record] = []
        for record in records:
            table, values = values_of(record)
            stamped = (head.number + 1, stamp.boot, stamp.mono_ns, stamp.wall_ns, *values)
            after = follow(head, canonical(table, stamped))
            if self._insert_row(file, table, (*stamped, after.link), is_part=table != NOTES):
                head = after
            else:
                ignored.append(record)
        return _Batch(records, own, tuple(ignored), head, stamp)

    def _insert_row(self, file: sqlite3.Connection, table: str, values: tuple[object, ...], is_part: bool) -> bool:
        """Whether the row was new."""
        if is_part and self._is_before(table, values[_PART_ID]):
            return False
        places = ", ".join("?" * len(values))
        first_stands = " ON CONFLICT (part_id) DO NOTHING" if is_part else ""
        return file.execute(f"INSERT INTO {table} VALUES ({places}){first_stands}", values).rowcount == 1  # noqa: S608

    def _is_before(self, table: str, part_id: object) -> bool:
        """Whether the file of the day before has this part in the same table."""
        before, path = self._before, self._before_path
        if before is None or path is None:
            return False
        asked = f"SELECT 1 FROM {table} WHERE part_id = ?"  # noqa: S608
        return files.translated(path, lambda: before.execute(asked, (part_id,)).fetchone()) is not None

    def _stored(self, batch: _Batch) -> _Batch:
        """The batch is on the disk."""
        self._tried = None
        self._head = batch.head
        self._stamps.keep(batch.stamp)
        del self._owed[: batch.own]
        return batch

    # --- when the disk fails ---

    def _mended(self, act: Callable[[], list[Record]]) -> list[Record]:
        """Do it; after an error that can be mended here, mend and do it again."""
        try:
            return files.translated(self._path, act)
        except JournalError as error:
            if not self._can_mend(error):
                raise
        return files.translated(self._path, act)

    def _can_mend(self, error: JournalError) -> bool:
        if files.is_full(error) and self._reserve.free():
            self._owe("disk", "the disk is full: the emergency reserve is given up for the last records")
            return True
        if files.has_failed(error):
            self._let_go()
            self._owe("disk", f"{error.__cause__}: the file is opened again and compared with what was said")
            return True
        return False

    def _let_go(self) -> None:
        """After an error of the disk nothing that this connection or the kernel remembers is believed."""
        for connection in (self._file, self._before):
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()
        self._file = self._before = None

    def _open_again(self) -> sqlite3.Connection:
        """The day's file as the disk has it: with every acknowledged row, perhaps with the batch that failed."""
        path = self._path
        files.forget_cached(path)
        file = files.open_day(path, None)
        with ExitStack() as undo:
            undo.callback(file.close)
            found = files.translated(path, lambda: files.last_head(file))
            tried = self._tried
            if found != self._head and (tried is None or found != tried.head):
                raise JournalError(
                    f"the journal {path} ends at row {found.number} and row {self._head.number} was acknowledged: the "
                    "disk lost what it had confirmed; move the file away, replace the disk, start again"
                )
            refuse_unsound(path)
            if tried is not None and found == tried.head:
                self._untold = self._stored(tried)
            undo.pop_all()
        return file

    @property
    def shortage(self) -> str:
        """Why the journal may soon take no more, "" when there is no such reason."""
        if self._reserve.is_whole:
            return ""
        return "the disk is full, the last records go into the emergency reserve; free disk space"

    # --- keeping house ---

    def tend(self) -> None:
        """What is due now and then and is no part of a commit: signed heads, sealed days, what may go, the reserve.

        Cheap while nothing is due. Raises JournalError as `commit` does.
        """
        now_ns = self._clock.now_ns()
        if now_ns < self._tend_ns and self._head.number - self._signed < SIGN_ROWS:
            return
        self._tend_ns = now_ns + _TEND_NS
        self._mended(self._tend)

    def _tend(self) -> list[Record]:
        file = self._ready_file()
        self._reserve.make()
        if self._stamps.has_synchronised():
            self._owe("clock", "the wall clock is synchronised")
        self._seal_ended()
        rows = self._head.number - self._signed
        if rows >= SIGN_ROWS or (rows and self._clock.now_ns() - self._signed_ns >= SIGN_NS):
            self._sign_into(file)
        self._drop_old_days(file)
        self._store(file, ())
        return []

    def _sign(self, head: Head) -> SignedHead:
        return self._heads.sign(head, self._clock.wall_ns())

    def _sign_into(self, file: sqlite3.Connection) -> None:
        signed = self._sign(self._head)
        files.insert_head(file, signed)
        self._signed, self._signed_ns = self._head.number, self._clock.now_ns()
        with suppress(OSError):  # the next one is kept again
            self._heads.keep(signed, self._folder)

    def _turn_to(self, day: str) -> None:
        """Go on in the file of a new day; the old one is read, as an outcome of before midnight may be told again."""
        assert self._file is not None
        self._sign_into(self._file)
        log.info("the journal of %s ends with head %s", self._day, self._head)
        path = self._folder / f"{day}.sqlite"
        fresh = files.open_day(path, self._sign(self._head))
        self._close_before()
        self._before, self._before_path = self._file, self._path
        self._file, self._day, self._path = fresh, day, path

    def _close_before(self) -> None:
        if self._before is not None:
            self._before.close()
        self._before = None

    def _seal_ended(self) -> None:
        """Whoever reads one is not waited for, and it is tried again: every row of it is on the disk."""
        for path in files.day_files(self._folder):
            if path.name >= self._path.name or files.is_sealed(path):
                continue
            if path == self._before_path:
                self._close_before()
            files.seal_unless_read(path)

    def _drop_old_days(self, file: sqlite3.Connection) -> None:
        """Say what goes, on the disk, before it goes: the chain of what is left begins there."""
        days = files.day_files(self._folder)
        for path in days[: too_many([files.bytes_of(day) for day in days], self._keep)]:
            if not files.is_sealed(path):
                return
            if path.name not in self._going:
                self._owe(DROPPED, _described(path).words)
                self._going.add(path.name)
            self._store(file, ())
            if path == self._before_path:
                self._close_before()
                self._before_path = None
            with suppress(OSError):  # tried again; a disk that fills up tells of itself
                files.remove_day(path)

    def close(self) -> None:
        """Sign the head, let go of the file and the lock; never raises, may be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._file is not None and self._head.number > self._signed:
            with suppress(sqlite3.Error):  # the rows are there; their next head is signed by the next writer
                self._sign_into(self._file)
        log.info("the journal ends with head %s", self._head)
        self._let_go()
        os.close(self._lock)


def _described(path: Path) -> Dropped:
    with closing(files.open_for_reading(path)) as file:
        return files.translated(
            path, lambda: Dropped(path.name, files.first_head(file).number + 1, files.last_head(file))
        )
