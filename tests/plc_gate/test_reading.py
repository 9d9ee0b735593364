"""When something happened at the PLC, from how long ago it says that it was."""

from __future__ import annotations

import pytest

from edge.clock import MS
from edge.line.events import PlcDid, PlcSaw
from edge.line.plc_gate.reading import Reading, Unreadable
from edge.line.plc_gate.table import Did, Head, Seen

SCAN_NS, WINDOW_NS = 10 * MS, 15 * MS
NOW = 1_000_000 * MS


def reading(newest: int = 0) -> Reading:
    return Reading(7, newest, SCAN_NS, WINDOW_NS)


def block(newest: int, *seen: Seen, clock: int = 500) -> tuple[Head, dict[int, Seen]]:
    return Head(scan=1, session=7, clock=clock, newest=newest), {each.edge: each for each in seen}


def at(ms: float) -> int:
    return NOW + round(ms * MS)


def test_an_edge_was_between_the_scan_before_the_question_and_the_answer_less_its_age() -> None:
    (saw,) = reading().take(*block(1, Seen(1, born=480)), at(0), at(2))
    assert isinstance(saw, PlcSaw) and (saw.session, saw.edge) == (7, 1)
    assert saw.at_ns - saw.err_ns == at(0 - 20 - 20 - 1)  # a scan to see it, a scan to show it
    assert saw.at_ns + saw.err_ns == at(2 - 20 + 1)


def test_a_clock_that_wraps_changes_nothing() -> None:
    (saw,) = reading().take(*block(1, Seen(1, born=65_530), clock=14), at(0), at(2))
    (other,) = reading().take(*block(1, Seen(1, born=480)), at(0), at(2))
    assert isinstance(saw, PlcSaw) and isinstance(other, PlcSaw) and saw.at_ns == other.at_ns


def test_a_slow_answer_is_asked_again_and_the_narrow_one_counts() -> None:
    read = reading()
    assert read.take(*block(1, Seen(1, born=480)), at(0), at(40)) == []
    assert read.waits_since_ns is not None
    (saw,) = read.take(*block(1, Seen(1, born=480), clock=550), at(50), at(52))
    assert isinstance(saw, PlcSaw) and saw.err_ns <= WINDOW_NS
    assert abs(saw.at_ns - at(50 - 70 - 9)) <= 1 * MS
    assert read.waits_since_ns is None


def test_an_outcome_comes_once_and_after_its_edge() -> None:
    read = reading()
    done = Seen(1, 480, Did.PASSED, 33, 498)
    first = read.take(*block(1, done), at(0), at(2))
    assert [type(event) for event in first] == [PlcSaw, PlcDid]
    did = first[1]
    assert isinstance(did, PlcDid) and did.passed and did.part_number == 33
    assert did.at_ns - did.err_ns <= at(-2) <= did.at_ns + did.err_ns
    assert read.take(*block(1, done, clock=510), at(10), at(12)) == []


def test_outcomes_are_told_in_order_though_the_earlier_one_is_not_known_so_well() -> None:
    read = reading()
    read.take(*block(2, Seen(1, 480), Seen(2, 490)), at(0), at(2))
    assert read.take(*block(2, Seen(1, 480, 1, 0, 520), Seen(2, 490), clock=530), at(30), at(70)) == []
    told = read.take(*block(2, Seen(1, 480, 1, 0, 520), Seen(2, 490, 1, 0, 590), clock=600), at(100), at(102))
    assert [event.edge for event in told] == [1, 2]


def test_edges_from_before_the_conversation_are_of_no_concern() -> None:
    assert reading(newest=5).take(*block(5, Seen(5, 480, 2, 9, 490)), at(0), at(2)) == []


@pytest.mark.parametrize(
    ("newest", "before", "seen", "words"),
    [
        (20, 4, (), "16 edges at once"),
        (0, 4, (), "begin anew"),
        (5, 4, (Seen(21, 480),), "nobody saw what became of it"),
    ],
)
def test_what_was_missed_is_said(newest: int, before: int, seen: tuple[Seen, ...], words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        reading(newest=before).take(*block(newest, *seen), at(0), at(2))


def test_a_clock_that_contradicts_the_scans_is_said() -> None:
    read = reading()
    read.take(*block(1, Seen(1, born=480)), at(0), at(40))
    with pytest.raises(Unreadable, match="scan_ms"):
        read.take(*block(1, Seen(1, born=480), clock=500), at(100), at(102))


def test_a_left_out_edge_is_not_waited_for() -> None:
    read = reading()
    read.take(*block(2, Seen(1, 480), Seen(2, 490)), at(0), at(2))
    (did,) = read.take(*block(2, Seen(1, 480), Seen(2, 490, 1, 0, 505), clock=510), at(10), at(12))
    assert isinstance(did, PlcDid) and did.edge == 2
    assert read.take(*block(2, Seen(2, 490, 1, 0, 505), clock=530), at(30), at(32)) == []
