"""A step of the challenge test is passed by what the journal says of its parts, and by nothing else."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from pathlib import Path

import pytest

from edge.challenge.judge import judge
from edge.challenge.plan import FailSafe, Pieces, not_watched, plan
from edge.control import Status
from edge.errors import ConfigError
from edge.journal.rows import Decided, PartRow
from edge.options import ModbusInput
from edge.records import GateEvent, GateOutcome, Kind, Part, Reason, Sensed, Verdict
from edge.station import Confirm, Interlock, Limits, SecondEye
from tests.line.lines import station_file

BAD = Pieces("memory test", "three bad ones", 3, Kind.REJECT)
GOOD = Pieces("good parts", "one good one", 1, Kind.PASS)
COVERED = FailSafe("camera covered", "cover it", "uncover it", reject_is_enough=True)
NO_AIR = FailSafe("air pressure", "close the air", "open it", reject_is_enough=False)


def row(
    number: int,
    outcome: GateOutcome | None,
    verdict: Kind,
    reason: Reason,
    sensed: Sensed = Sensed.UNWATCHED,
    shadow: bool = False,
) -> PartRow:
    part_id = 1 << 32 | number
    part = Part(part_id, 10, 0, 10, 20, 30)
    decided = Decided(part, Verdict(part_id, verdict, reason, 0.75, 0.5, "ab", 15))
    if outcome is None:
        return PartRow(part_id, decided, None)
    event = GateEvent(1, part_id, 10, 0, 20, 30, 31, 0, 40, 0, outcome, verdict, reason, shadow, sensed)
    return PartRow(part_id, decided, event)


def rejected(number: int, **more: object) -> PartRow:
    return row(number, GateOutcome.FIRED, Kind.REJECT, Reason.DEFECT, **more)  # type: ignore[arg-type]


def passed(number: int) -> PartRow:
    return row(number, GateOutcome.RELEASED, Kind.PASS, Reason.NONE)


def status(level: str = "READY", cause: str = "") -> Status:
    return Status(
        station="s",
        mode="inspect",
        level=level,
        cause=cause,
        line=level,
        permit=True,
        can_acknowledge=False,
        product="p",
        recipe=0,
        bypass_left_s=0.0,
        parts=0,
        verdicts={},
        outcomes={},
        bypassed=0,
        turned_away=0,
        malformed=0,
        pid=1,
    )


def test_known_bad_parts_that_are_all_rejected_pass_the_memory_test() -> None:
    finding = judge(BAD, [rejected(1), rejected(2), rejected(3), passed(4)], status(), False)
    assert finding is not None and finding.result == "passed"
    assert [part.part & 0xFF for part in finding.parts] == [1, 2, 3]
    assert finding.parts[0].score == 0.75


def test_where_there_is_a_confirm_sensor_it_must_have_seen_every_rejected_part() -> None:
    confirmed = replace(BAD, confirmed=True)
    rows = [rejected(number, sensed=Sensed.SEEN) for number in (1, 2, 3)]
    finding = judge(confirmed, rows, status(), False)
    assert finding is not None and finding.result == "passed" and "confirm sensor saw each" in finding.words
    for unseen in (Sensed.MISSED, Sensed.UNWATCHED):
        finding = judge(confirmed, [*rows[:2], rejected(3, sensed=unseen)], status(), False)
        assert finding is not None and finding.result == "failed"


@pytest.mark.parametrize(
    "wrong",
    [
        passed(2),
        rejected(2, shadow=True),
        row(2, GateOutcome.LATE, Kind.REJECT, Reason.LATE_WRITE),
        row(2, GateOutcome.RELEASED, Kind.REJECT, Reason.BYPASS),
        row(2, GateOutcome.FIRED, Kind.UNKNOWN, Reason.NO_FRAME),
        row(2, GateOutcome.FIRED, Kind.UNKNOWN, Reason.PURGE),
    ],
)
def test_one_part_that_is_not_recognised_and_rejected_fails_the_memory_test(wrong: PartRow) -> None:
    finding = judge(BAD, [rejected(1), wrong, rejected(3)], status(), False)
    assert finding is not None and finding.result == "failed" and "part 2 " in finding.words
    assert [part.as_wanted for part in finding.parts] == [True, False, True]


def test_a_part_that_is_still_on_its_way_is_waited_for() -> None:
    rows = [rejected(1), row(2, None, Kind.REJECT, Reason.DEFECT), rejected(3), rejected(4)]
    assert judge(BAD, rows, status(), False) is None, "three are through, but not three in a row"
    finding = judge(BAD, rows, status("STOPPED", "a limit"), True)
    assert finding is not None and finding.result == "failed"
    assert finding.words == "1 of 3 parts came in time; the station is STOPPED a limit"


@pytest.mark.parametrize("wrong", [rejected(1), row(1, GateOutcome.RELEASED, Kind.PASS, Reason.BYPASS)])
def test_a_good_part_must_pass_by_its_own_verdict(wrong: PartRow) -> None:
    finding = judge(GOOD, [passed(1)], status(), False)
    assert finding is not None and finding.result == "passed"
    finding = judge(GOOD, [wrong], status(), False)
    assert finding is not None and finding.result == "failed"


@pytest.mark.parametrize("level", ["NOT_READY", "STOPPED", "FAULT"])
@pytest.mark.parametrize("step", [COVERED, NO_AIR])
def test_a_station_that_says_it_cannot_inspect_is_safe(step: FailSafe, level: str) -> None:
    finding = judge(step, [], status(level, "why"), False)
    assert finding is not None and finding.result == "passed" and finding.words.endswith(f"{level}: why")


def test_a_part_that_passes_meanwhile_fails_whatever_the_station_says() -> None:
    for step in (COVERED, NO_AIR):
        for level in ("READY", "STOPPED"):
            finding = judge(step, [rejected(1), passed(2)], status(level), False)
            assert finding is not None and finding.result == "failed" and "part 2 " in finding.words


def test_a_late_part_may_have_passed() -> None:
    late = row(1, GateOutcome.LATE, Kind.UNKNOWN, Reason.OUTPUT_ERROR)
    finding = judge(COVERED, [late], status("NOT_READY"), False)
    assert finding is not None and finding.result == "failed"


def test_a_rejected_part_is_enough_only_where_the_gate_itself_is_well() -> None:
    finding = judge(COVERED, [rejected(1)], status(), False)
    assert finding is not None and finding.result == "passed"
    assert judge(NO_AIR, [rejected(1)], status(), False) is None
    finding = judge(NO_AIR, [rejected(1)], status(), True)
    assert finding is not None and finding.result == "failed"


@pytest.mark.parametrize("level", ["READY", "BYPASSED"])
def test_nothing_that_happens_is_no_proof(level: str) -> None:
    assert judge(COVERED, [], status(level), False) is None
    finding = judge(COVERED, [], status(level), True)
    assert finding is not None and finding.result == "failed"


def test_a_score_that_is_none_stands_as_none() -> None:
    unscored = row(1, GateOutcome.FIRED, Kind.UNKNOWN, Reason.NO_FRAME)
    assert unscored.decided is not None
    part = unscored.decided.part
    decided = Decided(part, Verdict(part.part_id, Kind.UNKNOWN, Reason.NO_FRAME, nan, nan, "", 15))
    finding = judge(COVERED, [PartRow(unscored.part_id, decided, unscored.outcome)], status(), False)
    assert finding is not None and finding.parts[0].score is None


def test_every_sensor_that_the_station_file_names_is_tried(tmp_path: Path) -> None:
    memory = 'kind = "memory"'
    station = station_file(tmp_path, gate=memory, permit=memory)
    assert [step.name for step in plan(station, 3, 1)] == ["memory test", "good parts", "camera top covered"]
    assert "good parts" not in [step.name for step in plan(station, 3, 0)]
    assert len(not_watched(station)) == 2

    wire = ModbusInput(kind="modbus", host="192.0.2.1", input=1)
    more = {
        "interlock": (Interlock(name="air", input=wire), Interlock(name="bin-full", well="low", input=wire)),
        "confirm": Confirm(after_ms=10, window_ms=10, input=wire),
        "second_eye": SecondEye(input=wire),
    }
    steps = plan(station.model_copy(update=more), 3, 1)
    tried = [(step.name, step.reject_is_enough) for step in steps if isinstance(step, FailSafe)]
    assert tried == [
        ("camera top covered", True),
        ("the second photo-eye covered", True),
        ("the confirm sensor covered", False),
        ("interlock air", False),
        ("interlock bin-full", False),
    ]
    assert not_watched(station.model_copy(update=more)) == []
    assert isinstance(steps[0], Pieces) and steps[0].confirmed


def test_more_test_pieces_than_the_station_takes_in_a_row_are_refused_before_the_test(tmp_path: Path) -> None:
    station = station_file(tmp_path, gate='kind = "memory"', permit='kind = "memory"')
    strict = station.model_copy(update={"limits": Limits(consecutive_rejects=2)})
    with pytest.raises(ConfigError, match="give 2 at most"):
        plan(strict, 3, 1)
    assert plan(strict, 2, 1)
    assert plan(
        station.model_copy(update={"limits": Limits(consecutive_rejects=2, warn=("consecutive_rejects",))}), 3, 1
    )
