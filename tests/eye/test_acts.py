"""What a person does is in the journal before it acts, says who, and is refused with its reason where it may not be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.clock import MS, SECOND
from edge.control import (
    MAX_BYTES,
    Acknowledge,
    Answer,
    AskBypass,
    AskFigures,
    AskStatus,
    BeginChallenge,
    ChangeBundle,
    Done,
    EndBypass,
    Figures,
    MoveThreshold,
    NoteAccess,
    NoteThreshold,
    Refused,
    Request,
    SealChallenge,
    Sealed,
    SetLot,
    Status,
    TellOutbox,
    packed,
)
from edge.eye.acts import ACCESS_A_MINUTE, ACTS_A_MINUTE, Acts, RecordedAct
from edge.eye.bundle_changes import BundleChanges
from edge.eye.current_lot import CurrentLot
from edge.eye.reception import Peer
from edge.eye.shown import Shown
from edge.eye.supervision import Supervision
from edge.health import Level
from edge.journal.lots import LotsOfParts, named_lot
from edge.journal.reading import read_notes
from edge.line.messages import LineState, State
from edge.outbox.options import Mqtt
from edge.records import GateOutcome, Kind, Reason
from edge.station import Limits, Station
from edge.timing import Timing
from tests.eye.test_desk import NOW_NS, Office, event
from tests.line.lines import station_file

ANNA = Peer(4_242, 4_000_000_000, frozenset({100}))
KERNEL = "uid 4000000000"


class Line:
    """What the line is told; `hears` False: it has just gone away."""

    def __init__(self) -> None:
        self.said: list[object] = []
        self.hears = True

    def clear_stop(self) -> bool:
        self.said.append("clear")
        return self.hears

    def bypass(self, for_ns: int) -> bool:
        self.said.append(for_ns)
        return self.hears


class Counter:
    """The acts of a station whose line and disk are in the test's hand."""

    def __init__(self, folder: Path, bypass_max_min: float = 10) -> None:
        self.office = Office(folder / "journal")
        self.line = Line()
        self.key = Ed25519PrivateKey.generate()
        station = station_file(folder, gate='kind = "memory"', permit='kind = "memory"')
        self.station: Station = station.model_copy(update={"limits": Limits(bypass_max_min=bypass_max_min)})
        self.changes = BundleChanges(self.station, self.office.clock, self.office.desk.note, {})
        self.acts = self.acts_of(self.station)

    def acts_of(self, station: Station) -> Acts:
        office = self.office
        return Acts(
            station, office.clock, self.line, office.desk, office.counts, office.held, self.key,
            Supervision(station, office.desk, {}, list, office.clock), Timing(), str, {}, self.changes,
            Shown(station.station.run_dir, ["top"], office.clock), CurrentLot(""),
        )  # type: ignore[arg-type]  # fmt: skip

    def line_is(self, state: LineState, cause: bytes = b"", bypass_until_ns: int = 0) -> None:
        self.office.desk.line_state(State(state, True, 1, bytes(8), 1, 1, cause, bypass_until_ns))

    def ask(self, request: Request) -> Answer:
        """The answer, once the disk has what it takes."""
        answer = self.acts.ask(request, ANNA)
        if isinstance(answer, RecordedAct):
            assert answer.answer is None and self.line.said == [], (
                "nothing happens before the record is on the disk"
            )
            self.office.commit()
            assert answer.answer is not None
            return answer.answer
        return answer

    def status(self) -> Status:
        status = self.ask(AskStatus())
        assert isinstance(status, Status)
        return status

    def notes(self, kind: str) -> list[str]:
        self.office.commit()
        return [note.words for note in read_notes(self.office.folder) if note.kind == kind]


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Counter]:
    counter = Counter(tmp_path)
    yield counter
    counter.office.journal.journal.close()


@pytest.mark.parametrize("state", [LineState.STOPPED, LineState.FAULT])
def test_an_acknowledgement_says_who_and_why_and_what_of(counter: Counter, state: LineState) -> None:
    counter.line_is(LineState.STOPPED, b"10 rejects in a row")
    counter.line_is(state, b"10 rejects in a row")
    answer = counter.ask(Acknowledge(why="nozzle cleaned", who="Anna Berg"))
    assert answer == Done(words="acknowledged: 10 rejects in a row", by=f"{KERNEL} as 'Anna Berg'")
    assert counter.line.said == ["clear"] and counter.office.held.cause == ""
    assert counter.notes("acknowledge") == [f"'10 rejects in a row' by {KERNEL} as 'Anna Berg': nozzle cleaned"]


