"""Follows the journal: counts by the minute and the parts that were not let pass, read as they are recorded."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge.clock import SECOND, Clock
from edge.errors import JournalError
from edge.journal import files
from edge.journal.rows import DECIDED, OUTCOMES
from edge.panel.language import say
from edge.records import Kind

KEPT = 300  # parts that were not let pass
MINUTE_NS = 60 * SECOND
_DAYS = 2  # newest files that are followed
_KEPT_MINUTES = 2 * 1_440
# a PASS that did not open the gate let nobody pass
FINAL = "CASE WHEN verdict = 'PASS' AND outcome = 'FIRED' THEN 'UNKNOWN' ELSE verdict END AS verdict"
_COUNTS = f"""
SELECT ended_wall_ns / {MINUTE_NS} AS minute, outcome, {FINAL}, reason, COUNT(*) AS count FROM outcomes
WHERE number > {{after}} AND number <= {{last}} GROUP BY 1, 2, 3, 4
"""  # noqa: S608
_ENDED = f"""
SELECT part_id, ended_wall_ns AS wall_ns, {FINAL}, reason, outcome FROM outcomes
WHERE number > {{after}} AND number <= {{last}} AND (outcome <> 'RELEASED' OR verdict <> 'PASS')
ORDER BY number DESC LIMIT {KEPT}
"""  # noqa: S608
_JUDGED = f"""
SELECT part_id, wall_ns, kind AS verdict, reason, score, threshold FROM decided
WHERE number > {{after}} AND number <= {{last}} AND kind <> 'PASS' ORDER BY number DESC LIMIT {KEPT}
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Turned:
    """A part that was not let pass, or should not have been; `outcome` is empty until it is at the gate."""

    part_id: int
    wall_ns: int
    verdict: str
    reason: str
    score: float | None = None
    threshold: float | None = None
    outcome: str = ""


@dataclass(slots=True)
class Tally:
    """Parts by their verdict, by what the gate did, and those UNKNOWN by their reason."""

    parts: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: str, verdict: str, reason: str, count: int) -> None:
        """So many more."""
        self.parts += count
        self.outcomes[outcome.lower()] += count
        self.verdicts[verdict.lower()] += count
        if verdict == Kind.UNKNOWN.name:
            self.reasons[reason] += count


class Ledger:
    """Any thread may ask; one reads at a time, and the others get what was read last. Only the newest days count."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._reading = threading.Lock()
        self.revision = 0  # counts up with what `turned` tells
        self._unreadable = ""
        self._is_there = True
        self._begin()

    def _begin(self) -> None:
        self._newest = ""  # the newest file that was read; those before it are complete
        self._ended, self._judged = 0, 0  # the last rows that were read of each table
        self._minutes: Counter[tuple[int, str, str, str]] = Counter()
        self._turned: OrderedDict[int, Turned] = OrderedDict()

    def look(self) -> None:
        """Read what is new; what is wrong with the journal is in `words` then."""
        if not self._reading.acquire(blocking=self.revision == 0):
            return
        try:
            days = files.day_files(self._folder)[-_DAYS:]
            self._unreadable, self._is_there = "", bool(days)
            for path in [path for path in days if path.stem >= self._newest]:
                self._follow(path)
                self._newest = path.stem
        except JournalError as error:
            self._unreadable = str(error)
        finally:
            self._reading.release()

    @property
    def words(self) -> str:
        """Why the journal cannot be read; "" where it can."""
        return self._unreadable or ("" if self._is_there else say("no.no_journal", folder=self._folder))

    def turned(self, count: int, only_rejects: bool = False) -> list[Turned]:
        """The newest parts that were not let pass, newest first."""
        known = reversed(list(self._turned.values()))
        wanted = (each for each in known if not only_rejects or each.verdict == Kind.REJECT.name)
        return [each for each, _ in zip(wanted, range(count), strict=False)]

    def tally(self, since_wall_ns: int) -> Tally:
        """What ended in the minute of this time and later."""
        found = Tally()
        for (minute, outcome, verdict, reason), count in list(self._minutes.items()):
            if minute >= since_wall_ns // MINUTE_NS:
                found.add(outcome, verdict, reason, count)
        return found

    # --- reading ---

    def _follow(self, path: Path) -> None:
        judged, ended = last_number(path, DECIDED), last_number(path, OUTCOMES)
        if 0 < judged < self._judged or 0 < ended < self._ended:
            self._begin()  # the journal was moved away, this is another one
        fresh: list[Turned] = []
        if judged > self._judged:
            asked = _JUDGED.format(after=self._judged, last=judged)
            fresh += [Turned(**dict(row)) for row in files.rows(path, asked)]
            self._judged = judged
        if ended > self._ended:
            between = {"after": self._ended, "last": ended}
            fresh += [Turned(**dict(row)) for row in files.rows(path, _ENDED.format(**between))]
            self._count(files.rows(path, _COUNTS.format(**between)))
            self._ended = ended
        for each in sorted(fresh, key=lambda each: (each.wall_ns, each.part_id)):
            self._keep(each)
        self.revision += bool(fresh) or self.revision == 0

    def _keep(self, part: Turned) -> None:
        """The verdict tells the score, the outcome what the gate did: together they are the part."""
        known = self._turned.get(part.part_id)
        if known is None:
            self._turned[part.part_id] = part
        elif part.outcome:
            self._turned[part.part_id] = replace(
                known, verdict=part.verdict, reason=part.reason, outcome=part.outcome
            )
        else:
            self._turned[part.part_id] = replace(known, score=part.score, threshold=part.threshold)
        while len(self._turned) > KEPT:
            self._turned.popitem(last=False)

    def _count(self, rows: Iterator[sqlite3.Row]) -> None:
        for row in rows:
            self._minutes[row["minute"], row["outcome"], row["verdict"], row["reason"]] += row["count"]
        oldest = self._clock.wall_ns() // MINUTE_NS - _KEPT_MINUTES
        for key in [key for key in self._minutes if key[0] < oldest]:
            del self._minutes[key]


def last_number(path: Path, table: str) -> int:
    """The number of the newest row of a table, 0 without one. Raises JournalError."""
    return next((row["last"] or 0 for row in files.rows(path, f"SELECT MAX(number) AS last FROM {table}")), 0)  # noqa: S608
