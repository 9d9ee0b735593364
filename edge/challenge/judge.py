"""Whether a step of the challenge test is passed, by what the journal and the station's status say; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge.challenge.plan import FailSafe, Pieces, Step
from edge.challenge.report import PartSeen, Result
from edge.control import Status
from edge.journal.rows import PartRow
from edge.records import GateOutcome, Kind, Reason, Sensed

_SAFE = ("NOT_READY", "STOPPED", "FAULT", "STOPPING")
_NUMBER = 0xFFFF_FFFF  # of a part within its line session


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a step, and the parts that show it."""

    result: Result
    words: str
    parts: tuple[PartSeen, ...] = ()


def judge(step: Step, rows: Sequence[PartRow], status: Status, is_over: bool) -> Finding | None:
    """The finding; None while it is open. `rows`: the parts born since the person went on, in order of birth.

    `is_over`: nothing more is waited for, so there is a finding.
    """
    if isinstance(step, Pieces):
        return _pieces(step, rows, status, is_over)
    return _fail_safe(step, rows, status, is_over)


def _pieces(step: Pieces, rows: Sequence[PartRow], status: Status, is_over: bool) -> Finding | None:
    parts = tuple(_seen(row, _as_wanted(step, row)) for row in ended(rows)[: step.count])
    if len(parts) < step.count:
        words = (
            f"{len(parts)} of {step.count} parts came in time; the station is {status.level} {status.cause}".strip()
        )
        return Finding("failed", words, parts) if is_over else None
    done = "rejected" if step.wanted is Kind.REJECT else "let pass"
    wrong = [part for part in parts if not part.as_wanted]
    if wrong:
        told = "; ".join(_words(part) for part in wrong)
        return Finding(
            "failed", f"{len(wrong)} of {step.count} parts were not {done} as they must be: {told}", parts
        )
    sensor = ", and the confirm sensor saw each of them" if step.confirmed else ""
    return Finding("passed", f"{step.count} of {step.count} parts were {done}{sensor}", parts)


def _fail_safe(step: FailSafe, rows: Sequence[PartRow], status: Status, is_over: bool) -> Finding | None:
    parts = tuple(_seen(row, _is_rejected(row)) for row in ended(rows))
    passed = [part for part in parts if not part.as_wanted]
    if passed:
        return Finding("failed", f"a part may have passed meanwhile: {_words(passed[0])}", parts)
    if status.level in _SAFE:
        return Finding("passed", f"the station said {status.level}: {status.cause}", parts)
    if parts and step.reject_is_enough:
        return Finding("passed", f"what came was rejected: {_words(parts[0])}", parts)
    words = f"nothing showed it; the station is {status.level}, {len(parts)} parts were rejected"
    return Finding("failed", words, parts) if is_over else None


def ended(rows: Sequence[PartRow]) -> list[PartRow]:
    """The parts that are through, up to the first that is not."""
    first_open = next((index for index, row in enumerate(rows) if row.outcome is None), len(rows))
    return list(rows[:first_open])


def born_ns(row: PartRow) -> int:
    """When the part was born."""
    if row.outcome is not None:
        return row.outcome.born_ns
    return row.decided.part.born_ns if row.decided is not None else 0


def _as_wanted(step: Pieces, row: PartRow) -> bool:
    event = row.outcome
    assert event is not None
    if event.verdict is not step.wanted or event.reason is Reason.BYPASS or event.shadow:
        return False
    if step.wanted is Kind.PASS:
        return event.outcome is GateOutcome.RELEASED
    return _is_rejected(row) and (event.sensed is Sensed.SEEN or not step.confirmed)


def _is_rejected(row: PartRow) -> bool:
    return row.outcome is not None and row.outcome.outcome is GateOutcome.FIRED and not row.outcome.shadow


def _seen(row: PartRow, as_wanted: bool) -> PartSeen:
    event = row.outcome
    assert event is not None
    score = math.nan if row.decided is None else row.decided.verdict.score
    return PartSeen(
        part=row.part_id,
        verdict=event.verdict.name,
        reason=event.reason.name,
        score=None if math.isnan(score) else score,
        outcome=event.outcome.name,
        sensed=event.sensed.name,
        as_wanted=as_wanted,
    )


def _words(part: PartSeen) -> str:
    """A part in a sentence."""
    return f"part {part.part & _NUMBER} {part.verdict} {part.reason}, {part.outcome}"
