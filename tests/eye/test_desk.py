"""A PASS reaches the line only after its commit; whatever else is decided is told at once."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.clock import MS, ManualClock
from edge.errors import JournalError
from edge.eye.desk import Desk
from edge.eye.held import Held
from edge.eye.parts import Settled
from edge.eye.slots import Slots
from edge.health import Health, Level, Progress, Standing
from edge.journal.events import Journal
from edge.journal.reading import left_open, read_notes, read_parts
from edge.journal.rows import Decided, Note
from edge.line.messages import LineState, State
from edge.pairing import View
from edge.records import GateEvent, GateOutcome, Kind, Part, Reason
from edge.report import Counts
from edge.timing import Timing
from tests.journal.records import opened

NOW_NS = 1_000 * MS


class Link:
    """Keeps what is said to the line, in order."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int]] = []

    def release(self, part: Part) -> bool:
        self.said.append(("release", part.part_id))
        return True

    def reject(self, part: Part, kind: Kind, reason: Reason) -> bool:
        self.said.append((f"{kind.name} {reason.name}", part.part_id))
        return True

    def hold(self, cause: str) -> bool:
        self.said.append(("hold " + cause, 0))
        return True

    def acknowledge_outcomes(self, ring_seq: int) -> bool:
        self.said.append(("ack", ring_seq))
        return True


class FailingJournal:
    """A disk that refuses until it is mended, over a real journal."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.broken = False
        self.batches: list[int] = []

    def commit(self, records: Any) -> Any:
        if self.broken:
            raise JournalError("no space left: free some")
        self.batches.append(len(records))
        return self.journal.commit(records)

    def tend(self) -> None:
        self.journal.tend()

    @property
    def shortage(self) -> str:
        return self.journal.shortage


class Office:
    """A desk with the world around it; `commit` does what the journal's thread does."""

    def __init__(self, folder: Path, stops: bool = True) -> None:
        self.folder = folder
        self.clock = ManualClock(NOW_NS)
        self.link = Link()
        self.journal = FailingJournal(opened(folder, self.clock))
        self.counts, self.health = Counts(), Health()
        self.held = Held(folder)
        progress = Progress(self.clock, {"line": MS, "journal": MS})
        slots = [Slots(4)]
        self.desk = Desk(
            self.link,  # type: ignore[arg-type]
            self.journal,  # type: ignore[arg-type]
            {},
            [View("top")],
            slots,
            lambda _job: None,
            self.clock,
            self.counts,
            Timing(),
            self.health,
            progress,
            stops,
            self.held,
            left_open(folder),
        )

    def settle(self, number: int, kind: Kind, reason: Reason = Reason.NONE, releasable: bool = True) -> Part:
        born_ns = self.clock.now_ns()
        part = Part(1 << 32 | number, born_ns, 0, born_ns, born_ns + 200 * MS, born_ns + 300 * MS, 0, 0, releasable)
        self.desk.born(part)
        self.desk.settled(Settled(part, (kind, reason), 0.3, born_ns))
        return part

    def commit(self) -> bool:
        return self.desk.recorder._commit()


@pytest.fixture
def office(tmp_path: Path) -> Any:
    office = Office(tmp_path)
    yield office
    office.journal.journal.close()


def said(office: Office) -> list[str]:
    return [what for what, _ in office.link.said]


def event(part: Part, seq: int, outcome: GateOutcome, verdict: Kind, reason: Reason, wall_ns: int) -> GateEvent:
    return GateEvent(
        seq, part.part_id, part.born_ns, 0, part.deadline_ns, 1, 2, 3, wall_ns, 0, outcome, verdict, reason
    )


def test_a_pass_waits_for_its_commit(office: Office) -> None:
    part = office.settle(1, Kind.PASS)
    assert said(office) == []
    assert office.commit()
    assert office.link.said == [("release", part.part_id)]
    (row,) = read_parts(office.folder)
    assert row.decided is not None and row.decided.verdict.kind is Kind.PASS


