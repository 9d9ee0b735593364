"""Nothing may be missing from a journal without a reason that is on record, and nothing passes unrecorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import SECOND, ManualClock
from edge.journal.ranges import Ranges
from edge.journal.retention import Keep
from edge.journal.rows import Decided, Note, Record
from edge.journal.verify import Verified, verify
from edge.records import GateEvent, GateOutcome, Kind, Reason
from tests.journal.records import decided, ended, opened, refused, unknown

DAY = 86_400 * SECOND
NOON = 1_790_337_600 * SECOND


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def written(folder: Path, *batches: Sequence[Record]) -> Verified:
    """A journal of these batches, each committed in one go, verified."""
    journal = opened(folder, ManualClock(wall_ns=NOON))
    for batch in batches:
        journal.commit(batch)
    journal.close()
    return verify(folder)


def of_session(record: Decided | GateEvent, session: int, seq: int | None = None) -> Decided | GateEvent:
    """The same part, of another life of the line."""
    if isinstance(record, GateEvent):
        part_id = session << 32 | record.part_id & 0xFFFF_FFFF
        return replace(record, part_id=part_id, ring_seq=record.ring_seq if seq is None else seq)
    part_id = session << 32 | record.part.part_id & 0xFFFF_FFFF
    part, verdict = replace(record.part, part_id=part_id), replace(record.verdict, part_id=part_id)
    return Decided(part, verdict)


def ended_by(number: int, reason: Reason, kind: Kind = Kind.UNKNOWN, seq: int | None = None) -> GateEvent:
    return replace(ended(number, seq), outcome=GateOutcome.FIRED, verdict=kind, reason=reason)


def excuses(found: Verified) -> dict[str, int]:
    assert found.broken == [] and found.parts is not None
    return {why: count for why, count in found.parts.excused.items() if count}


def whole(*numbers: int) -> list[Record]:
    return [record for number in numbers for record in (decided(number), ended(number))]


def test_a_journal_that_lacks_nothing_needs_no_excuse(folder):
    found = written(folder, [decided(1)], [ended(1), unknown(2)], [refused(2)])
    assert excuses(found) == {}
    assert found.parts is not None and (found.parts.parts, found.parts.sessions) == (2, 1)


# --- passes -----------------------------------------------------------------------------------------------------


def test_a_part_that_passed_without_a_pass_on_record_is_named(folder):
    found = written(folder, whole(1), [ended(2)])
    assert found.broken == [
        "part 7-2 (row 3 of 2026-09-25.sqlite) was told to pass, and no PASS for it is on record before"
    ]


def test_a_pass_that_came_on_record_after_the_part_had_passed_does_not_count(folder):
    assert len(written(folder, [ended(1), decided(1)]).broken) == 1


def test_a_part_that_passed_against_its_verdict_is_named(folder):
    assert "part 7-1" in written(folder, [decided(1, Kind.REJECT), ended(1)]).broken[0]


def test_a_pass_that_did_not_open_the_gate_must_be_on_record_too(folder):
    fired = replace(ended(1), outcome=GateOutcome.FIRED, reason=Reason.TOUCHING)
    assert "part 7-1" in written(folder, [fired]).broken[0]


def test_a_part_that_passed_by_a_bypass_is_excused(folder):
    by = replace(ended(1), verdict=Kind.UNKNOWN, reason=Reason.BYPASS)
    assert excuses(written(folder, [by])) == {"no verdict, BYPASS": 1}


# --- verdicts ---------------------------------------------------------------------------------------------------


def test_what_the_line_rejects_by_itself_needs_no_verdict(folder):
    reasons = [Reason.PURGE, Reason.PURGE, Reason.NO_VERDICT, Reason.TOUCHING]
    found = written(folder, [ended_by(number, reason) for number, reason in enumerate(reasons, 1)])
    assert excuses(found) == {"no verdict, PURGE": 2, "no verdict, NO_VERDICT": 1, "no verdict, TOUCHING": 1}


def test_a_word_of_the_eye_that_is_not_on_record_is_named(folder):
    found = written(folder, [ended_by(1, Reason.DEFECT, Kind.REJECT)])
    assert found.broken == ["part 7-1 (row 1 of 2026-09-25.sqlite) ended by DEFECT, and no verdict is on record"]


def test_an_eye_that_was_killed_may_have_taken_its_last_word_along(folder):
    start = Note(1, "start", "station line-3")
    found = written(folder, [start, *whole(1)], [start, ended_by(2, Reason.DEFECT, Kind.REJECT)])
    assert excuses(found) == {"the verdict went with an eye that was killed": 1}


# --- outcomes ---------------------------------------------------------------------------------------------------


def test_parts_in_the_zone_have_no_outcome_yet(folder):
    assert excuses(written(folder, whole(1), [decided(2), decided(3)])) == {"not ended yet": 2}


def test_a_part_of_a_line_that_is_gone_must_have_ended(folder):
    found = written(folder, [decided(1), of_session(decided(1), 8), of_session(ended(1), 8)])
    assert found.broken == ["part 7-1 (row 1 of 2026-09-25.sqlite) has a verdict and no outcome"]


# --- numbers ----------------------------------------------------------------------------------------------------


def test_a_part_that_no_row_tells_of_is_named(folder):
    assert written(folder, whole(1, 2), whole(4, 7)).broken == [
        "no row tells of part 7-3",
        "no row tells of part 7-5 to 7-6",
        "outcome 3 of the line's ring is missing",
        "outcome 5 to 6 of the line's ring is missing",
    ]


def test_as_many_may_be_missing_as_a_note_says_were_lost(folder):
    note = Note(1, "records lost", "2 records were lost while the disk took none")
    assert excuses(written(folder, whole(1), [note], whole(3))) == {"lost, as a note says": 2}
    assert written(folder.with_name("more"), whole(1), [note], whole(4)).broken != []


def test_a_part_that_died_with_its_line_may_never_have_been_heard_of(folder):
    later = [of_session(decided(1), 8), of_session(ended(1), 8, seq=2)]
    lost = replace(ended_by(3, Reason.LINE_LOST, seq=0), outcome=GateOutcome.LATE)
    found = written(folder, whole(1), [decided(3), lost], later)
    assert excuses(found) == {"in the zone when the line died": 1}


def test_a_ring_that_went_back_after_a_power_cut_or_counts_anew_is_no_gap(folder):
    batches = [whole(1, 2, 3)]
    for session, seq in ((8, 3), (9, 4), (10, 1)):
        batches.append([of_session(decided(1), session), of_session(ended(1), session, seq)])
    assert excuses(written(folder, *batches)) == {}


def test_outcomes_that_are_missing_between_two_lives_of_the_line_are_named(folder):
    other = [of_session(decided(1), 8), of_session(ended(1), 8, seq=4)]
    assert written(folder, whole(1), other).broken == ["outcome 2 to 3 of the line's ring is missing"]


# --- what was dropped -------------------------------------------------------------------------------------------


def test_where_earlier_days_were_dropped_the_first_part_may_lack_its_verdict(folder):
    clock = ManualClock(now_ns=10 * SECOND, wall_ns=NOON)
    journal = opened(folder, clock, Keep(1, 2_000, 0))
    journal.commit([*whole(1), decided(2)])
    clock.advance(DAY)
    journal.commit([ended(2), *whole(3)])
    journal.tend()
    journal.close()
    assert excuses(verify(folder)) == {"verdict was dropped with the day before": 1}


@given(st.sets(st.integers(1, 60)), st.randoms(use_true_random=False))
def test_ranges_know_what_is_missing_whatever_the_order(numbers, rng):
    ranges = Ranges()
    order = sorted(numbers)
    rng.shuffle(order)
    for number in order:
        ranges.add(number)
    missing = {number for first, last in ranges.missing(1) for number in range(first, last + 1)}
    assert missing == set(range(1, max(numbers, default=0))) - numbers
    assert {number for first, last in ranges.ranges() for number in range(first, last + 1)} == numbers
