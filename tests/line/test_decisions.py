"""The line's pure values one by one: levels, limits, readiness, and what a word for a part is worth."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.clock import MS
from edge.line.axis import TimeAxis
from edge.line.events import TRIGGER
from edge.line.level import Kept, LevelRecord
from edge.line.limits import Bounds, Limits, Trip
from edge.line.messages import CAUSE_BYTES, AckStatus, LimitAction, LimitCounts, LineState, cause_of
from edge.line.readiness import Eye, Readiness
from edge.line.schedule import GateEdge
from edge.line.tracker import Tracker
from edge.line.zone import Zone
from edge.records import GateEvent, GateOutcome, Kind, Reason, Sensed

SESSION, EPOCH = 5, 77
BORN = 1_000 * MS


def zone(rest_rejects: bool = True) -> Zone:
    return Zone(200 * MS, 30 * MS, 10 * MS, 40 * MS, 60 * MS, 5 * MS, rest_rejects)


# --- levels ----------------------------------------------------------------------------------------------------------


def test_a_level_is_kept_only_when_it_stood_all_through() -> None:
    record = LevelRecord(0, False)
    record.changed(100, True)
    record.changed(200, False)
    assert record.kept(True, 100, 200) is Kept.YES
    assert record.kept(True, 99, 200) is Kept.NO
    assert record.kept(True, 100, 201) is Kept.NO
    assert record.kept(False, 200, 9_999) is Kept.YES


def test_an_unknown_level_proves_neither() -> None:
    record = LevelRecord(0, None)
    record.changed(100, False)
    record.changed(150, None)
    assert record.kept(False, 100, 150) is Kept.YES
    assert record.kept(False, 100, 151) is Kept.UNKNOWN
    assert record.kept(False, 50, 120) is Kept.UNKNOWN
    assert record.active is None


def test_a_change_never_lies_before_the_last_one() -> None:
    record = LevelRecord(0, False)
    record.changed(100, True)
    record.changed(90, False)
    assert record.kept(False, 100, 101) is Kept.YES


def test_forgetting_keeps_what_later_slots_ask_for() -> None:
    record = LevelRecord(0, False)
    record.changed(100, True)
    record.changed(200, False)
    record.forget_before(150)
    assert record.kept(True, 150, 200) is Kept.YES
    record.forget_before(500)
    assert record.kept(False, 500, 600) is Kept.YES


# --- limits ----------------------------------------------------------------------------------------------------------


def ended(verdict: Kind, reason: Reason = Reason.NONE, outcome: GateOutcome = GateOutcome.FIRED) -> GateEvent:
    return GateEvent(1, 1, 0, 0, 0, 0, 0, 0, 0, 0, outcome, verdict, reason)


REJECT = ended(Kind.REJECT, Reason.DEFECT)
SILENT = ended(Kind.UNKNOWN, Reason.NO_VERDICT)
PASSED = ended(Kind.PASS, outcome=GateOutcome.RELEASED)
MISSED = ended(Kind.UNKNOWN, Reason.LATE)


def feed(limits: Limits, *events: GateEvent) -> list[Trip | None]:
    return [limits.count(event) for event in events]


def test_rejects_in_a_row_stop_and_a_pass_begins_a_new_row() -> None:
    limits = Limits(Bounds(3, 0, 0, escapes=False))
    assert feed(limits, REJECT, REJECT, PASSED, REJECT, REJECT) == [None] * 5
    assert limits.count(REJECT) == Trip(LimitAction.STOP, 3, "3 rejects in a row")
    limits.clear()
    assert limits.count(REJECT) is None


def test_parts_without_a_verdict_in_a_row_stop() -> None:
    limits = Limits(Bounds(0, 2, 0, escapes=False))
    assert feed(limits, SILENT, REJECT, SILENT) == [None] * 3
    assert limits.count(SILENT) == Trip(LimitAction.STOP, 2, "2 parts without a verdict in a row")


def test_a_missed_deadline_warns_first_and_stops_in_a_row() -> None:
    limits = Limits(Bounds(0, 0, 2, escapes=False))
    warning = limits.count(MISSED)
    assert warning is not None and warning.action is LimitAction.WARN
    stop = limits.count(MISSED)
    assert stop is not None and stop.action is LimitAction.STOP


@pytest.mark.parametrize(
    "reason",
    [Reason.PURGE, Reason.OTHER_EPOCH, Reason.STOPPING, Reason.STATION_STOPPED, Reason.TOUCHING, Reason.JOURNAL],
)
def test_what_the_station_rejects_by_its_own_doing_counts_for_nothing(reason: Reason) -> None:
    limits = Limits(Bounds(1, 1, 1, escapes=True))
    assert limits.count(ended(Kind.UNKNOWN, reason)) is None
    assert (limits.rejects, limits.unknowns, limits.misses) == (0, 0, 0)


def test_a_reject_that_may_have_passed_an_open_gate_stops_at_once() -> None:
    failed = ended(Kind.REJECT, Reason.LATE_WRITE, GateOutcome.LATE)
    stop = Limits(Bounds(0, 0, 0, escapes=True)).count(failed)
    assert stop is not None and stop.action is LimitAction.STOP
    warning = Limits(Bounds(0, 0, 0, escapes=False)).count(failed)
    assert warning is not None and warning.action is LimitAction.WARN


def test_each_count_is_told_and_begins_anew_after_an_acknowledgement() -> None:
    limits = Limits(Bounds(9, 9, 9, escapes=False, window_rejects=9, window_parts=4))
    feed(limits, REJECT, PASSED, REJECT, SILENT, MISSED, MISSED)
    assert limits.counts() == LimitCounts(
        consecutive_rejects=4, unconfirmed_rejects=0, unknown_in_a_row=3, missed_deadlines=2, window_rejects=4
    )
    limits.count(replace(REJECT, sensed=Sensed.MISSED))
    assert limits.counts().unconfirmed_rejects == 1
    limits.clear()
    assert limits.counts() == LimitCounts(0, 0, 0, 0, 0)


def test_bounds_of_zero_never_stop() -> None:
    limits = Limits(Bounds(0, 0, 0, escapes=False))
    trips = feed(limits, *[REJECT, SILENT, MISSED] * 50)
    assert not [trip for trip in trips if trip and trip.action is LimitAction.STOP]


@pytest.mark.parametrize(
    ("words", "told"),
    [("x" * 56, "x" * 56), ("x" * 57, "x" * 53 + "…"), ("ü" * 40, "ü" * 26 + "…"), ("", "")],
    ids=["as long as may be", "longer", "cut between letters", "none"],
)
def test_a_cause_that_is_too_long_says_that_there_is_more(words: str, told: str) -> None:
    assert cause_of(words).decode() == told and len(cause_of(words)) <= CAUSE_BYTES


# --- readiness -------------------------------------------------------------------------------------------------------

TRANSIT = 240
HERE = Eye(live=True, ready=True)


def state_of(readiness: Readiness) -> LineState:
    return readiness.state


def started(permits: bool = False) -> Readiness:
    readiness = Readiness(TRANSIT, permits, TimeAxis())
    readiness.armed(0)
    readiness.eye = HERE
    return readiness


def test_the_zone_is_known_one_transit_after_arming_and_not_before() -> None:
    readiness = started()
    readiness.settle(TRANSIT - 1)
    assert state_of(readiness) is LineState.PURGING
    assert readiness.purged_ns(0) == TRANSIT
    readiness.settle(TRANSIT)
    assert state_of(readiness) is LineState.READY
    assert readiness.purged_ns(TRANSIT) is None


@pytest.mark.parametrize("eye", [Eye(False, False), Eye(True, False), Eye(False, True)])
def test_without_an_eye_that_can_inspect_nothing_is_ready(eye: Eye) -> None:
    readiness = started()
    readiness.eye = eye
    readiness.settle(10 * TRANSIT)
    assert state_of(readiness) is LineState.PURGING


def test_with_a_permit_the_purge_runs_only_while_the_belt_does() -> None:
    readiness = started(permits=True)
    readiness.settle(10 * TRANSIT)
    assert state_of(readiness) is LineState.PURGING and readiness.wants_permit(False)
    readiness.permit_is(True, 5_000)
    readiness.settle(5_000 + TRANSIT - 1)
    assert state_of(readiness) is LineState.PURGING
    readiness.settle(5_000 + TRANSIT)
    assert state_of(readiness) is LineState.READY
    readiness.permit_is(False, 6_000)
    assert state_of(readiness) is LineState.PURGING


def test_a_fault_keeps_its_first_cause_until_nothing_is_wrong() -> None:
    readiness = started(permits=True)
    assert readiness.fault("gate", "no answer", 10)
    assert not readiness.fault("gate", "still none", 11)
    assert readiness.fault("trigger", "gone too", 12)
    assert (readiness.state, readiness.cause) == (LineState.FAULT, "no answer")
    assert not readiness.wants_permit(False)
    readiness.repaired("gate", 13)
    assert (readiness.state, readiness.cause) == (LineState.FAULT, "no answer")
    readiness.repaired("trigger", 14)
    assert (readiness.state, readiness.cause) == (LineState.PURGING, "")


def test_a_stop_lasts_until_it_is_acknowledged() -> None:
    readiness = started(permits=True)
    assert readiness.stop("3 rejects in a row") and not readiness.stop("more")
    readiness.settle(10 * TRANSIT)
    assert state_of(readiness) is LineState.STOPPED and not readiness.wants_permit(False)
    readiness.clear()
    assert state_of(readiness) is LineState.PURGING and readiness.cause == ""


def test_a_line_with_a_photo_eye_starts_when_that_is_read() -> None:
    readiness = Readiness(TRANSIT, False, TimeAxis(), frozenset({TRIGGER}))
    readiness.armed(0)
    assert state_of(readiness) is LineState.STARTING
    assert not readiness.input_open(TRIGGER, 50)  # it had not been lost
    assert state_of(readiness) is LineState.PURGING and readiness.purged_ns(50) == 50 + TRANSIT


def test_a_silent_eye_does_not_stop_the_belt_at_once_but_an_unready_one_does() -> None:
    readiness = started(permits=True)
    readiness.permit_is(True, 0)
    readiness.settle(TRANSIT)
    readiness.eye = Eye(live=False, ready=False)
    assert readiness.wants_permit(False)
    readiness.eye = Eye(live=True, ready=False)
    assert not readiness.wants_permit(False)


# --- words for a part ------------------------------------------------------------------------------------------------


def tracker(rest_rejects: bool = True) -> Tracker:
    made = Tracker(zone(rest_rejects), SESSION, TimeAxis())
    made.connect(EPOCH)
    return made


def test_ids_are_unique_over_sessions_and_times_follow_from_the_birth() -> None:
    made = tracker()
    part = made.birth(BORN, 3)
    assert part.part_id == SESSION << 32 | 1
    assert (part.deadline_ns - BORN, part.gate_ns - BORN) == (170 * MS, 200 * MS)
    assert made.birth(BORN + 60 * MS, 3).part_id == SESSION << 32 | 2
    assert len(made) == 2 and made.last_id == SESSION << 32 | 2


@pytest.mark.parametrize(("ago_ns", "status"), [(1, AckStatus.ACCEPTED), (0, AckStatus.LATE), (-1, AckStatus.LATE)])
def test_a_release_counts_before_the_deadline_only(ago_ns: int, status: AckStatus) -> None:
    made = tracker()
    part = made.birth(BORN, 0)
    assert made.release(part.part_id, part.deadline_ns - ago_ns, True) is status
    assert made.slots()[0].released is (status is AckStatus.ACCEPTED)


def test_the_first_word_stands() -> None:
    made = tracker()
    part = made.birth(BORN, 0)
    assert made.reject(part.part_id, BORN, Kind.UNKNOWN, Reason.NO_FRAME) is AckStatus.ACCEPTED
    assert made.release(part.part_id, BORN, True) is AckStatus.DUPLICATE
    assert not made.slots()[0].released


def test_a_late_word_is_a_word_too() -> None:
    made = tracker()
    part = made.birth(BORN, 0)
    assert made.release(part.part_id, part.deadline_ns, True) is AckStatus.LATE
    assert made.release(part.part_id, BORN, True) is AckStatus.DUPLICATE


@pytest.mark.parametrize("foreign", [0, 1, SESSION << 32, SESSION << 32 | 2, (SESSION - 1) << 32 | 1])
def test_a_word_for_a_part_that_never_was_moves_nothing(foreign: int) -> None:
    made = tracker()
    made.birth(BORN, 0)
    assert made.release(foreign, BORN, True) is AckStatus.UNKNOWN_PART
    assert made.reject(foreign, BORN, Kind.REJECT, Reason.DEFECT) is AckStatus.UNKNOWN_PART
    assert not any(slot.released for slot in made.slots())


def test_a_part_that_ended_is_too_late_for_words() -> None:
    made = tracker()
    part = made.birth(BORN, 0)
    made.ended(part.gate_ns + 40 * MS, LevelRecord(0, False), 0, False)
    assert made.release(part.part_id, BORN, True) is AckStatus.LATE


def test_parts_of_an_earlier_eye_are_not_the_next_ones_to_release() -> None:
    made = tracker()
    old = made.birth(BORN, 0)
    made.connect(EPOCH + 1)
    new = made.birth(BORN + 60 * MS, 0)
    assert made.release(old.part_id, BORN, True) is AckStatus.NOT_RELEASABLE
    assert made.release(new.part_id, BORN, True) is AckStatus.ACCEPTED


def test_a_release_that_was_accepted_outlives_its_eye_but_not_a_withdrawal() -> None:
    made = tracker()
    part = made.birth(BORN, 0)
    made.release(part.part_id, BORN, True)
    made.connect(0)
    made.connect(EPOCH + 1)
    assert made.slots()[0].released
    made.withdraw(Reason.STATION_STOPPED)
    assert not made.slots()[0].released


def test_touching_parts_are_both_held_back() -> None:
    made = tracker()
    first = made.birth(BORN, 0)
    made.release(first.part_id, BORN, True)
    second = made.birth(BORN + 40 * MS - 1, 0)
    assert not second.releasable and made.touching == 1
    assert made.release(second.part_id, BORN, True) is AckStatus.NOT_RELEASABLE
    assert not any(slot.released for slot in made.slots())
    assert made.birth(BORN + 80 * MS, 0).releasable


@pytest.mark.parametrize("rest_rejects", [True, False])
def test_outcomes_are_judged_by_what_the_gate_did(rest_rejects: bool) -> None:
    made = tracker(rest_rejects)
    good, bad = made.birth(BORN, 0), made.birth(BORN + 60 * MS, 0)
    made.release(good.part_id, BORN, True)
    made.reject(bad.part_id, BORN, Kind.REJECT, Reason.DEFECT)
    levels = LevelRecord(0, False)
    energised = good if rest_rejects else bad
    start_ns = energised.gate_ns - 10 * MS
    levels.changed(start_ns, True)
    levels.changed(start_ns + 40 * MS, False)
    made.served(GateEdge(start_ns, True, (energised.part_id,)), start_ns, start_ns + 7, start_ns + 9)
    events = made.ended(bad.gate_ns + 40 * MS, levels, 123, False)
    assert [event.outcome for event in events] == [GateOutcome.RELEASED, GateOutcome.FIRED]
    served = next(event for event in events if event.part_id == energised.part_id)
    assert (served.planned_ns, served.written_ns, served.confirmed_ns) == (start_ns, start_ns + 7, start_ns + 9)
    assert served.ended_wall_ns == 123
    assert len(made) == 0 and made.ended(10**18, levels, 0, False) == []


def test_a_release_that_found_the_gate_closed_is_late_and_an_unknown_level_is_an_output_error() -> None:
    for levels, reason in ((LevelRecord(0, False), Reason.LATE_WRITE), (LevelRecord(0, None), Reason.OUTPUT_ERROR)):
        made = tracker()
        part = made.birth(BORN, 0)
        made.release(part.part_id, BORN, True)
        event = made.ended(part.gate_ns + 40 * MS, levels, 0, False)[0]
        assert (event.outcome, event.reason, event.verdict) == (GateOutcome.LATE, reason, Kind.PASS)