def test_a_reject_does_not_wait_for_the_disk(office: Office) -> None:
    office.journal.broken = True
    office.settle(1, Kind.REJECT, Reason.DEFECT)
    office.settle(2, Kind.UNKNOWN, Reason.NO_FRAME)
    assert said(office) == ["REJECT DEFECT", "UNKNOWN NO_FRAME"]


def test_a_part_whose_verdict_is_on_record_already_is_not_released_again(office: Office) -> None:
    office.settle(1, Kind.REJECT, Reason.DEFECT)
    office.commit()
    office.settle(1, Kind.PASS)
    office.commit()
    assert said(office) == ["REJECT DEFECT"], "a part id came back, as after its ring was deleted"


def test_a_failing_disk_releases_nobody_and_loses_nothing(office: Office) -> None:
    office.journal.broken = True
    office.settle(1, Kind.PASS)
    assert not office.commit()
    assert said(office) == [] and office.health.standing.level is Level.NOT_READY
    office.settle(2, Kind.PASS)
    assert said(office) == ["UNKNOWN JOURNAL"], "it could not be on record in time"
    office.journal.broken = False
    assert office.commit()
    assert office.journal.batches == [2], "what came together is committed together"
    assert said(office) == ["UNKNOWN JOURNAL", "release"] and office.health.is_ready
    office.settle(3, Kind.PASS)
    office.commit()
    assert said(office)[-1] == "release"
    assert len(read_parts(office.folder)) == 3


def test_a_disk_that_may_fail_keeps_the_station_ready(tmp_path: Path) -> None:
    office = Office(tmp_path, stops=False)
    office.journal.broken = True
    office.settle(1, Kind.PASS)
    assert not office.commit()
    assert said(office) == [] and office.health.is_ready
    assert not office.desk.recorder.finish(patience_ns=300 * MS) and office.desk.recorder.lost == 1
    office.journal.journal.close()


def test_a_verdict_after_the_deadline_is_unknown_and_late(office: Office) -> None:
    born_ns = office.clock.now_ns()
    part = Part(1 << 32 | 1, born_ns, 0, born_ns, born_ns + 20 * MS, born_ns + 30 * MS)
    office.desk.born(part)
    office.clock.advance(20 * MS)
    office.desk.settled(Settled(part, (Kind.PASS, Reason.NONE), 0.1, born_ns))
    assert said(office) == ["UNKNOWN LATE"]


def test_a_part_of_the_purge_is_never_released(office: Office) -> None:
    office.settle(1, Kind.PASS, releasable=False)
    office.commit()
    assert said(office) == []
    (row,) = read_parts(office.folder)
    assert row.decided is not None and row.decided.verdict.reason is Reason.PURGE


def test_outcomes_are_acknowledged_after_their_commit_and_counted(office: Office) -> None:
    part = office.settle(1, Kind.PASS)
    office.desk.ended(event(part, 7, GateOutcome.RELEASED, Kind.PASS, Reason.NONE, office.clock.wall_ns()))
    assert ("ack", 7) not in office.link.said
    office.commit()
    assert office.link.said[-1] == ("ack", 7)
    assert office.counts.verdicts[Kind.PASS] == 1 and office.counts.met == 1


def test_a_pass_that_did_not_open_the_gate_passed_nobody(office: Office) -> None:
    part = office.settle(1, Kind.PASS)
    office.desk.ended(event(part, 1, GateOutcome.FIRED, Kind.PASS, Reason.TOUCHING, office.clock.wall_ns()))
    assert office.counts.verdicts[Kind.UNKNOWN] == 1 and office.counts.reasons[Reason.TOUCHING] == 1


def test_outcomes_of_an_earlier_eye_are_recorded_but_not_counted(office: Office) -> None:
    part = office.settle(1, Kind.PASS)
    old_ns = office.clock.wall_ns() - 1
    office.desk.ended(event(part, 1, GateOutcome.RELEASED, Kind.PASS, Reason.NONE, old_ns))
    office.commit()
    assert office.counts.parts == 0
    assert read_parts(office.folder)[0].outcome is not None