def test_without_a_name_the_kernels_name_stands_alone(counter: Counter) -> None:
    counter.line_is(LineState.STOPPED, b"10 rejects in a row")
    answer = counter.ask(Acknowledge(why="looked"))
    assert isinstance(answer, Done) and answer.by == KERNEL


@pytest.mark.parametrize("state", sorted(set(LineState) - {LineState.STOPPED, LineState.FAULT}))
def test_where_nothing_is_stopped_there_is_nothing_to_acknowledge(counter: Counter, state: LineState) -> None:
    counter.line_is(state)
    answer = counter.ask(Acknowledge(why="to be sure"))
    assert isinstance(answer, Refused) and state.name in answer.words
    assert counter.line.said == [] and counter.notes("acknowledge") == []


def test_what_cannot_be_recorded_is_not_done_even_when_the_disk_comes_back(counter: Counter) -> None:
    counter.line_is(LineState.STOPPED, b"10 rejects in a row")
    counter.office.journal.broken = True
    act = counter.acts.ask(Acknowledge(why="looked"), ANNA)
    assert isinstance(act, RecordedAct)
    counter.office.commit()
    assert act.answer is None
    assert isinstance(act.give_up("the disk is slow"), Refused)
    counter.office.journal.broken = False
    notes = counter.notes("acknowledge")
    assert counter.line.said == [] and len(notes) == 2 and notes[1] == "not done: the disk is slow"


def test_what_is_done_cannot_be_given_up(counter: Counter) -> None:
    counter.line_is(LineState.STOPPED, b"10 rejects in a row")
    act = counter.acts.ask(Acknowledge(why="looked"), ANNA)
    assert isinstance(act, RecordedAct)
    counter.office.commit()
    assert isinstance(act.give_up("too late"), Done)
    assert counter.notes("acknowledge")[1:] == []


def test_a_line_that_has_just_gone_away_is_told(counter: Counter) -> None:
    counter.line_is(LineState.STOPPED, b"10 rejects in a row")
    counter.line.hears = False
    answer = counter.ask(Acknowledge(why="looked"))
    assert isinstance(answer, Refused) and "gone away" in answer.words
    assert counter.notes("acknowledge")[-1].startswith("not done")
    assert counter.office.held.cause == "10 rejects in a row", "the next line is stopped until somebody looks"


def test_without_a_line_there_is_nobody_to_tell(counter: Counter) -> None:
    counter.office.desk.line_away("the line process starts")
    for request in (Acknowledge(why="x"), AskBypass(for_s=60, why="x"), EndBypass(why="x")):
        assert isinstance(counter.ask(request), Refused)
    assert counter.line.said == []


@pytest.mark.parametrize("state", [LineState.READY, LineState.PURGING, LineState.BYPASSED])
def test_a_bypass_is_recorded_with_its_length_before_it_acts(counter: Counter, state: LineState) -> None:
    counter.line_is(state)
    answer = counter.ask(AskBypass(for_s=600, why="camera is cleaned"))
    assert answer == Done(words="parts pass uninspected for 10 min", by=KERNEL)
    assert counter.line.said == [600 * SECOND]
    assert counter.notes("bypass")[0] == f"for 10 min by {KERNEL}: camera is cleaned"


def test_parts_that_are_born_after_a_lot_was_named_are_of_it(counter: Counter) -> None:
    counter.office.settle(1, Kind.PASS)
    answer = counter.ask(SetLot(lot='4712 "b"', who="Anna"))
    assert answer == Done(words="parts from 1-2 on are of lot '4712 \"b\"'", by=f"{KERNEL} as 'Anna'")
    (words,) = counter.notes("lot")
    assert words.endswith(f"by {KERNEL} as 'Anna'")
    lots = LotsOfParts([named_lot(words)])
    assert [lots.lot_of(1 << 32 | number) for number in (1, 2)] == ["", '4712 "b"']
    assert counter.status().lot == '4712 "b"'


