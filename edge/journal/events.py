"""What happened to every part, in SQLite files of one UTC day each: what was committed survives a power cut.

    journal.lock         held by the one process that writes
    2026-11-24.sqlite    the current day, in WAL mode with synchronous=FULL (NORMAL loses committed rows)
    2026-11-23.sqlite    an earlier day, sealed: one plain file

The wall clock chooses the file but never moves it backwards: while the clock is behind the newest file, that file
goes on.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from math import nan
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from edge.clock import SECOND, Clock
from edge.durable import sync_folder
from edge.errors import JournalError
from edge.records import GateEvent, GateOutcome, Kind, Part, Reason, RingPlace, Sensed, Verdict

SCHEMA_VERSION = 1
LOCK = "journal.lock"
_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9].sqlite"
_BUSY_S = 1.0  # how long a commit waits for somebody else's lock on the file

# `row` keeps the order of insertion; a part has one row in each table, the first word stands.
_SCHEMA = """
CREATE TABLE decided (
    row INTEGER PRIMARY KEY, part_id INTEGER NOT NULL UNIQUE, wall_ns INTEGER NOT NULL, born_ns INTEGER NOT NULL,
    born_err_ns INTEGER NOT NULL, position INTEGER NOT NULL, deadline_ns INTEGER NOT NULL,
    gate_ns INTEGER NOT NULL, recipe INTEGER NOT NULL, token INTEGER NOT NULL, releasable INTEGER NOT NULL,
    kind TEXT NOT NULL, reason TEXT NOT NULL, score REAL, threshold REAL, model TEXT NOT NULL,
    decided_ns INTEGER NOT NULL
) STRICT;
CREATE TABLE outcomes (
    row INTEGER PRIMARY KEY, part_id INTEGER NOT NULL UNIQUE, wall_ns INTEGER NOT NULL,
    ring_seq INTEGER NOT NULL, born_ns INTEGER NOT NULL, born_err_ns INTEGER NOT NULL,
    deadline_ns INTEGER NOT NULL, planned_ns INTEGER NOT NULL, written_ns INTEGER NOT NULL,
    confirmed_ns INTEGER NOT NULL, ended_wall_ns INTEGER NOT NULL, recipe INTEGER NOT NULL,
    outcome TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL, shadow INTEGER NOT NULL,
    sensed TEXT NOT NULL, sensed_ns INTEGER NOT NULL
) STRICT;
CREATE TABLE notes (
    row INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, kind TEXT NOT NULL, words TEXT NOT NULL
) STRICT;
"""


# far more than a zone holds; the outcomes of so many verdicts lie within twice as many rows
_NEWEST = "SELECT * FROM {0} WHERE row > (SELECT COALESCE(MAX(row), 0) FROM {0}) - 2000"


@dataclass(frozen=True, slots=True)
class Decided:
    """The verdict for a part, with the part as it was born."""

    part: Part
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Note:
    """An operator act or a change of the station's state, in words; `wall_ns` is ns since 1970 UTC."""

    wall_ns: int
    kind: str
    words: str


Record: TypeAlias = Decided | GateEvent | Note
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class PartRow:
    """All that is recorded of one part: its verdict, its gate outcome, or both."""

    part_id: int
    decided: Decided | None
    outcome: GateEvent | None


