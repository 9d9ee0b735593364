"""What must hold after any death: records, ids, ring, and what the gate physically did, each as one check."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from edge.clock import MS
from edge.device_key import PUBLIC, load_public
from edge.journal.heads import OUTSIDE, kept_head
from edge.journal.rows import PartRow
from edge.journal.verify import verify
from edge.line.ring import RingRead, read_from
from edge.line.zone import Zone
from edge.records import GateEvent, GateOutcome, Kind
from tests.line.lines import Levels
from tests.system.guest.witness import Key, rows_after

GUARD_NS = 15 * MS  # an edge this near to a slot's middle proves nothing, on a machine that is busy with other work


@dataclass
class Acknowledged:
    """Rows that a second reader of the journal saw, with what they held; and how often they were looked for again."""

    rows: dict[Key, str] = field(default_factory=dict)
    clock_offset_ns: int | None = None  # host's monotonic clock minus the witness's, at most

    def hear(self, text: str, at_ns: int) -> None:
        """A line of the witness that arrived at this time."""
        word, *values = text.split()
        if word == "row":
            file, table, row, digest = values
            self.rows[file, table, int(row)] = digest
        elif word == "clock":
            offset_ns = at_ns - int(values[0])
            known = self.clock_offset_ns
            self.clock_offset_ns = offset_ns if known is None else min(known, offset_ns)

    def check(self, journal: Path) -> None:
        """Each of them is still there, unchanged."""
        known = dict(self.rows)  # first: more may be acknowledged while this looks
        found = dict(rows_after(journal, {}))
        lost = [key for key, digest in known.items() if found.get(key) != digest]
        assert not lost, f"{len(lost)} of {len(known)} acknowledged rows are lost or changed: {sorted(lost)[:5]}"


def check_files(journal: Path, state: Path) -> None:
    """Every file of the journal is whole for SQLite, the chain of its rows unbroken, its heads signed by the device."""
    paths = list(journal.glob("*.sqlite"))
    for path in paths:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], path
    if paths:
        keys = [load_public(state / PUBLIC).public_bytes_raw()]
        broken = verify(journal, keys, kept_head(state / OUTSIDE, journal)).broken
        assert not broken, broken


def check_ring(path: Path) -> RingRead:
    """The outcomes that the ring holds are readable, one for each part."""
    found = read_from(path, 1)
    assert (found.damaged, found.overwritten) == (0, 0), found
    assert len({event.part_id for event in found.events}) == len(found.events)
    return found


def check_ring_is_recorded(ring: RingRead, rows: Sequence[PartRow]) -> None:
    """Each outcome that the line kept is in the journal, as it was."""
    recorded = {row.outcome.part_id: row.outcome for row in rows if row.outcome}
    missing = [event.part_id for event in ring.events if recorded.get(event.part_id) != event]
    assert not missing, f"{len(missing)} outcomes of the ring are not in the journal: {missing[:5]}"


def check_ids(rows: Sequence[PartRow], before: Iterable[int], session: int) -> None:
    """Parts that were not known before belong to lines that were started since: no id comes back."""
    known = set(before)
    fresh = [row.part_id for row in rows if row.part_id not in known]
    stale = [part_id for part_id in fresh if known and part_id >> 32 < max(known) >> 32]
    assert not stale, f"new parts have ids of earlier lines: {stale[:5]}"
    assert all(part_id >> 32 <= session for part_id in fresh), "a part is of a line that the ring does not know"


def passed(levels: Levels, middle_ns: int) -> bool | None:
    """Whether a gate that rests at reject stood open for the part; None when an edge was too near to say."""
    first = bisect_left(levels, middle_ns - GUARD_NS, key=lambda edge: edge[0])
    if first < len(levels) and levels[first][0] < middle_ns + GUARD_NS:
        return None
    return first > 0 and levels[first - 1][1]


def _holds_near(times: Sequence[int], at_ns: int, within_ns: int) -> bool:
    place = bisect_left(times, at_ns - within_ns)
    return place < len(times) and times[place] <= at_ns + within_ns


@dataclass(frozen=True)
class Gate:
    """What the board saw, and how its times read on the belt's clock."""

    zone: Zone
    levels: Levels
    permit: Levels
    offset_ns: int = 0  # the host's monotonic clock minus the belt's

    def from_host(self, at_ns: int) -> int:
        return at_ns - self.offset_ns

    def middle_ns(self, born_ns: int) -> int:
        return self.zone.slot_start(born_ns) + self.zone.pulse // 2 + self.offset_ns

    def check_nothing_passed_unrecorded(
        self, rows: Sequence[PartRow], born: Iterable[int], within_ns: int = 0
    ) -> int:
        """Every part of the belt that went through the open gate has a PASS in the journal; how many there were.

        `within_ns` is how far a part's time in the journal may be from `born`.
        """
        passes = [row.decided for row in rows if row.decided and row.decided.verdict.kind is Kind.PASS]
        good = sorted(decided.part.born_ns for decided in passes)
        through = [at_ns for at_ns in born if passed(self.levels, self.middle_ns(at_ns)) is True]
        unrecorded = [at_ns for at_ns in through if not _holds_near(good, at_ns, within_ns)]
        assert not unrecorded, f"{len(unrecorded)} of {len(through)} parts passed unrecorded: {unrecorded[:5]}"
        return len(through)

    def around(self, born_ns: int) -> str:
        """The gate's edges near this part's slot, in ms from its middle."""
        middle_ns = self.middle_ns(born_ns)
        near = [
            (round((at_ns - middle_ns) / MS), on)
            for at_ns, on in self.levels
            if abs(at_ns - middle_ns) < 3_000 * MS
        ]
        return f"edges in ms from the middle of its slot: {near}"

    def check_outcomes(self, events: Iterable[GateEvent]) -> None:
        """The gate stood as each outcome says."""
        for event in events:
            went = passed(self.levels, self.middle_ns(event.born_ns))
            if event.outcome is GateOutcome.RELEASED:
                assert went is not False, f"a released part was hit: {event}; {self.around(event.born_ns)}"
            elif event.outcome is GateOutcome.FIRED:
                assert went is not True, f"a rejected part was let pass: {event}; {self.around(event.born_ns)}"

    def check_purged(self, started_ns: int) -> None:
        """Of what was on the belt when a line came up, or the belt started, nothing was let pass."""
        opened = [at_ns for at_ns, on in self.levels if on and at_ns >= started_ns]
        if not opened:
            return
        permitted = [at_ns for at_ns, on in self.permit if on and started_ns <= at_ns <= opened[0]]
        assert permitted, "the gate opened before the belt was allowed to run"
        waited_ms = (opened[0] - permitted[0]) / MS
        least_ms = self.zone.transit / MS
        assert waited_ms > least_ms, (
            f"the gate opened {waited_ms:.0f} ms after the start, a purge takes {least_ms:.0f} ms"
        )
