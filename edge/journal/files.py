"""The journal's folder: one SQLite file a UTC day, how they are opened, sealed and asked, and SQLite's errors in words.

journal.lock         held by the one process that writes
2026-11-24.sqlite    the current day, in WAL mode with synchronous=FULL (NORMAL loses committed rows)
2026-11-23.sqlite    an earlier day, sealed: one plain file
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TypeVar

from edge.clock import SECOND
from edge.durable import PARTIAL, hold, sync_file, sync_folder
from edge.errors import JournalError
from edge.journal.chain import Head
from edge.journal.heads import SignedHead
from edge.journal.rows import SCHEMA, SCHEMA_VERSION, TABLES

LOCK = "journal.lock"
_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9].sqlite"
_CACHE_KIB = 512  # rows are only added: the newest pages are all that is needed again
_BUSY_S = 1.0  # how long a commit waits for somebody else's lock on the file
_SIDES = ("", "-wal", "-shm")
_SEALED = b"\x01\x01"  # SQLite's file header: the modes of writing and reading, 1 plain, 2 WAL

_Result = TypeVar("_Result")


# --- the folder -------------------------------------------------------------------------------------------------


def utc_day(wall_ns: int) -> str:
    """The day that names a file."""
    return datetime.fromtimestamp(wall_ns // SECOND, timezone.utc).date().isoformat()


def day_after(day: str) -> str:
    """The name of the day that follows."""
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def day_files(folder: Path) -> list[Path]:
    """Every day's file, oldest first."""
    return sorted(folder.glob(_DAY))


def existing_days(folder: Path) -> list[Path]:
    """The same, and at least one. Raises JournalError."""
    days = day_files(folder)
    if not days:
        raise JournalError(f"{folder} holds no journal; give the journal's dir as station.toml names it")
    return days


def bytes_of(path: Path) -> int:
    """What a day takes on the disk, its log included."""
    total = 0
    for side in _SIDES:
        with suppress(OSError):
            total += path.with_name(path.name + side).stat().st_size
    return total


def remove_day(path: Path) -> None:
    """Delete a day's file. Raises OSError."""
    for side in _SIDES:
        path.with_name(path.name + side).unlink(missing_ok=True)


def remove_partial(folder: Path) -> None:
    """Delete what a killed process had begun to make."""
    for path in folder.glob(f"{_DAY}{PARTIAL}*"):
        with suppress(OSError):
            path.unlink()


def lock(folder: Path) -> int:
    """The descriptor that holds the folder for one writer. Raises JournalError."""
    path = folder / LOCK
    try:
        return hold(path)
    except BlockingIOError as error:
        raise JournalError(f"{folder} is being written by another process; stop that one first") from error
    except OSError as error:
        raise JournalError(
            f"cannot write {path}: {error.strerror}; check the disk and the folder's rights"
        ) from error


# --- one file ---------------------------------------------------------------------------------------------------


def connect(path: Path, mode: str, wait_s: float = _BUSY_S) -> sqlite3.Connection:
    """A connection whose transactions are begun and ended by its user alone. Raises sqlite3.Error."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    if mode == "ro" and not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists():
        uri += "&immutable=1"  # nobody writes, and no side file can be made: a copy on a medium that is read-only
    connection = sqlite3.connect(uri, uri=True, timeout=wait_s, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def open_day(path: Path, begin: SignedHead | None) -> sqlite3.Connection:
    """A day's file for writing; a new one goes on from `begin`, without which it must be there. Raises JournalError."""
    if begin is not None:
        translated(path, lambda: _make(path, begin))
    return _opened(path, "rw", _prepare)


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A day's file that is not written. Raises JournalError."""
    return _opened(path, "ro", check_version)


def _make(path: Path, begin: SignedHead) -> None:
    """A new file is whole or absent: one that was killed in the making would need to be mended before it is read."""
    if path.exists() and not _is_blank(path):
        return
    partial = path.with_name(path.name + PARTIAL)
    remove_day(partial)  # an attempt that failed
    with closing(connect(partial, "rwc")) as connection:
        _to_wal(connection)
        connection.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        insert_head(connection, begin)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    sync_file(partial)
    remove_day(path)
    partial.replace(path)
    sync_folder(path.parent)


def _is_blank(path: Path) -> bool:
    """Whether a file was only begun."""
    with closing(connect(path, "ro")) as connection:
        return bool(connection.execute("SELECT count(*) = 0 FROM sqlite_master").fetchone()[0])