def test_a_lot_that_came_to_the_disk_too_late_is_put_back(counter: Counter) -> None:
    counter.ask(SetLot(lot="4711"))
    counter.office.journal.broken = True
    act = counter.acts.ask(SetLot(lot="4712"), ANNA)
    assert isinstance(act, RecordedAct)
    second = counter.ask(SetLot(lot="4713"))
    assert isinstance(second, Refused) and "ask again" in second.words
    assert isinstance(act.give_up("the disk is slow"), Refused)
    counter.office.journal.broken = False
    notes = counter.notes("lot")
    assert len(notes) == 3 and "not done: the disk is slow" in notes[2]
    assert LotsOfParts([named_lot(words) for words in notes]).now == counter.status().lot == "4711"


def test_a_bypass_is_ended(counter: Counter) -> None:
    counter.line_is(LineState.READY)
    assert isinstance(counter.ask(EndBypass(why="done")), Refused)
    counter.line_is(LineState.BYPASSED, bypass_until_ns=NOW_NS + SECOND)
    assert counter.ask(EndBypass(why="done")) == Done(words="the bypass is over", by=KERNEL)
    assert counter.line.said == [0]


@pytest.mark.parametrize("state", [LineState.STOPPED, LineState.FAULT, LineState.STARTING, LineState.STOPPING])
def test_a_bypass_needs_a_line_that_runs(counter: Counter, state: LineState) -> None:
    counter.line_is(state, b"10 rejects in a row")
    answer = counter.ask(AskBypass(for_s=60, why="x"))
    assert isinstance(answer, Refused) and state.name in answer.words


def test_a_bypass_is_no_longer_than_the_station_allows(counter: Counter, tmp_path: Path) -> None:
    counter.line_is(LineState.READY)
    answer = counter.ask(AskBypass(for_s=600.5, why="x"))
    assert isinstance(answer, Refused) and "10 min at most" in answer.words
    for changed in (
        {"limits": Limits()},
        {"station": counter.station.station.model_copy(update={"mode": "shadow"})},
    ):
        counter.acts = counter.acts_of(counter.station.model_copy(update=changed))
        assert isinstance(counter.ask(AskBypass(for_s=1, why="x")), Refused)
    assert counter.line.said == [] and counter.notes("bypass") == []


def test_nobody_fills_the_journal(counter: Counter) -> None:
    counter.line_is(LineState.READY)
    for _ in range(ACTS_A_MINUTE):
        counter.ask(BeginChallenge())
    answer = counter.ask(BeginChallenge())
    assert isinstance(answer, Refused) and "wait" in answer.words
    assert isinstance(counter.ask(AskStatus()), Status), "looking is free"
    counter.office.clock.advance(60 * SECOND)
    assert isinstance(counter.ask(BeginChallenge()), Done)
    assert len(counter.notes("challenge")) == ACTS_A_MINUTE + 1


def test_a_sealed_report_is_in_the_journal_and_signed_by_the_device(counter: Counter) -> None:
    sealed = counter.ask(SealChallenge(result="passed", sha256="a" * 64, who="Anna"))
    assert isinstance(sealed, Sealed)
    assert sealed.public_key == counter.key.public_key().public_bytes_raw().hex()
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(sealed.public_key))
    key.verify(bytes.fromhex(sealed.signature), sealed.statement.signed_bytes())
    assert sealed.statement.report_sha256 == "a" * 64 and sealed.statement.by == f"{KERNEL} as 'Anna'"
    assert counter.notes("challenge") == [f"passed by {KERNEL} as 'Anna', report sha256 {'a' * 64}"]


def test_the_status_is_what_the_station_is_doing(counter: Counter) -> None:
    part = counter.office.settle(1, Kind.REJECT, Reason.DEFECT)
    now_wall_ns = counter.office.clock.wall_ns()
    counter.office.desk.ended(event(part, 1, GateOutcome.FIRED, Kind.REJECT, Reason.DEFECT, now_wall_ns))
    counter.line_is(LineState.BYPASSED, bypass_until_ns=NOW_NS + 1_500 * MS)
    status = counter.ask(AskStatus())
    assert isinstance(status, Status)
    assert (status.station, status.level, status.line, status.permit) == ("test", "BYPASSED", "BYPASSED", True)
    assert status.bypass_left_s == 1.5 and not status.can_acknowledge
    assert (status.parts, status.verdicts["reject"], status.outcomes["fired"]) == (1, 1, 1)
    assert (status.product, status.recipe) == ("p", 0)
    counter.line_is(LineState.STOPPED, b"10 rejects in a row")
    status = counter.ask(AskStatus())
    assert isinstance(status, Status)
    assert status.can_acknowledge and status.cause == "10 rejects in a row" and status.bypass_left_s == 0


