"""What the journal's tables hold: the records, the schema, and the way from one to the other."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from math import isnan, nan
from typing import Any, TypeAlias

from edge.journal.chain import Value
from edge.records import GateEvent, GateOutcome, Kind, Part, Reason, Sensed, Verdict

SCHEMA_VERSION = 2
DECIDED, OUTCOMES, NOTES = TABLES = ("decided", "outcomes", "notes")

# Every row is a link of one chain over the three tables: numbered, stamped with the boot and both clocks of its
# commit. A part has one row in decided and one in outcomes, the first word stands. heads: the lowest is where the
# file goes on from, the others are signed on the way; they are no part of the chain.
_STAMP = "number INTEGER PRIMARY KEY, boot TEXT NOT NULL, mono_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL"
SCHEMA = f"""
CREATE TABLE decided (
    {_STAMP}, part_id INTEGER NOT NULL UNIQUE, born_ns INTEGER NOT NULL, born_err_ns INTEGER NOT NULL,
    position INTEGER NOT NULL, deadline_ns INTEGER NOT NULL, gate_ns INTEGER NOT NULL, recipe INTEGER NOT NULL,
    token INTEGER NOT NULL, releasable INTEGER NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, score REAL,
    threshold REAL, model TEXT NOT NULL, decided_ns INTEGER NOT NULL, link BLOB NOT NULL
) STRICT;
CREATE TABLE outcomes (
    {_STAMP}, part_id INTEGER NOT NULL UNIQUE, ring_seq INTEGER NOT NULL, born_ns INTEGER NOT NULL,
    born_err_ns INTEGER NOT NULL, deadline_ns INTEGER NOT NULL, planned_ns INTEGER NOT NULL,
    written_ns INTEGER NOT NULL, confirmed_ns INTEGER NOT NULL, ended_wall_ns INTEGER NOT NULL,
    recipe INTEGER NOT NULL, outcome TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL,
    shadow INTEGER NOT NULL, sensed TEXT NOT NULL, sensed_ns INTEGER NOT NULL, link BLOB NOT NULL
) STRICT;
CREATE TABLE notes (
    {_STAMP}, told_wall_ns INTEGER NOT NULL, kind TEXT NOT NULL, words TEXT NOT NULL, link BLOB NOT NULL
) STRICT;
CREATE TABLE heads (
    number INTEGER PRIMARY KEY, link BLOB NOT NULL, wall_ns INTEGER NOT NULL, key BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;
"""


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


@dataclass(frozen=True, slots=True)
class PartRow:
    """All that is recorded of one part: its verdict, its gate outcome, or both."""

    part_id: int
    decided: Decided | None
    outcome: GateEvent | None


def values_of(record: Record) -> tuple[str, tuple[Value, ...]]:
    """The table and the values of a record, in the order of its columns, without stamp and link.

    Those of a part begin with its id.
    """
    if isinstance(record, Decided):
        return DECIDED, _decided_values(record.part, record.verdict)
    if isinstance(record, GateEvent):
        return OUTCOMES, _outcome_values(record)
    words = record.words.encode(errors="replace").decode()  # a file name may hold what is no text
    return NOTES, (record.wall_ns, record.kind, words)


def _decided_values(part: Part, verdict: Verdict) -> tuple[Value, ...]:
    times = (part.born_ns, part.born_err_ns, part.position, part.deadline_ns, part.gate_ns)
    scores = (_stored(verdict.score), _stored(verdict.threshold))
    judged = (verdict.kind.name, verdict.reason.name, *scores, verdict.model)
    origin = (part.recipe, part.token, int(part.releasable))
    return (part.part_id, *times, *origin, *judged, verdict.decided_ns)


def _outcome_values(event: GateEvent) -> tuple[Value, ...]:
    times = (event.born_ns, event.born_err_ns, event.deadline_ns, event.planned_ns, event.written_ns)
    ended = (event.confirmed_ns, event.ended_wall_ns, event.recipe)
    names = (event.outcome.name, event.verdict.name, event.reason.name)
    sensed = (int(event.shadow), event.sensed.name, event.sensed_ns)
    return (event.part_id, event.ring_seq, *times, *ended, *names, *sensed)


def _stored(score: float) -> float | None:
    """As SQLite gives it back: NaN is NULL, and there is no -0.0."""
    return None if isnan(score) else score + 0.0


_PART = ("part_id", "born_ns", "born_err_ns", "position", "deadline_ns", "gate_ns", "recipe", "token")
_EVENT = (
    *("ring_seq", "part_id", "born_ns", "born_err_ns", "deadline_ns", "planned_ns", "written_ns"),
    *("confirmed_ns", "ended_wall_ns", "recipe", "sensed_ns"),
)


def decided_from(row: sqlite3.Row) -> Decided:
    """The record that a row of `decided` holds."""
    values: dict[str, Any] = {name: row[name] for name in _PART}
    part = Part(**values, releasable=bool(row["releasable"]))
    score, threshold = (nan if row[name] is None else row[name] for name in ("score", "threshold"))
    kind, reason = Kind[row["kind"]], Reason[row["reason"]]
    return Decided(part, Verdict(part.part_id, kind, reason, score, threshold, row["model"], row["decided_ns"]))


def outcome_from(row: sqlite3.Row) -> GateEvent:
    """The record that a row of `outcomes` holds."""
    values: dict[str, Any] = {name: row[name] for name in _EVENT}
    values |= {"outcome": GateOutcome[row["outcome"]], "verdict": Kind[row["verdict"]]}
    values |= {"sensed": Sensed[row["sensed"]]}
    return GateEvent(**values, reason=Reason[row["reason"]], shadow=bool(row["shadow"]))


def note_from(row: sqlite3.Row) -> Note:
    """The record that a row of `notes` holds."""
    return Note(row["told_wall_ns"], row["kind"], row["words"])