def _to_wal(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise sqlite3.OperationalError("the file system does not carry SQLite's write-ahead log")
    connection.execute("PRAGMA synchronous = FULL")


def _prepare(connection: sqlite3.Connection) -> None:
    """Settings first; then what a killed process left in the WAL is durable."""
    _to_wal(connection)
    check_version(connection)
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    # Rows that a killed process wrote but did not sync are seen again now. Told a second time they would be taken
    # as stored: so sync them before anybody relies on them.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def check_version(connection: sqlite3.Connection) -> None:
    """Raises sqlite3.OperationalError when another version of Kenpin wrote the file."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA_VERSION:
        raise sqlite3.OperationalError(f"written by another version of Kenpin (schema {version})")


def _opened(path: Path, mode: str, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    def open_and_prepare() -> sqlite3.Connection:
        connection = connect(path, mode)
        try:
            prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    opened = translated(path, open_and_prepare)
    with suppress(OSError):  # SQLite syncs the folder too, with its first commit
        sync_folder(path.parent)
    return opened


def is_sealed(path: Path) -> bool:
    """Whether the file is whole by itself, without a log beside it. Raises JournalError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(20)[18:] == _SEALED
    except OSError as error:
        raise JournalError(f"cannot read {path}: {error.strerror}; check the disk and the file's rights") from error


def seal(connection: sqlite3.Connection) -> None:
    """Bring everything into the one file and let go of it. Raises sqlite3.Error.

    Only the file's header changes then, which no cut tears: without a rollback file, that a kill would leave behind.
    """
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_mode = MEMORY").fetchone()
    finally:
        connection.close()


def seal_unless_read(path: Path) -> None:
    """The same, at once or not at all: whoever reads the file is not waited for. Raises sqlite3.Error."""
    try:
        seal(connect(path, "rw", wait_s=0))
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise


def insert_head(connection: sqlite3.Connection, signed: SignedHead) -> None:
    """Keep a signed head, where none is kept for its row. Raises sqlite3.Error."""
    values = (signed.head.number, signed.head.link, signed.wall_ns, signed.key, signed.signature)
    connection.execute("INSERT INTO heads VALUES (?, ?, ?, ?, ?) ON CONFLICT (number) DO NOTHING", values)


def first_head(connection: sqlite3.Connection) -> Head:
    """Where the chain of this file goes on from. Raises sqlite3.Error."""
    return _head(connection, "SELECT number, link FROM heads ORDER BY number LIMIT 1")


_ENDS = " UNION ALL ".join(
    f"SELECT * FROM (SELECT number, link FROM {table} ORDER BY number DESC LIMIT 1)"  # noqa: S608
    for table in (*TABLES, "heads")
)


def last_head(connection: sqlite3.Connection) -> Head:
    """The end of the chain in this file; where it goes on from, when it has no rows. Raises sqlite3.Error."""
    return _head(connection, f"{_ENDS} ORDER BY number DESC LIMIT 1")


def _head(connection: sqlite3.Connection, statement: str) -> Head:
    row = connection.execute(statement).fetchone()
    if row is None or not isinstance(row["link"], bytes):
        raise sqlite3.DatabaseError("the file is malformed: it holds no head")
    return Head(row["number"], row["link"])


def signed_number(connection: sqlite3.Connection) -> int:
    """The number of the newest signed head. Raises sqlite3.Error."""
    return int(connection.execute("SELECT MAX(number) FROM heads").fetchone()[0])


def newest_head(path: Path) -> Head:
    """The same, of a file that is not written. Raises JournalError."""
    with closing(open_for_reading(path)) as connection:
        return translated(path, lambda: last_head(connection))


def rows(path: Path, statement: str) -> Iterator[sqlite3.Row]:
    """The rows that a statement finds, one by one; none in a file that was only begun. Raises JournalError."""
    with closing(translated(path, lambda: connect(path, "ro"))) as connection:
        found = translated(path, lambda: _asked(connection, statement))
        while (row := translated(path, lambda: next(found, None))) is not None:
            yield row


def _asked(connection: sqlite3.Connection, statement: str) -> Iterator[sqlite3.Row]:
    if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
        return iter(())  # its writer was killed before the tables were there
    check_version(connection)
    return connection.execute(statement)


def forget_cached(path: Path) -> None:
    """Let the kernel drop what it holds of a file, so that the next reader sees what is on the disk."""
    for side in _SIDES[:2]:
        with suppress(OSError):
            descriptor = os.open(path.with_name(path.name + side), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


# --- errors -----------------------------------------------------------------------------------------------------

_FULL = ("disk is full", "No space left on device", "Disk quota exceeded")
_FAILED = ("disk I/O error", "malformed")
_ROOM = "free disk space or lower keep_days, records_max_mb and pictures_max_mb"

# What SQLite's words mean for a person; Python 3.10 has no error codes.
_ADVICE = (
    *((words, _ROOM) for words in _FULL),
    ("readonly", "make the folder and the disk writable for this user"),
    ("Read-only", "make the folder and the disk writable for this user"),
    ("unable to open", "check that the folder exists and this user may write it"),
    ("locked", "close the other program that has the file open"),
    ("malformed", "the file is damaged: move it away, check the disk, start again"),
    ("not a database", "the file is damaged: move it away, check the disk, start again"),
    ("another version", "move it away, or install the version of Kenpin that wrote it"),
    ("write-ahead", "put the journal on a local disk"),
)


def translated(path: Path, act: Callable[[], _Result]) -> _Result:
    """What `act` returns; SQLite's errors become JournalError with the file and what to do."""
    try:
        return act()
    except (sqlite3.Error, OSError, OverflowError, UnicodeDecodeError, struct.error) as error:
        words = str(error)
        advice = next((then for sign, then in _ADVICE if sign in words), "check the disk and its free space")
        advice = _without_inodes(path) or advice
        raise JournalError(f"the journal {path} failed: {words}; {advice}") from error


def _without_inodes(path: Path) -> str:
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return ""
    full = disk.f_files > 0 and disk.f_favail == 0
    return "the disk can hold no more files: delete some, however small" if full else ""


def is_full(error: JournalError) -> bool:
    """The disk took no more: SQLite has rolled back, and the file is sound."""
    return any(words in str(error.__cause__) for words in _FULL)


def has_failed(error: JournalError) -> bool:
    """The disk failed: what this connection believes to be on it is not to be trusted any more."""
    return any(words in str(error.__cause__) for words in _FAILED)