class Journal:
    """The writer's side: one process (a lock file says so), one thread at a time.

    Opening makes what an earlier, killed process wrote durable before anything builds on it. Keeps the newest
    `keep_days` files, so a clock that jumps ahead erases one day at most. Raises JournalError.
    """

    def __init__(self, folder: Path, clock: Clock, keep_days: int = 30) -> None:
        self._folder = folder
        self._clock = clock
        self._keep_days = keep_days
        self._lock = _lock(folder)
        with ExitStack() as undo:
            undo.callback(os.close, self._lock)
            days = [path.stem for path in _day_files(folder)]
            self._day = max([*days, _utc_day(clock.wall_ns())])
            earlier = [folder / f"{day}.sqlite" for day in days if day != self._day]
            for path in earlier:
                _seal_if_open(path)
            self._file = _open_day(self._path())
            undo.callback(self._file.close)
            self._before_path = earlier[-1] if earlier else None
            self._before: sqlite3.Connection | None = None
            self.newest_outcome = _newest_outcome(folder)
            self._drop_old_days()
            undo.pop_all()
        self._closed = False

    def commit(self, records: Sequence[Record]) -> list[Record]:
        """Store the records in one transaction; they are on the disk when this returns. Returns those ignored.

        Raises JournalError: nothing of the batch is stored then, and the same batch may be committed again
        later. Of a part that has a verdict or an outcome already, another one of the same sort is ignored.
        """
        day = _utc_day(self._clock.wall_ns())
        if day > self._day:
            self._turn_to(day)
        if self._before is None and self._before_path is not None:
            self._before = _open_for_reading(self._before_path)
        newest, ignored = _translated(self._path(), lambda: self._store(records))
        self.newest_outcome = newest or self.newest_outcome
        return ignored

    def close(self) -> None:
        """Let go of the file and the lock; never raises, may be called twice."""
        if self._closed:
            return
        self._closed = True
        for connection in (self._file, self._before):
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()
        os.close(self._lock)

    def _path(self) -> Path:
        return self._folder / f"{self._day}.sqlite"

    def _store(self, records: Sequence[Record]) -> tuple[RingPlace | None, list[Record]]:
        """The last outcome that was new, None when there was none; and the records that were not.

        An outcome with ring_seq 0 did not come from the line's ring.
        """
        wall_ns = self._clock.wall_ns()
        newest: RingPlace | None = None
        ignored: list[Record] = []
        self._file.execute("BEGIN IMMEDIATE")
        try:
            for record in records:
                if not self._insert(record, wall_ns):
                    ignored.append(record)
                elif isinstance(record, GateEvent) and record.ring_seq:
                    newest = RingPlace(record.ring_seq, record.part_id)
            self._file.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite has rolled back by itself after most errors
                self._file.execute("ROLLBACK")
            raise
        return newest, ignored

    def _insert(self, record: Record, wall_ns: int) -> bool:
        """Whether the record was new."""
        if isinstance(record, Note):
            words = record.words.encode(errors="replace").decode()  # a file name may hold what is no text
            self._file.execute("INSERT INTO notes VALUES (NULL, ?, ?, ?)", (record.wall_ns, record.kind, words))
            return True
        table, values = _row(record)
        if self._before is not None:
            known = self._before.execute(f"SELECT 1 FROM {table} WHERE part_id = ?", values[:1])  # noqa: S608
            if known.fetchone():
                return False
        places = ", ".join("?" * (len(values) + 1))
        statement = f"INSERT OR IGNORE INTO {table} VALUES (NULL, {places})"  # noqa: S608 - a literal of this file
        return self._file.execute(statement, (values[0], wall_ns, *values[1:])).rowcount == 1

    def _turn_to(self, day: str) -> None:
        """Go on in the file of a new day. The old one is sealed, and read: around midnight an outcome of before may
        be told again."""
        fresh = _open_day(self._folder / f"{day}.sqlite")
        if self._before is not None:
            self._before.close()
        with suppress(sqlite3.Error):  # every row is on the disk already; the next start seals it
            _seal(self._file)
        self._before, self._before_path = None, self._path()
        self._file, self._day = fresh, day
        self._drop_old_days()

    def _drop_old_days(self) -> None:
        for path in _day_files(self._folder)[: -self._keep_days]:
            if path == self._before_path:
                self._before_path = None
            for name in (path.name, path.name + "-wal", path.name + "-shm"):
                with suppress(OSError):  # tried again the next day; a disk that fills up tells of itself
                    (self._folder / name).unlink(missing_ok=True)


def _newest_outcome(folder: Path) -> RingPlace:
    """The outcome of the line's ring that was stored last."""
    for path in reversed(_day_files(folder)):
        newest = _query(path, "SELECT ring_seq, part_id FROM outcomes WHERE ring_seq > 0 ORDER BY row DESC LIMIT 1")
        if newest:
            return RingPlace(*newest[0])
    return RingPlace()


def read_parts(folder: Path) -> list[PartRow]:
    """Every recorded part, in the order of the ids, which is that of birth; also while a Journal is writing.

    Raises JournalError.
    """
    return _parts(_existing_days(folder), -1)


def parts_after(folder: Path, part_id: int) -> list[PartRow]:
    """The parts with a greater id, as `read_parts` gives them, of the newest two days. Raises JournalError."""
    return _parts(_existing_days(folder)[-2:], part_id)