def state(line: LineState, session: int = 1, cause: bytes = b"") -> State:
    return State(line, True, 1, bytes(8), session, 1, cause)


def test_parts_are_counted_and_told_on_when_the_wall_clock_is_set_back(office: Office) -> None:
    told: list[int] = []
    office.desk.tell(lambda event, *_: told.append(event.part_id))
    office.desk.line_state(state(LineState.READY))
    part = office.settle(1, Kind.PASS)
    an_hour_before_ns = office.clock.wall_ns() - 3_600_000 * MS
    office.desk.ended(event(part, 1, GateOutcome.RELEASED, Kind.PASS, Reason.NONE, an_hour_before_ns))
    assert office.counts.parts == 1 and told == [part.part_id]


def test_the_parts_of_a_dead_line_end_as_lost(office: Office) -> None:
    office.desk.line_state(state(LineState.READY, session=1))
    office.settle(1, Kind.PASS)
    office.desk.line_away("the line process ended")
    assert office.desk.standing().level is Level.NOT_READY
    office.desk.line_state(state(LineState.PURGING, session=2))
    office.commit()
    (row,) = read_parts(office.folder)
    assert row.outcome is not None and row.outcome.reason is Reason.LINE_LOST
    assert office.counts.outcomes[GateOutcome.LATE] == 1


def test_what_an_earlier_run_left_open_is_closed_unless_the_ring_knows_better(tmp_path: Path) -> None:
    before = Office(tmp_path)
    known, lost = before.settle(1, Kind.REJECT, Reason.DEFECT), before.settle(2, Kind.REJECT, Reason.DEFECT)
    ended = before.settle(3, Kind.REJECT, Reason.DEFECT)
    before.desk.ended(event(ended, 1, GateOutcome.FIRED, Kind.REJECT, Reason.DEFECT, 1))
    before.commit()
    before.journal.journal.close()
    assert [part.part_id for part in left_open(tmp_path)] == [known.part_id, lost.part_id]
    office = Office(tmp_path)
    office.desk.ended(event(known, 2, GateOutcome.FIRED, Kind.REJECT, Reason.DEFECT, 1))
    office.desk.line_state(state(LineState.PURGING, session=2))
    office.commit()
    reasons = [row.outcome.reason for row in read_parts(tmp_path) if row.outcome]
    assert reasons == [Reason.DEFECT, Reason.LINE_LOST, Reason.DEFECT]
    assert office.counts.parts == 0 and left_open(tmp_path) == []
    office.journal.journal.close()


def test_a_stopped_line_is_the_stations_state_with_its_cause(office: Office) -> None:
    office.desk.line_state(state(LineState.READY))
    assert office.desk.stopped_by == ""
    office.desk.line_state(state(LineState.STOPPED, cause=b"10 rejects in a row"))
    assert office.desk.standing() == Standing(Level.STOPPED, "10 rejects in a row")
    assert office.desk.stopped_by == "10 rejects in a row"


def test_a_line_that_failed_is_a_fault_of_the_station_until_it_is_mended(office: Office) -> None:
    office.desk.line_state(state(LineState.FAULT, cause=b"gate failed: broken"))
    assert office.desk.standing() == Standing(Level.FAULT, "gate failed: broken")
    office.desk.line_state(state(LineState.READY))
    assert office.desk.standing() == Standing(Level.READY, "")


def test_the_desk_knows_the_recipe_that_the_line_has_in_force(office: Office) -> None:
    assert office.desk.recipe is None
    office.desk.line_state(replace(state(LineState.READY), recipe=2))
    assert office.desk.recipe == 2
    office.desk.line_away("the line process ended")
    assert office.desk.recipe is None


