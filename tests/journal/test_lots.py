"""Which lot a part is of is told by the journal's notes, by the number of the first part, whatever its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import SECOND, ManualClock
from edge.journal import files
from edge.journal.export import Wanted, export
from edge.journal.lots import KIND, LotsOfParts, NamedLot, lots_in, named_lot
from edge.journal.rows import Note
from tests.journal.records import decided, ended, opened, part_id, refused, unknown
from tests.journal.test_export import table

DAY = 86_400 * SECOND


@given(st.builds(NamedLot, st.text(max_size=60), st.integers(0, 2**63 - 1)), st.text(max_size=60))
def test_a_note_gives_back_the_lot_whatever_its_name_is(named: NamedLot, more: str) -> None:
    assert named_lot(named.words(more)) == named


@pytest.mark.parametrize(
    "words", ["", "4712", '"4712"', '"4712" from part 7 on, x', "12 from part 7-1 on, by x", "not done: the disk"]
)
def test_other_words_name_no_lot(words: str) -> None:
    assert named_lot(words) is None


def test_the_last_word_of_a_part_stands() -> None:
    lots = LotsOfParts(
        [NamedLot("a", 10), NamedLot("b", 20), NamedLot("a", 30), NamedLot("wrong", 40), NamedLot("a", 40)]
    )
    assert [lots.lot_of(number) for number in (0, 9, 10, 19, 20, 29, 30, 40, 2**62)] == ["", "", *"aabb", *"aaa"]
    assert lots.ranges_of("a") == [(10, 20), (30, 40), (40, None)] and lots.ranges_of("c") == []
    assert LotsOfParts([]).ranges_of("a") == []
    assert lots.now == "a" and LotsOfParts([]).now == LotsOfParts([]).lot_of(5) == ""


def test_each_part_is_taken_out_with_its_lot_over_days_and_sessions(tmp_path: Path) -> None:
    clock = ManualClock()
    journal = opened(tmp_path / "journal", clock)

    def named(lot: str, number: int) -> Note:
        return Note(clock.wall_ns(), KIND, NamedLot(lot, part_id(number)).words("by anna"))

    journal.commit([decided(1), ended(1), named("=4711", 2), decided(2), ended(2)])
    clock.advance(DAY)
    journal.commit([unknown(3), refused(3), named("4712", 4), decided(4)])
    journal.close()
    export(tmp_path / "journal", tmp_path / "out", Wanted())
    rows = table(tmp_path / "out" / "parts.csv")
    assert [row["lot"] for row in rows] == ["", "'=4711", "'=4711", "4712"], "and a spreadsheet computes nothing"
    assert lots_in(files.day_files(tmp_path / "journal")).now == "4712"
    only = Wanted(first=rows[2]["day"])
    export(tmp_path / "journal", tmp_path / "second", only)
    assert [row["lot"] for row in table(tmp_path / "second" / "parts.csv")] == ["'=4711", "4712"], (
        "of the day before"
    )
