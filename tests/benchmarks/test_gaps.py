"""Parts of a journal are timed by the gap before them, and the first beside the last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.gaps import Recorded, last_part, of_rows, recorded
from edge.clock import MS, SECOND
from edge.journal.rows import Decided, PartRow
from edge.records import Kind
from tests.journal.records import decided


def row(number: int, born_s: float, took_ms: float, kind: Kind = Kind.PASS) -> PartRow:
    told = decided(number)
    part = replace(told.part, born_ns=round(born_s * SECOND))
    at_ns = part.born_ns + round(took_ms * MS)
    return PartRow(number, Decided(part, replace(told.verdict, kind=kind, decided_ns=at_ns)), None)


def test_each_part_is_timed_in_the_class_of_the_gap_before_it() -> None:
    rows = [row(0, 1, 99), row(1, 1.05, 8), row(2, 1.1, 10), row(3, 2.1, 20), row(4, 12.1, 40), row(5, 73, 50)]
    told = of_rows(rows).after_gap
    assert {name: (ranks["n"], ranks["max"]) for name, ranks in told.items()} == {
        "0ms": (2, 10),
        "1s": (1, 20),
        "10s": (1, 40),
        "60s": (1, 50),
    }
    assert told["0ms"]["p99"] is None


def test_a_part_that_nobody_judged_ends_a_gap_and_is_not_timed() -> None:
    told = of_rows([row(0, 1, 9), row(1, 20, 9, Kind.UNKNOWN), row(2, 20.5, 9)]).after_gap
    assert list(told) == ["100ms"]


def test_the_first_tenth_of_the_parts_stands_beside_the_last() -> None:
    times_ms = [5.0] * 20 + [7.0] * 160 + [9.0] * 20
    told = of_rows(row(number, number, took_ms) for number, took_ms in enumerate(times_ms)).tenths
    assert {name: (ranks["n"], ranks["p50"], ranks["max"]) for name, ranks in told.items()} == {
        "first": (20, 5, 5),
        "last": (20, 9, 9),
    }
    assert of_rows(row(number, number, 5) for number in range(9)).tenths == {}


def test_a_station_without_a_journal_tells_nothing(tmp_path: Path) -> None:
    assert last_part(tmp_path) == -1
    assert recorded(tmp_path, -1) == Recorded({}, {})