def newest_part(folder: Path) -> int:
    """The greatest id on record in the newest two days, 0 when there is none. Raises JournalError."""
    asked = [f"SELECT MAX(part_id) FROM {table}" for table in ("decided", "outcomes")]  # noqa: S608 - literals
    rows = [row for path in _existing_days(folder)[-2:] for text in asked for row in _query(path, text)]
    return max((row[0] or 0 for row in rows), default=0)


def _parts(days: Sequence[Path], after: int) -> list[PartRow]:
    decided: dict[int, Decided] = {}
    outcomes: dict[int, GateEvent] = {}
    for path in days:
        for row in _query(path, "SELECT * FROM decided WHERE part_id > ? ORDER BY row", after):
            decided.setdefault(row["part_id"], _decided(row))
        for row in _query(path, "SELECT * FROM outcomes WHERE part_id > ? ORDER BY row", after):
            outcomes.setdefault(row["part_id"], _outcome(row))
    ids = sorted(decided.keys() | outcomes.keys())
    return [PartRow(part_id, decided.get(part_id), outcomes.get(part_id)) for part_id in ids]


def left_open(folder: Path) -> list[Part]:
    """The parts among the last of a Journal's folder that have a verdict and no outcome: their line may have died
    with them in its zone. Raises JournalError.
    """
    recent = _day_files(folder)[-2:]
    newest = [_decided(row) for path in recent for row in _query(path, _NEWEST.format("decided"))]
    ended = {row["part_id"] for path in recent for row in _query(path, _NEWEST.format("outcomes"))}
    return [decided.part for decided in newest if decided.part.part_id not in ended]


def read_notes(folder: Path) -> list[Note]:
    """Every note, oldest first. Raises JournalError."""
    rows = [row for path in _existing_days(folder) for row in _query(path, "SELECT * FROM notes ORDER BY row")]
    return [Note(row["wall_ns"], row["kind"], row["words"]) for row in rows]


# --- rows -------------------------------------------------------------------------------------------------------


def _row(record: Decided | GateEvent) -> tuple[str, tuple[Any, ...]]:
    """The table and its values, the part id first; without `row` and `wall_ns`."""
    if isinstance(record, Decided):
        return "decided", _decided_values(record.part, record.verdict)
    event = record
    times = (event.born_ns, event.born_err_ns, event.deadline_ns, event.planned_ns, event.written_ns)
    ended = (event.confirmed_ns, event.ended_wall_ns, event.recipe)
    names = (event.outcome.name, event.verdict.name, event.reason.name)
    sensed = (int(event.shadow), event.sensed.name, event.sensed_ns)
    return "outcomes", (event.part_id, event.ring_seq, *times, *ended, *names, *sensed)


def _decided_values(part: Part, verdict: Verdict) -> tuple[Any, ...]:
    times = (part.born_ns, part.born_err_ns, part.position, part.deadline_ns, part.gate_ns)
    judged = (verdict.kind.name, verdict.reason.name, verdict.score, verdict.threshold, verdict.model)
    origin = (part.recipe, part.token, int(part.releasable))
    return (part.part_id, *times, *origin, *judged, verdict.decided_ns)


_PART = ("part_id", "born_ns", "born_err_ns", "position", "deadline_ns", "gate_ns", "recipe", "token")
_EVENT = (
    *("ring_seq", "part_id", "born_ns", "born_err_ns", "deadline_ns", "planned_ns", "written_ns"),
    *("confirmed_ns", "ended_wall_ns", "recipe", "sensed_ns"),
)


def _decided(row: sqlite3.Row) -> Decided:
    values: dict[str, Any] = {name: row[name] for name in _PART}
    part = Part(**values, releasable=bool(row["releasable"]))
    # SQLite keeps NaN as NULL
    score, threshold = (nan if row[name] is None else row[name] for name in ("score", "threshold"))
    kind, reason = Kind[row["kind"]], Reason[row["reason"]]
    return Decided(part, Verdict(part.part_id, kind, reason, score, threshold, row["model"], row["decided_ns"]))