def test_a_cause_that_is_no_text_is_told_all_the_same(counter: Counter) -> None:
    counter.office.health.report("camera top", Level.NOT_READY, "cannot open \udcff: " + "x" * 10_000)
    status = counter.ask(AskStatus())
    assert isinstance(status, Status) and len(packed(status)) < MAX_BYTES
    assert status.cause.startswith("cannot open ?: xxx")


def test_who_signs_in_is_noted_and_takes_no_act_from_anybody(counter: Counter) -> None:
    for number in range(ACCESS_A_MINUTE):
        assert isinstance(counter.ask(NoteAccess(words=f"anna signed in, {number}")), Done)
    refused = counter.ask(NoteAccess(words="once more"))
    assert isinstance(refused, Refused) and "in a minute" in refused.words
    assert counter.notes("access")[0] == f"anna signed in, 0; told by {KERNEL}"
    counter.office.clock.sleep_until(counter.office.clock.now_ns() + 59 * SECOND)
    counter.line_is(LineState.STOPPED, b"10 rejects in a row")
    assert isinstance(counter.ask(Acknowledge(why="looked")), Done), "a flood of logins keeps nobody from acting"
    counter.line.said.clear()
    counter.office.clock.sleep_until(counter.office.clock.now_ns() + SECOND)
    assert isinstance(counter.ask(NoteAccess(words="once more")), Done)


def test_a_threshold_that_is_moved_is_on_record_before_the_answer(counter: Counter) -> None:
    request = NoteThreshold(words="cap-a: from 0.5 to 0.42", why="for grey parts", who="Erna")
    act = counter.acts.ask(request, ANNA)
    assert isinstance(act, RecordedAct) and act.answer is None
    counter.office.commit()
    assert isinstance(act.answer, Done) and act.answer.by == f"{KERNEL} as 'Erna'"
    assert counter.notes("threshold") == [f"cap-a: from 0.5 to 0.42; by {KERNEL} as 'Erna': for grey parts"]


def test_a_bundle_is_changed_once_it_is_on_record_and_one_at_a_time(counter: Counter) -> None:
    request = ChangeBundle(product="cap-a", version=2, why="less overkill", who="Erna")
    act = counter.acts.ask(request, ANNA)
    assert isinstance(act, RecordedAct) and not counter.changes.is_busy
    counter.office.commit()
    assert isinstance(act.answer, Done) and counter.changes.is_busy
    words = f"cap-a version 2 is to be active, asked by {KERNEL} as 'Erna': less overkill"
    assert counter.notes("bundle") == [words]
    second = counter.ask(request)
    assert isinstance(second, Refused) and "another bundle" in second.words
    moved = counter.ask(MoveThreshold(product="cap-a", value=0.4, why="x", who="Erna"))
    assert isinstance(moved, Refused) and "another bundle or threshold" in moved.words


@pytest.mark.parametrize(("value", "words"), [(0.42, "0.42"), (None, "the bundle's own")])
def test_a_threshold_is_moved_once_it_is_on_record(counter: Counter, value: float | None, words: str) -> None:
    act = counter.acts.ask(MoveThreshold(product="cap-a", value=value, why="grey parts", who="Erna"), ANNA)
    assert isinstance(act, RecordedAct) and not counter.changes.is_busy
    counter.office.commit()
    assert isinstance(act.answer, Done) and counter.changes.is_busy
    assert counter.notes("threshold") == [
        f"the threshold of cap-a is to be {words}, asked by {KERNEL} as 'Erna': grey parts"
    ]


def test_the_figures_say_what_the_outbox_told_and_how_long_ago(counter: Counter) -> None:
    def told() -> tuple[int, int, float | None]:
        figures = counter.ask(AskFigures())
        assert isinstance(figures, Figures)
        return figures.outbox_waiting, figures.outbox_dropped, figures.outbox_silent_s

    assert told() == (0, 0, None), "a station without [mqtt]"
    station = counter.station.model_copy(update={"mqtt": Mqtt(host="192.0.2.30")})
    counter.acts = counter.acts_of(station)
    counter.office.clock.advance(5 * SECOND)
    assert told() == (0, 0, 5.0), "nobody has told yet"
    assert isinstance(counter.ask(TellOutbox(waiting=12, dropped=3)), Status)
    counter.office.clock.advance(2 * SECOND)
    assert told() == (12, 3, 2.0)
