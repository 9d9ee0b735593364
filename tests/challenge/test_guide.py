"""The guide of the challenge test beside a station in the test's hand: a person who ends or hesitates hides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.challenge.guide import Guide
from edge.challenge.person import Aborted
from edge.challenge.plan import FailSafe, Pieces, Step
from edge.challenge.report import Report
from edge.clock import SECOND, ManualClock
from edge.control import Done, Sealed, Statement, Status
from edge.errors import RefusedError
from edge.journal.rows import Decided
from edge.records import GateEvent, GateOutcome, Kind, Part, Reason, Verdict
from edge.station import Station
from tests.challenge.test_judge import status
from tests.journal.records import opened
from tests.line.lines import station_file

MEMORY = Pieces("memory test", "send it", 1, Kind.REJECT)
COVERED = FailSafe("camera covered", "cover it", "uncover it", reject_is_enough=True)


class After(ManualClock):
    """Does one of `acts` at each sleep."""

    def __init__(self, now_ns: int) -> None:
        super().__init__(now_ns)
        self.acts: list[Callable[[], object]] = []

    def sleep_until(self, at_ns: int) -> None:
        super().sleep_until(at_ns)
        if self.acts:
            self.acts.pop(0)()


class Bench:
    """A station, its journal and a person; `script` says what each question brings: words, an act, or the end."""

    def __init__(self, folder: Path) -> None:
        self.clock = After(10 * SECOND)
        self.station: Station = station_file(folder, gate='kind = "memory"', permit='kind = "memory"')
        journal = self.station.journal.model_copy(update={"dir": folder / "journal"})
        self.station = self.station.model_copy(update={"journal": journal})
        self.journal = opened(folder / "journal", self.clock)
        self.status_ = status()
        self.acknowledged: list[str] = []
        self.sealed: list[str] = []
        self.said: list[str] = []
        self.script: list[Callable[[], str]] = []
        self._number = 0

    # what the guide asks of Control

    def status(self) -> Status:
        return self.status_

    def begin_challenge(self, who: str) -> Done:
        return Done(words="begins", by=who)

    def acknowledge(self, why: str, who: str) -> Done:
        self.acknowledged.append(why)
        return Done(words="acknowledged", by=who)

    def seal_challenge(self, result: str, sha256: str, who: str) -> Sealed:
        self.sealed.append(result)
        statement = Statement(station="test", result=result, report_sha256=sha256, by=who, wall_ns=1)
        return Sealed(statement=statement, public_key="", signature="")

    # what it asks of the person

    def ask(self, words: str) -> str:
        self.said.append(words)
        return self.script.pop(0)()

    def tell(self, words: str) -> None:
        self.said.append(words)

    # what happens

    def part(self, outcome: GateOutcome, verdict: Kind, reason: Reason) -> None:
        self.clock.advance(SECOND // 10)
        self._number += 1
        part_id, now_ns = 1 << 32 | self._number, self.clock.now_ns()
        part = Part(part_id, now_ns, 0, now_ns, now_ns + 1, now_ns + 2)
        event = GateEvent(
            self._number, part_id, now_ns, 0, now_ns + 1, now_ns + 2, now_ns + 2, 0, 1, 0, outcome, verdict, reason
        )
        self.journal.commit([Decided(part, Verdict(part_id, verdict, reason, 0.9, 0.5, "ab" * 32, now_ns)), event])

    def rejected(self) -> str:
        self.part(GateOutcome.FIRED, Kind.REJECT, Reason.DEFECT)
        return ""

    def passed(self) -> str:
        self.part(GateOutcome.RELEASED, Kind.PASS, Reason.NONE)
        return ""

    def conduct(self, *steps: Step) -> Report:
        guide = Guide(self.station, self, self, self.clock, 60 * SECOND)  # type: ignore[arg-type]
        return guide.conduct(steps, "Anna").report


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.passed()  # the journal of an earlier hour
    yield bench
    bench.journal.close()


def changed(before: Status, **changes: object) -> Status:
    return before.model_copy(update=changes)


def goes_on() -> str:
    return ""


def ends() -> str:
    raise Aborted


def later(bench: Bench, *acts: Callable[[], object]) -> Callable[[], str]:
    """The person goes on, and then this happens, one thing a look."""

    def go_on() -> str:
        bench.clock.acts = list(acts)
        return ""

    return go_on


def test_a_part_that_was_born_before_the_person_went_on_does_not_count(bench: Bench) -> None:
    bench.script = [later(bench, bench.passed)]
    bench.rejected()
    report = bench.conduct(MEMORY)
    assert report.result == "failed" and report.steps[0].parts[0].verdict == "PASS"
    assert bench.sealed == ["failed"]


def test_nothing_in_time_is_failed(bench: Bench) -> None:
    bench.script = [goes_on]
    report = bench.conduct(MEMORY)
    assert report.result == "failed" and report.steps[0].words.startswith("0 of 1 parts came in time")
    assert bench.clock.now_ns() >= 60 * SECOND


def test_a_failure_stays_found_though_the_person_ends_the_test(bench: Bench) -> None:
    bench.script = [later(bench, bench.passed), ends]
    report = bench.conduct(COVERED, MEMORY)
    assert [step.result for step in report.steps] == ["failed", "not done"] and report.result == "failed"
    assert report.steps[0].parts[0].outcome == "RELEASED"


def test_a_step_that_is_not_undone_is_not_passed(bench: Bench) -> None:
    bench.script = [later(bench, bench.rejected), ends]
    report = bench.conduct(COVERED)
    assert report.steps[0].result == "not done" and report.result == "incomplete"


def test_an_interrupt_while_parts_are_waited_for_ends_the_test_with_a_report(bench: Bench) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    bench.script = [later(bench, interrupt)]
    report = bench.conduct(MEMORY, MEMORY)
    assert [step.result for step in report.steps] == ["failed", "not done"]


def test_a_stop_is_acknowledged_once_the_person_has_looked(bench: Bench) -> None:
    stopped = changed(status("STOPPED", "3 rejects in a row"), can_acknowledge=True)

    def ready() -> None:
        bench.status_ = status()

    bench.status_ = stopped
    bench.script = [later(bench, ready), later(bench, bench.rejected)]
    report = bench.conduct(MEMORY)
    assert report.result == "passed" and bench.acknowledged == ["challenge test, memory test"]
    assert any("3 rejects in a row. Look at the line" in words for words in bench.said)


def test_a_stop_that_the_person_does_not_acknowledge_fails_the_step(bench: Bench) -> None:
    bench.status_ = changed(status("STOPPED", "3 rejects in a row"), can_acknowledge=True)
    bench.script = [lambda: "nobody is here"]
    report = bench.conduct(MEMORY)
    assert report.steps[0].result == "failed" and "not acknowledged: nobody is here" in report.steps[0].words
    assert bench.acknowledged == []


def test_a_fault_that_stays_is_not_acknowledged_in_every_round(bench: Bench) -> None:
    def fails() -> None:
        bench.status_ = changed(status("NOT_READY", "gate failed"), can_acknowledge=True)

    bench.script = [later(bench, fails), goes_on]
    report = bench.conduct(COVERED)
    assert report.steps[0].result == "failed" and "did not become READY" in report.steps[0].words
    assert 2 <= len(bench.acknowledged) <= 13


def test_a_station_that_rejects_nothing_is_not_tested(bench: Bench) -> None:
    for wrong in ({"mode": "shadow"}, {"bypass_left_s": 5.0}):
        bench.status_ = changed(status(), **wrong)
        with pytest.raises(RefusedError):
            bench.conduct(MEMORY)
    assert bench.sealed == []
