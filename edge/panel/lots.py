"""Counts by lot, of the days that the journal holds: by verdict, by what the gate did, and by why a part is unknown."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge.journal import files
from edge.journal.lots import LotsOfParts, NamedLot, named_in
from edge.journal.rows import OUTCOMES
from edge.panel.ledger import FINAL, Tally, last_number

DAYS = 7  # newest files that are counted
SHOWN = 8  # lots
_NAMES = 200  # newest namings that are told apart; what is older belongs to no lot that is shown
_COUNTS = f"""
SELECT {{span}} AS span, outcome, {FINAL}, reason, COUNT(*) AS count, MIN(ended_wall_ns) AS first,
    MAX(ended_wall_ns) AS last
FROM {OUTCOMES} WHERE number > {{after}} AND number <= {{until}} GROUP BY 1, 2, 3, 4
"""  # noqa: S608


@dataclass(slots=True)
class LotCount:
    """What was counted of a lot; `is_whole`: it began within the days that are counted. Times are wall ns."""

    lot: str
    tally: Tally = field(default_factory=Tally)
    first_ns: int = 0
    last_ns: int = 0
    is_whole: bool = True


@dataclass(slots=True)
class _Day:
    """A file as far as it was counted, by the first part of each run of a lot."""

    is_over: bool
    named: tuple[NamedLot, ...] = ()
    until: int = 0
    counts: Counter[tuple[int, str, str, str]] = field(default_factory=Counter)
    times: dict[int, tuple[int, int]] = field(default_factory=dict)


class LotBook:
    """Any thread may ask; one reads at a time. A day that is over is read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reading = threading.Lock()
        self._named: dict[Path, tuple[NamedLot, ...]] = {}
        self._days: dict[Path, _Day] = {}

    def told(self) -> list[LotCount]:
        """The lots that were named last, the newest first. Raises JournalError."""
        with self._reading:
            spans = self._read()
            names = list(dict.fromkeys(each.lot for each in reversed(spans) if each.lot))[:SHOWN]
            return [self._of(name, spans) for name in names]

    # --- reading ---

    def _read(self) -> tuple[NamedLot, ...]:
        """The runs of lots; the files are counted by them then."""
        paths = files.day_files(self._folder)
        known_names = self._named
        self._named = {
            path: known_names[path] if path in known_names else tuple(named_in(path)) for path in paths[:-1]
        }
        newest = [each for path in paths[-1:] for each in named_in(path)]
        named = [each for path in paths[:-1] for each in self._named[path]] + newest
        spans = LotsOfParts(named).spans[-_NAMES:]
        known, counted = self._days, paths[-DAYS:] if spans else []
        self._days = {}
        for path in counted:
            day, is_over = known.get(path, _Day(False)), path != paths[-1]
            self._days[path] = day if day.is_over else replace(self._follow(path, day, spans), is_over=is_over)
        return spans

    def _follow(self, path: Path, day: _Day, spans: tuple[NamedLot, ...]) -> _Day:
        until = last_number(path, OUTCOMES)
        if day.named != spans or until < day.until:
            day = _Day(False, spans)  # a lot may begin with a part that was counted before its note was there
        asked = _COUNTS.format(span=_span(spans), after=day.until, until=until)
        for row in files.rows(path, asked) if until > day.until else ():
            day.counts[row["span"], row["outcome"], row["verdict"], row["reason"]] += row["count"]
            first_ns, last_ns = day.times.get(row["span"], (row["first"], row["last"]))
            day.times[row["span"]] = min(first_ns, row["first"]), max(last_ns, row["last"])
        day.until = until
        return day

    def _of(self, name: str, spans: tuple[NamedLot, ...]) -> LotCount:
        found, firsts = LotCount(name), {each.first for each in spans if each.lot == name}
        for day in self._days.values():
            for (span, outcome, verdict, reason), count in day.counts.items():
                if span in firsts:
                    found.tally.add(outcome, verdict, reason, count)
            times = [day.times[span] for span in firsts if span in day.times]
            if times:
                found.first_ns = min([found.first_ns or times[0][0], *(first for first, _ in times)])
                found.last_ns = max(found.last_ns, *(last for _, last in times))
        began_before = (each for path, named in self._named.items() if path not in self._days for each in named)
        found.is_whole = all(each.lot != name for each in began_before)
        return found


def _span(spans: tuple[NamedLot, ...]) -> str:
    """SQL that gives a part's run of a lot, by its first part; -1 where there was none yet."""
    if not spans:
        return "-1"
    return f"CASE {' '.join(f'WHEN part_id >= {each.first} THEN {each.first}' for each in reversed(spans))} ELSE -1 END"
