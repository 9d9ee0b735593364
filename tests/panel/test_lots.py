"""Counts per lot are those of the journal: whatever restarts, and whenever the panel began to look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from edge.clock import SECOND, ManualClock
from edge.journal.events import Journal
from edge.journal.lots import KIND, NamedLot
from edge.journal.rows import Note, Record
from edge.panel import lots
from edge.panel.lots import LotBook
from edge.records import GateOutcome, Kind, Reason
from edge.station import Station
from tests.journal.records import ended, opened, part_id, refused
from tests.panel.panels import a_station, an_eye, served
from tests.panel.test_shown import live

DAY = 86_400 * SECOND


@dataclass
class Book:
    """A journal that the test writes, and who counts by it."""

    folder: Path
    clock: ManualClock
    journal: Journal

    def write(self, *records: Record) -> None:
        self.journal.commit(records)

    def name(self, lot: str, number: int) -> None:
        self.write(Note(self.clock.wall_ns(), KIND, NamedLot(lot, part_id(number)).words("by anna")))

    def told(self, book: LotBook | None = None) -> dict[str, tuple[int, dict[str, int], dict[str, int]]]:
        found = (book or LotBook(self.folder)).told()
        return {one.lot: (one.tally.parts, dict(one.tally.verdicts), dict(one.tally.outcomes)) for one in found}


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return a_station(tmp_path)


@pytest.fixture
def book(station: Station) -> Iterator[Book]:
    clock = ManualClock()
    journal = opened(station.journal.dir, clock)
    yield Book(station.journal.dir, clock, journal)
    journal.close()


def test_a_lot_counts_its_parts_over_days_and_when_it_is_named_again(book: Book) -> None:
    looking = LotBook(book.folder)
    assert book.told(looking) == {}
    book.write(ended(1))
    book.name("a", 2)
    book.write(ended(2), refused(3))
    assert book.told(looking) == {"a": (2, {"pass": 1, "unknown": 1}, {"released": 1, "fired": 1})}
    book.clock.advance(DAY)
    book.write(ended(4))
    book.name("b", 5)
    book.write(ended(5))
    book.name("a", 6)
    book.write(replace(ended(6), outcome=GateOutcome.FIRED))
    assert book.told(looking) == {
        "a": (4, {"pass": 2, "unknown": 2}, {"released": 2, "fired": 2}),
        "b": (1, {"pass": 1}, {"released": 1}),
    }, "a PASS that did not open the gate is unknown"
    assert list(book.told(looking)) == ["a", "b"], "the one that was named last comes first"
    assert book.told(looking) == book.told(), "who begins to look now counts the same"


def test_a_part_whose_lot_came_to_the_disk_after_it_is_counted_anew(book: Book) -> None:
    looking = LotBook(book.folder)
    book.name("a", 1)
    book.write(ended(1), ended(2))
    assert book.told(looking)["a"][0] == 2
    book.name("b", 2)
    assert {lot: counts[0] for lot, counts in book.told(looking).items()} == {"a": 1, "b": 1}


def test_a_day_is_counted_to_its_end_when_nobody_has_looked_since(book: Book) -> None:
    looking = LotBook(book.folder)
    book.name("a", 1)
    book.write(ended(1))
    assert book.told(looking)["a"][0] == 1
    book.write(ended(2))
    for number in (3, 4, 5):
        book.clock.advance(DAY)
        book.write(ended(number))
    assert book.told(looking)["a"][0] == 5


def test_what_began_before_the_counted_days_is_told_as_such(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lots, "DAYS", 2)
    monkeypatch.setattr(lots, "SHOWN", 2)
    for number, lot in enumerate(("gone", "a", "b"), 1):
        book.name(lot, number)
        book.write(ended(number))
        book.clock.advance(DAY)
    book.write(ended(4))
    found = LotBook(book.folder).told()
    assert [(one.lot, one.tally.parts, one.is_whole) for one in found] == [("b", 2, True), ("a", 0, False)]


def test_the_page_tells_the_lot_its_counts_and_why_parts_are_unknown(station: Station, book: Book) -> None:
    book.name("4712", 1)
    book.write(ended(1), refused(2))
    with an_eye(station) as eye, served(station) as panel:
        eye.says(lot="4712")
        told = live(panel, "over=lot")
        assert told["status"]["lot"] == "4712" and told["counts"]["parts"] == 2
        assert [reason["name"] for reason in told["counts"]["reasons"]] == [Reason.NO_FRAME.name]
        (lot,) = all_lots(panel)
        assert (lot["lot"], lot["verdicts"], lot["is_whole"]) == (
            "4712",
            {"pass": 1, Kind.UNKNOWN.name.lower(): 1},
            True,
        )
        assert lot["first_ms"] == lot["last_ms"] == ended(1).ended_wall_ns // 1_000_000


def all_lots(panel: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = panel.visitor("vera").get("/api/lots").json["lots"]
    return found


def test_without_lots_or_a_journal_nothing_is_counted(station: Station) -> None:
    with served(station) as panel:
        assert all_lots(panel) == []
        assert live(panel, "over=lot")["counts"]["parts"] == 0
