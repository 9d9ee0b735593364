"""The clocks a row is stamped with, and in words what they did that a reader of the rows must know."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from edge.clock import MS, SECOND, Clock, boot_id, is_synchronised
from edge.journal.rows import TABLES

STEP_NS = 100 * MS  # a wall clock that leaves the monotonic one by more has been set; both slew together


@dataclass(frozen=True, slots=True)
class Stamp:
    """When something was committed: in which boot, on the monotonic clock, on the wall clock (ns since 1970 UTC)."""

    boot: str
    mono_ns: int
    wall_ns: int


_NEWEST = " UNION ALL ".join(
    f"SELECT * FROM (SELECT boot, mono_ns, wall_ns, number FROM {table} ORDER BY number DESC LIMIT 1)"  # noqa: S608
    for table in TABLES
)


def newest_stamp(connection: sqlite3.Connection) -> Stamp | None:
    """That of a file's newest row, None when it has none. Raises sqlite3.Error."""
    row = connection.execute(f"{_NEWEST} ORDER BY number DESC LIMIT 1").fetchone()
    return None if row is None else Stamp(row["boot"], row["mono_ns"], row["wall_ns"])


class Stamps:
    """Stamps rows, and tells when the clocks did what their order does not show: a new boot, a wall clock that was set.

    `before` is the stamp of the newest row, None in a new journal.
    """

    def __init__(self, clock: Clock, before: Stamp | None) -> None:
        self._clock = clock
        self._boot = boot_id()
        self._before = before
        self._synchronised = is_synchronised()

    def now(self) -> Stamp:
        """The clocks now."""
        return Stamp(self._boot, self._clock.now_ns(), self._clock.wall_ns())

    def news(self, now: Stamp) -> str:
        """What the clocks did since the last stamp that was kept, in words; "" when nothing worth a note."""
        before = self._before
        if before is None:
            return ""
        if before.boot != now.boot:
            after = f"{_seconds(now.wall_ns - before.wall_ns)} of wall time after the row before"
            return f"the machine has started again: boot {now.boot}, {after}; {self._trust()}"
        step_ns = _offset_ns(now) - _offset_ns(before)
        if abs(step_ns) > STEP_NS and abs(_offset_ns(self.now()) - _offset_ns(before)) > STEP_NS:  # no slow reading
            return f"the wall clock was set by {_seconds(step_ns)}; {self._trust()}"
        return ""

    def _trust(self) -> str:
        return "it is synchronised" if self._synchronised else "whether it is right is not known"

    def keep(self, stamp: Stamp) -> None:
        """A row with this stamp is on the disk."""
        self._before = stamp

    def has_synchronised(self) -> bool:
        """Whether the wall clock was synchronised since the last time this was asked."""
        before, self._synchronised = self._synchronised, is_synchronised()
        return self._synchronised and not before


def _offset_ns(stamp: Stamp) -> int:
    return stamp.wall_ns - stamp.mono_ns


def _seconds(span_ns: int) -> str:
    return f"{span_ns / SECOND:+,.3f} s"
