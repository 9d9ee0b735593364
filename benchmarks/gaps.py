"""What the journal of a run tells of its times: by how long no part had come before, and first and last parts apart."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.idle import gap_name
from benchmarks.ranks import Figures, ranks_ms
from edge.clock import SECOND
from edge.errors import JournalError
from edge.journal.files import existing_days
from edge.journal.reading import newest_part, parts_of
from edge.journal.rows import PartRow
from edge.records import Kind
from edge.timing import Series

LEAST_S = (0.0, 0.1, 1.0, 10.0, 60.0)  # where the classes of gaps begin
TENTHS = ("first", "last")


@dataclass(frozen=True, slots=True)
class Recorded:
    """From the trigger's edge to the verdict of what the student judged, each with n, p50, p90, p99, p999 and max.

    `after_gap` is by the gap to the birth before, under the class's beginning; classes without a part are left out.
    `tenths` are the first and the last tenth of the parts, in the order of birth; empty where there are fewer than ten.
    """

    after_gap: dict[str, Figures] = field(default_factory=dict)
    tenths: dict[str, Figures] = field(default_factory=dict)


def last_part(journal: Path) -> int:
    """The greatest part id on record, -1 without a journal."""
    with suppress(JournalError):
        return newest_part(journal)
    return -1


def recorded(journal: Path, after: int) -> Recorded:
    """Of the parts with a greater id; empty where there is no journal."""
    with suppress(JournalError):
        return of_rows(row for _, row in parts_of(existing_days(journal), after))
    return Recorded()


def of_rows(rows: Iterable[PartRow]) -> Recorded:
    """`rows` are in the order of birth, and read once.

    The first part has no gap. A part that nobody judged ends one, but is not timed.
    """
    found = {least_s: Series() for least_s in LEAST_S}
    times = array("q")
    for gap_s, took_ns in _timed(rows):
        times.append(took_ns)
        if gap_s is not None:
            found[max(least_s for least_s in LEAST_S if least_s <= gap_s)].add(took_ns)
    after_gap = {gap_name(least_s): ranks_ms(series) for least_s, series in found.items() if series.count}
    return Recorded(after_gap, _tenths(times))


def _timed(rows: Iterable[PartRow]) -> Iterator[tuple[float | None, int]]:
    """Of each part that was judged the gap before it, None of the first, and its ns from trigger to verdict."""
    before_ns: int | None = None
    for row in rows:
        if row.decided is None:
            before_ns = row.outcome.born_ns if row.outcome else before_ns
            continue
        part, verdict = row.decided.part, row.decided.verdict
        if verdict.kind is not Kind.UNKNOWN:
            gap_s = None if before_ns is None else max(0.0, (part.born_ns - before_ns) / SECOND)
            yield gap_s, verdict.decided_ns - part.born_ns
        before_ns = part.born_ns


def _tenths(times: array[int]) -> dict[str, Figures]:
    tenth = len(times) // 10
    if not tenth:
        return {}
    told = {}
    for name, some in zip(TENTHS, (times[:tenth], times[-tenth:]), strict=True):
        series = Series(tenth)
        for time_ns in some:
            series.add(time_ns)
        told[name] = ranks_ms(series)
    return told
