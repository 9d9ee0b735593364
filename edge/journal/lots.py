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
_NOTES = f"SELECT words FROM notes WHERE kind = '{KIND}' AND number <= {{until}} ORDER BY number"  # noqa: S608
_END = 2**63 - 1


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
        self._spans: list[NamedLot] = []
        self._firsts: list[int] = []
        for each in named:
            self.add(each)

    def add(self, named: NamedLot) -> None:
        """What the next note says."""
        while self._firsts and self._firsts[-1] >= named.first:
            self._spans.pop()
            self._firsts.pop()
        self._spans.append(named)
        self._firsts.append(named.first)

    @property
    def spans(self) -> tuple[NamedLot, ...]:
        """The runs of lots, by their first part."""
        return tuple(self._spans)

    def lot_of(self, part_id: int) -> str:
        """The lot of this part; "" where none was named for it."""
        place = bisect_right(self._firsts, part_id)
        return self._spans[place - 1].lot if place else ""

    def ranges_of(self, lot: str) -> list[tuple[int, int | None]]:
        """First id of each run of parts of this lot, and the id that it ends before (None: it goes on)."""
        spans = zip_longest(self._spans, self._firsts[1:])
        return [(each.first, end) for each, end in spans if each.lot == lot]

    @property
    def now(self) -> str:
        """The lot that was named last."""
        return self._spans[-1].lot if self._spans else ""


def named_in(path: Path, until: int = _END) -> Iterator[NamedLot]:
    """The lots that a day's notes name up to row `until`, oldest first. Raises JournalError."""
    found = (named_lot(row["words"]) for row in files.rows(path, _NOTES.format(until=until)))
    return (each for each in found if each is not None)


def lots_in(days: Sequence[Path], until: int = _END) -> LotsOfParts:
    """The lots by the notes of these days' files, up to row `until`. Raises JournalError."""
    return LotsOfParts([each for path in days for each in named_in(path, until)])
