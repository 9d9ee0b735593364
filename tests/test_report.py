"""The report of several stations is the sum of theirs under the same keys, and has each one's own."""

from __future__ import annotations

import json
from typing import Any

import pytest

import edge.report
from edge.clock import MS
from edge.records import GateEvent, GateOutcome, Kind, Reason
from edge.report import OF_THE_PROCESS, Counts, Report, host, report, together
from edge.timing import CAPACITY, Series, Stamps, Timing


def event(outcome: GateOutcome, late_ns: int) -> GateEvent:
    return GateEvent(1, 1, 0, 0, 0, 1_000, 1_000 + late_ns, 0, 0, 0, outcome, Kind.PASS, Reason.NONE)


def counted(parts: int, outcome: GateOutcome, kind: Kind, late_ns: int, reason: Reason = Reason.NONE) -> Counts:
    counts = Counts()
    for _ in range(parts):
        counts.part(event(outcome, late_ns), kind, reason, 0.5, in_time=reason is Reason.NONE)
        counts.frame("captured")
        counts.frame("paired")
        counts.record(committed=True)
    return counts


def timed(engine_ms: int, parts: int) -> Timing:
    timing = Timing()
    for _ in range(parts):
        timing.view(Stamps(engine_ns=engine_ms * MS))
    return timing


LEFT = counted(30, GateOutcome.RELEASED, Kind.PASS, 1_000)
RIGHT = counted(10, GateOutcome.FIRED, Kind.UNKNOWN, 9_000, Reason.LATE)


def both(codes: tuple[int, int] = (0, 0), startups: tuple[int | None, int | None] = (5 * MS, 7 * MS)) -> Report:
    timings = timed(2, 30), timed(8, 10)
    one = report(LEFT, timings[0], startups[0], "READY", "", codes[0])
    other = report(RIGHT, timings[1], startups[1], "STOPPED", "a limit", codes[1])
    return together({"left": one, "right": other}, Counts.sum([LEFT, RIGHT]), Timing.of(timings))


def test_the_total_keeps_every_key_and_every_sum() -> None:
    values = both().to_dict()
    alone = report(LEFT, timed(2, 1), 5 * MS, "READY", "", 0).to_dict()
    assert values.keys() == alone.keys() | {"lanes"}
    assert "lanes" not in alone, "the report of one station is what it was"
    assert values["parts"] == sum(values["verdicts"].values()) == 40
    assert values["verdicts"] == {"pass": 30, "reject": 0, "unknown": 10}
    assert values["unknown_reasons"] == {"LATE": 10}
    assert values["frames"]["captured"] == values["frames"]["paired"] == 40
    gate = values["gate"]
    assert gate["orders"] == gate["fired"] + gate["released"] + gate["late"] == 40
    assert gate["edge_error_us"] == {"n": 40, "p50": 1.0, "p99": 9.0, "p999": 9.0, "max": 9.0}
    assert values["latency_ms"]["engine"] == {"n": 40, "p50": 2.0, "p90": 8.0, "p99": 8.0, "p999": 8.0, "max": 8.0}
    assert values["deadline"] == {"met": 30, "missed": 10}
    assert values["journal"] == {"committed": 40, "lost": 0}
    assert values["startup_ms"] == 7.0
    json.dumps(values, allow_nan=False)


def test_each_lane_has_its_own_and_what_belongs_to_the_process_stands_once() -> None:
    lanes: dict[str, Any] = both().to_dict()["lanes"]
    assert lanes["left"]["parts"] == 30 and lanes["right"]["verdicts"]["unknown"] == 10
    for lane in lanes.values():
        assert lane.keys() == both().to_dict().keys() - {*OF_THE_PROCESS, "lanes"}


def test_the_worst_state_the_causes_and_the_highest_code_are_those_of_all() -> None:
    found = both((0, 75))
    assert (found.state, found.cause, found.exit_code) == ("STOPPED", "right: a limit", 75)
    assert both(startups=(5 * MS, None)).startup_ms is None, "not all have been ready"


def test_nothing_measured_by_all_is_nothing_in_the_total() -> None:
    assert Timing.of([Timing(), Timing()]).summary()["engine"]["p50"] is None


def test_a_series_without_values_takes_no_part() -> None:
    early = Series()
    early.add(-7)
    assert Series.of([Series(), early, Series()]).summary(1)["max"] == -7


def test_series_that_have_forgotten_their_oldest_values_still_count_them() -> None:
    full, short = Series(), Series()
    for value in range(CAPACITY + 10):
        full.add(-value)
    short.add(-5_000_000)
    joined = Series.of([full, short])
    assert joined.count == CAPACITY + 11
    assert joined.summary(1)["max"] == 0, "the largest value was forgotten, not what it was"
    assert joined.newest(CAPACITY + 1)[0] == -5_000_000


def test_the_version_of_every_engine_and_the_features_of_arm_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.report, "version", lambda name: "1.2")
    assert {"onnxruntime", "openvino", "tensorrt"} <= host()["versions"].keys()
    monkeypatch.setattr(edge.report, "_processor", lambda: ("Cortex-A78AE", {"fp", "asimd", "asimddp", "crc32"}))
    assert host()["flags"] == ["asimd", "asimddp"]
