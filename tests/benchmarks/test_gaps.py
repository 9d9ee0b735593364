"""Parts of a journal are timed by the gap before them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.gaps import after_gaps, by_gap, last_part
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
    told = by_gap(rows)
    assert {name: (ranks["n"], ranks["max"]) for name, ranks in told.items()} == {
        "0ms": (2, 10),
        "1s": (1, 20),
        "10s": (1, 40),
        "60s": (1, 50),
    }
    assert told["0ms"]["p99"] is None


def test_a_part_that_nobody_judged_ends_a_gap_and_is_not_timed() -> None:
    told = by_gap([row(0, 1, 9), row(1, 20, 9, Kind.UNKNOWN), row(2, 20.5, 9)])
    assert list(told) == ["100ms"]


def test_a_station_without_a_journal_has_no_gaps(tmp_path: Path) -> None:
    assert last_part(tmp_path) == -1
    assert after_gaps(tmp_path, -1) == {}
