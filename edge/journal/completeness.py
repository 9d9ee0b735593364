"""Whether the journal lacks a part, an outcome or a verdict: none may be missing without a reason that is on record."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from edge.journal import files
from edge.journal.ranges import Ranges
from edge.journal.reading import by_part, notes_of
from edge.journal.rows import TABLES
from edge.records import GateOutcome, Kind, Reason

# What only the eye says of a part: with such a reason, a verdict must be on record.
_OF_THE_EYE = frozenset(
    {
        *(Reason.DEFECT, Reason.NO_FRAME, Reason.STALE_FRAME, Reason.BAD_FRAME, Reason.ENGINE_ERROR),
        *(Reason.BAD_SCORE, Reason.OVERRUN, Reason.AMBIGUOUS, Reason.JOURNAL),
    }
)
_ROWS = """
SELECT part_id, number, born_ns, kind AS verdict, reason, NULL AS outcome, 0 AS ring_seq FROM decided
UNION ALL SELECT part_id, number, born_ns, verdict, reason, outcome, ring_seq FROM outcomes ORDER BY part_id, number
"""


@dataclass(frozen=True, slots=True)
class _Row:
    """What matters here of a row of `decided` (without an outcome) or of `outcomes`."""

    file: str
    number: int
    part_id: int
    born_ns: int
    verdict: Kind
    reason: Reason
    outcome: GateOutcome | None
    ring_seq: int

    def __str__(self) -> str:
        return f"part {name_of(self.part_id)} (row {self.number} of {self.file})"


def name_of(part_id: int) -> str:
    """A part for people: line session and number."""
    return f"{part_id >> 32}-{part_id & 0xFFFF_FFFF}"


@dataclass(slots=True)
class Complete:
    """What was found: `broken` in words, and what is missing for a reason that is on record, counted."""

    parts: int = 0
    sessions: int = 0
    broken: list[str] = field(default_factory=list)
    excused: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Session:
    """One life of the line process."""

    numbers: Ranges = field(default_factory=Ranges)
    ring: Ranges = field(default_factory=Ranges)
    last_ended: int = 0
    unended: list[_Row] = field(default_factory=list)


def check(days: Sequence[Path], begins_at: int) -> Complete:
    """Hold all parts in these files against each other; the rows up to number `begins_at` were dropped.

    Raises JournalError when a file cannot be read.
    """
    return _Check(days, begins_at).result


class _Check:
    def __init__(self, days: Sequence[Path], begins_at: int) -> None:
        self.result = Complete()
        self._dropped = begins_at > 0
        self._first_file = days[0].name
        self._sessions: defaultdict[int, _Session] = defaultdict(_Session)
        self._lost, self._crashes = _from_notes(days)
        self._began_ns = _first_ns(days[0])
        for part_id, rows in groupby(by_part(days, _rows_of), key=lambda row: row.part_id):
            self._part(part_id, list(rows))
        self._numbers()
        self._ring_numbers()
        self.result.sessions = len(self._sessions)

    # --- one part ---

    def _part(self, part_id: int, rows: list[_Row]) -> None:
        self.result.parts += 1
        session = self._sessions[part_id >> 32]
        session.numbers.add(part_id & 0xFFFF_FFFF)
        decided = next((row for row in rows if row.outcome is None), None)
        ended = next((row for row in rows if row.outcome is not None), None)
        if ended is None:
            session.unended.append(rows[0])
            return
        if ended.ring_seq:
            session.ring.add(ended.ring_seq)
            session.last_ended = max(session.last_ended, part_id & 0xFFFF_FFFF)
        self._words(decided, ended)

    def _words(self, decided: _Row | None, ended: _Row) -> None:
        """No release without a PASS that was on record before; no word of the eye that is not on record."""
        if decided is None and self._may_be_dropped(ended):
            self.result.excused["verdict was dropped with the day before"] += 1
            return
        was_passed = decided is not None and decided.verdict is Kind.PASS and decided.number < ended.number
        released = ended.outcome is GateOutcome.RELEASED and ended.reason is not Reason.BYPASS
        if (released or ended.verdict is Kind.PASS) and not was_passed:
            self.result.broken.append(f"{ended} was told to pass, and no PASS for it is on record before")
        elif decided is None and ended.reason in _OF_THE_EYE:
            self._excuse_word(ended)
        elif decided is None:
            self.result.excused[f"no verdict, {ended.reason.name}"] += 1

    def _excuse_word(self, ended: _Row) -> None:
        """A reject does not wait for its record: an eye that is killed takes some along."""
        if self._crashes:
            self.result.excused["the verdict went with an eye that was killed"] += 1
        elif not self._excuse_lost(1):
            self.result.broken.append(f"{ended} ended by {ended.reason.name}, and no verdict is on record")

    def _may_be_dropped(self, ended: _Row) -> bool:
        return self._dropped and ended.file == self._first_file and ended.born_ns <= self._began_ns

    def _excuse_lost(self, count: int) -> bool:
        """As many records as a note says were lost may be missing."""
        if count > self._lost:
            return False
        self._lost -= count
        self.result.excused["lost, as a note says"] += count
        return True

    # --- the numbers ---

    def _numbers(self) -> None:
        """Part numbers count from 1 in each session; the parts of a line that died may never have been heard of."""
        for index, (number, session) in enumerate(sorted(self._sessions.items())):
            starts = session.numbers.ranges()[0][0] if index == 0 and self._dropped else 1
            for first, last in session.numbers.missing(starts):
                in_flight = max(0, last - max(first - 1, session.last_ended))
                self.result.excused["in the zone when the line died"] += in_flight
                count = last + 1 - first - in_flight
                if count and not self._excuse_lost(count):
                    names = _span(f"{number}-{first}", f"{number}-{last}")
                    self.result.broken.append(f"no row tells of part {names}")
            self._unended(session, is_newest=index == len(self._sessions) - 1)

    def _unended(self, session: _Session, is_newest: bool) -> None:
        """Each part of a line that is gone has ended: as the ring told, or as lost with the line."""
        if is_newest:
            self.result.excused["not ended yet"] += len(session.unended)
            return
        self.result.broken += [
            f"{row} has a verdict and no outcome" for row in session.unended if not self._excuse_lost(1)
        ]

    def _ring_numbers(self) -> None:
        """The line numbers outcomes without gaps over its lives; a lost ring counts anew, a power cut turns it back."""
        before: int | None = None
        for _, session in sorted(self._sessions.items()):
            found = session.ring.ranges()
            if not found:
                continue
            starts = found[0][0] if self._dropped and before is None else min(found[0][0], (before or 0) + 1)
            for first, last in session.ring.missing(starts):
                if not self._excuse_lost(last + 1 - first):
                    self.result.broken.append(
                        f"outcome {_span(str(first), str(last))} of the line's ring is missing"
                    )
            before = found[-1][1]


def _span(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


def _rows_of(path: Path) -> Iterator[_Row]:
    for row in files.rows(path, _ROWS):
        outcome = None if row["outcome"] is None else GateOutcome[row["outcome"]]
        names = (Kind[row["verdict"]], Reason[row["reason"]], outcome)
        yield _Row(path.name, row["number"], row["part_id"], row["born_ns"], *names, row["ring_seq"])


def _first_ns(path: Path) -> int:
    """When the first row of a file was committed, on the monotonic clock."""
    firsts = " UNION ALL ".join(f"SELECT MIN(number), mono_ns FROM {table}" for table in TABLES)  # noqa: S608
    found = [(row[0], row[1]) for row in files.rows(path, firsts) if row[0] is not None]
    return min(found, default=(0, 0))[1]


def _from_notes(days: Sequence[Path]) -> tuple[int, int]:
    """How many records were lost, and how many runs of the eye ended without a word before another began."""
    lost = crashes = 0
    running = False
    for note in notes_of(days):
        if note.kind in ("outcomes lost", "records lost"):
            count = note.words.partition(" ")[0]
            lost += int(count) if count.isdigit() else 0
        crashes += note.kind == "start" and running
        if note.kind in ("start", "stop"):
            running = note.kind == "start"
    return lost, crashes
