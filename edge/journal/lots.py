"""Which lot each part is of: people name lots, and the journal's notes say from which part on."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from edge.journal import files
from edge.journal.completeness import name_of

KIND = "lot"
_FROM = re.compile(r" from part (\d+)-(\d+) on, ")
_NOTES = f"SELECT words FROM notes WHERE kind = '{KIND}' ORDER BY number"  # noqa: S608


@dataclass(frozen=True, slots=True)
class NamedLot:
    """The lot ("": none) of all parts whose id is at least `first`, until another is named; ids count up."""

    lot: str
    first: int

    def words(self, more: str) -> str:
        """As a note says it; `more` is for people."""
        return f"{json.dumps(self.lot, ensure_ascii=False)} from part {name_of(self.first)} on, {more}"


def named_lot(words: str) -> NamedLot | None:
    """What a note of this kind says; None when it is none of ours."""
    try:
        lot, end = json.JSONDecoder().raw_decode(words)
    except ValueError:
        return None
    found = _FROM.match(words, end)
    return None if found is None or not isinstance(lot, str) else NamedLot(lot, int(found[1]) << 32 | int(found[2]))


class LotsOfParts:
    """The lots by the notes, which are given in the order of the chain: the last word of a part stands."""

    def __init__(self, named: Sequence[NamedLot]) -> None:
        spans: list[NamedLot] = []
        for each in named:
            while spans and spans[-1].first >= each.first:
                spans.pop()
            spans.append(each)
        self.spans: tuple[NamedLot, ...] = tuple(spans)
        self._firsts = [each.first for each in spans]

    def lot_of(self, part_id: int) -> str:
        """The lot of this part; "" where none was named for it."""
        place = bisect_right(self._firsts, part_id)
        return self.spans[place - 1].lot if place else ""

    def ranges_of(self, lot: str) -> list[tuple[int, int | None]]:
        """First id of each run of parts of this lot, and the id that it ends before (None: it goes on)."""
        spans = zip_longest(self.spans, self._firsts[1:])
        return [(each.first, end) for each, end in spans if each.lot == lot]

    @property
    def now(self) -> str:
        """The lot that was named last."""
        return self.spans[-1].lot if self.spans else ""


def named_in(path: Path) -> Iterator[NamedLot]:
    """The lots that a day's notes name, oldest first. Raises JournalError."""
    found = (named_lot(row["words"]) for row in files.rows(path, _NOTES))
    return (each for each in found if each is not None)


def lots_in(days: Sequence[Path]) -> LotsOfParts:
    """The lots by the notes of these days' files. Raises JournalError."""
    return LotsOfParts([each for path in days for each in named_in(path)])
