"""What a real line shows of idle: from trigger to verdict of each part, by how long no part had come before it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.idle import gap_name
from benchmarks.ranks import Figures, ranks_ms
from edge.clock import SECOND
from edge.errors import JournalError
from edge.journal.reading import newest_part, parts_after
from edge.journal.rows import PartRow
from edge.records import Kind
from edge.timing import Series

LEAST_S = (0.0, 0.1, 1.0, 10.0, 60.0)  # where the classes of gaps begin


def last_part(journal: Path) -> int:
    """The greatest part id on record, -1 without a journal."""
    with suppress(JournalError):
        return newest_part(journal)
    return -1


def after_gaps(journal: Path, after: int) -> dict[str, Figures]:
    """`by_gap` of the parts with a greater id; empty where there is no journal."""
    with suppress(JournalError):
        return by_gap(parts_after(journal, after))
    return {}


def by_gap(rows: Sequence[PartRow]) -> dict[str, Figures]:
    """From the trigger's edge to the verdict of what the student judged, by the gap to the birth before: under the
    class's beginning n, p50, p90, p99, p999 and max, classes without a part left out. `rows` are in the order of birth.

    The first part has no gap. A part that nobody judged ends one, but is not timed.
    """
    found = {least_s: Series() for least_s in LEAST_S}
    before_ns: int | None = None
    for row in rows:
        if row.decided is None:
            before_ns = row.outcome.born_ns if row.outcome else before_ns
            continue
        part, verdict = row.decided.part, row.decided.verdict
        if before_ns is not None and verdict.kind is not Kind.UNKNOWN:
            gap_s = max(0.0, (part.born_ns - before_ns) / SECOND)
            found[max(least_s for least_s in LEAST_S if least_s <= gap_s)].add(verdict.decided_ns - part.born_ns)
        before_ns = part.born_ns
    return {gap_name(least_s): ranks_ms(series) for least_s, series in found.items() if series.count}