def _outcome(row: sqlite3.Row) -> GateEvent:
    values: dict[str, Any] = {name: row[name] for name in _EVENT}
    values |= {"outcome": GateOutcome[row["outcome"]], "verdict": Kind[row["verdict"]]}
    values |= {"sensed": Sensed[row["sensed"]]}
    return GateEvent(**values, reason=Reason[row["reason"]], shadow=bool(row["shadow"]))


# --- files ------------------------------------------------------------------------------------------------------


def _utc_day(wall_ns: int) -> str:
    return datetime.fromtimestamp(wall_ns // SECOND, timezone.utc).date().isoformat()


def _day_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(_DAY))


def _existing_days(folder: Path) -> list[Path]:
    days = _day_files(folder)
    if not days:
        raise JournalError(f"{folder} holds no journal; give the journal's dir as station.toml names it")
    return days


def _lock(folder: Path) -> int:
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise JournalError(
            f"cannot write {path}: {error.strerror}; check the disk and the folder's rights"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise JournalError(f"{folder} is being written by another process; stop that one first") from error
    return descriptor


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    # isolation_level=None: transactions are begun and ended by this file alone
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def _open_day(path: Path) -> sqlite3.Connection:
    return _opened(path, "rwc", _prepare)


def _prepare(connection: sqlite3.Connection) -> None:
    """Settings first, then the tables in one transaction; then what a killed process left in the WAL is durable."""
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise sqlite3.OperationalError("the file system does not carry SQLite's write-ahead log")
    connection.execute("PRAGMA synchronous = FULL")
    _create_tables(connection)
    _check_version(connection)
    # Rows that a killed process wrote but did not sync are seen again now. Told a second time they would be taken
    # as stored: so sync them before anybody relies on them.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _create_tables(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    blank = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if blank:
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _open_for_reading(path: Path) -> sqlite3.Connection:
    return _opened(path, "ro", _check_version)


def _check_version(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA_VERSION:
        raise sqlite3.OperationalError(f"written by another version of Kenpin (schema {version})")


def _opened(path: Path, mode: str, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    def open_and_prepare() -> sqlite3.Connection:
        connection = _connect(path, mode)
        try:
            prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    opened = _translated(path, open_and_prepare)
    with suppress(OSError):  # SQLite syncs the folder too, with its first commit
        sync_folder(path.parent)
    return opened


def _seal_if_open(path: Path) -> None:
    """An earlier day's file that is still in WAL mode: its writer ended before midnight, or was killed."""
    try:
        with path.open("rb") as file:
            modes = file.read(20)[18:]  # of writing and reading, in SQLite's file header: 1 plain, 2 WAL
    except OSError as error:
        raise JournalError(f"cannot read {path}: {error.strerror}; check the disk and the file's rights") from error
    if modes != b"\x01\x01":
        connection = _open_day(path)
        _translated(path, lambda: _seal(connection))


def _seal(connection: sqlite3.Connection) -> None:
    """Bring everything into the one file and let go of it."""
    try:
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    finally:
        connection.close()


def _query(path: Path, statement: str, *values: int) -> list[sqlite3.Row]:
    def ask() -> list[sqlite3.Row]:
        with closing(_connect(path, "ro")) as connection:
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                return []  # its writer was killed before the tables were there
            _check_version(connection)
            return connection.execute(statement, values).fetchall()

    return _translated(path, ask)


# --- errors -----------------------------------------------------------------------------------------------------

# What SQLite's words mean for a person; Python 3.10 has no error codes.
_ADVICE = (
    ("disk is full", "free disk space or lower keep_days and pictures_max_mb"),
    ("readonly", "make the folder and the disk writable for this user"),
    ("unable to open", "check that the folder exists and this user may write it"),
    ("locked", "close the other program that has the file open"),
    ("malformed", "the file is damaged: move it away, check the disk, start again"),
    ("not a database", "the file is damaged: move it away, check the disk, start again"),
    ("another version", "move it away, or install the version of Kenpin that wrote it"),
    ("write-ahead", "put the journal on a local disk"),
)


def _translated(path: Path, act: Callable[[], _Result]) -> _Result:
    try:
        return act()
    except (sqlite3.Error, OverflowError) as error:
        words = str(error)
        advice = next((then for sign, then in _ADVICE if sign in words), "check the disk and its free space")
        raise JournalError(f"the journal {path} failed: {words}; {advice}") from error