def test_a_stop_outlives_crashes_of_line_and_eye_until_it_is_acknowledged(office: Office) -> None:
    office.desk.line_state(state(LineState.STOPPED, cause=b"10 rejects in a row"))
    office.commit()
    assert Held(office.folder).cause == "10 rejects in a row", "on the disk"
    office.desk.line_away("the line process ended")
    office.desk.line_state(state(LineState.STARTING, session=2))
    assert said(office) == []
    office.desk.line_state(state(LineState.PURGING, session=2))
    assert said(office) == ["hold 10 rejects in a row"]
    office.desk.line_state(state(LineState.STOPPED, session=2, cause=b"10 rejects in a row"))
    office.held.acknowledge()
    office.desk.line_state(
        state(LineState.STOPPED, session=2, cause=b"10 rejects in a row")
    )  # said before it heard
    office.desk.line_state(state(LineState.PURGING, session=2))
    office.commit()
    assert said(office) == ["hold 10 rejects in a row"] and Held(office.folder).cause == ""


def test_a_stop_is_kept_in_memory_where_it_ends_the_run(tmp_path: Path) -> None:
    held = Held(None)
    held.stopped("")
    held.keep()
    assert held.cause == "a limit"
    held.acknowledge()
    assert held.cause == "" and list(tmp_path.iterdir()) == []


def test_a_disk_that_does_not_keep_the_stop_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    held = Held(tmp_path / "nowhere")
    held.stopped("10 rejects in a row")
    held.keep()
    assert "check the disk" in caplog.text and held.cause == "10 rejects in a row"


def test_a_kept_stop_that_cannot_be_read_is_a_stop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "stopped").mkdir()
    assert Held(tmp_path).cause == "a limit"
    assert "Is a directory; the line is taken to be stopped" in caplog.text


def test_a_bypass_is_shown_before_what_it_makes_no_matter_and_its_end_is_on_record(office: Office) -> None:
    office.health.report("camera top", Level.NOT_READY, "camera top is away")
    bypassed = replace(state(LineState.BYPASSED), bypass_until_ns=NOW_NS + 90_000 * MS)
    office.desk.line_state(bypassed)
    standing = office.desk.standing()
    assert standing.level is Level.BYPASSED
    assert "uninspected until " in standing.cause and standing.cause.endswith("camera top is away")
    office.desk.line_state(state(LineState.READY))
    assert office.desk.standing().level is Level.NOT_READY
    office.commit()
    assert ("bypass", "over") in [(note.kind, note.words) for note in read_notes(office.folder)]


def test_what_waits_for_a_note_comes_after_its_commit(office: Office) -> None:
    done: list[str] = []
    office.journal.broken = True
    office.desk.note("acknowledge", "because", lambda: done.append("first"))
    office.desk.note("acknowledge", "because", lambda: done.append("second"))
    office.commit()
    assert done == []
    office.journal.broken = False
    office.commit()
    assert done == ["first", "second"]


def test_a_replay_may_start_once_the_line_is_ready(office: Office) -> None:
    office.desk.line_state(state(LineState.PURGING))
    assert not office.desk.may_start.is_set() and office.desk.ready_ns is None
    office.desk.line_state(state(LineState.READY))
    assert office.desk.may_start.is_set() and office.desk.ready_ns == NOW_NS


def test_the_recorder_commits_in_its_thread(office: Office) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=office.desk.recorder.run, args=(stop,))
    thread.start()
    office.desk.recorder.put(Note(1, "start", "words"))
    part = office.settle(1, Kind.PASS)
    while ("release", part.part_id) not in office.link.said:
        thread.join(0.01)
    stop.set()
    thread.join()
    assert office.counts.committed == 2


def test_a_decision_knows_its_part(office: Office) -> None:
    part = office.settle(1, Kind.REJECT, Reason.DEFECT)
    office.commit()
    (row,) = read_parts(office.folder)
    assert row.decided == Decided(part, row.decided.verdict)  # type: ignore[union-attr]
