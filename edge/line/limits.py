"""Counts what goes wrong in a row at the gate, and says when that is a warning and when the line must stop."""

from __future__ import annotations

from dataclasses import dataclass

from edge.line.messages import LimitAction
from edge.records import GateEvent, GateOutcome, Kind, Reason

# Rejected by the line's own doing: says nothing about the product or about the eye.
_OWN_DOING = frozenset({Reason.PURGE, Reason.OTHER_EPOCH, Reason.STOPPING, Reason.STATION_STOPPED, Reason.TOUCHING})


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many in a row stop the line; 0 turns a limit off. `escapes`: a failed reject lets the part pass."""

    consecutive_rejects: int
    unknown_in_a_row: int
    missed_deadlines: int
    escapes: bool


@dataclass(frozen=True, slots=True)
class Trip:
    """A limit was reached: WARN is for the log, STOP drops the line permit."""

    action: LimitAction
    count: int
    cause: str


class Limits:
    """Fed with every gate event in order."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.rejects = 0
        self.unknowns = 0
        self.misses = 0

    def clear(self) -> None:
        """Somebody looked at the line: all rows begin again."""
        self.rejects = self.unknowns = self.misses = 0

    def count(self, event: GateEvent) -> Trip | None:
        """The limit that this event reaches, if any; the gravest one."""
        if event.outcome is GateOutcome.LATE:
            return self._failed(event)
        if event.reason is Reason.BYPASS or (event.verdict is Kind.UNKNOWN and event.reason in _OWN_DOING):
            return None
        self.rejects = 0 if event.verdict is Kind.PASS else self.rejects + 1
        self.unknowns = self.unknowns + 1 if event.verdict is Kind.UNKNOWN else 0
        self.misses = self.misses + 1 if event.reason is Reason.LATE else 0
        return self._reached()

    def _failed(self, event: GateEvent) -> Trip:
        """The gate did not do what was booked for a part."""
        self.misses += 1
        if self._bounds.escapes and event.verdict is not Kind.PASS:
            return Trip(LimitAction.STOP, 1, "a rejected part may have passed the gate")
        if 0 < self._bounds.missed_deadlines <= self.misses:
            return Trip(LimitAction.STOP, self.misses, f"{self.misses} gate actions or verdicts late in a row")
        return Trip(LimitAction.WARN, self.misses, "a gate action was not on time")

    def _reached(self) -> Trip | None:
        rows = (
            (self.misses, self._bounds.missed_deadlines, "verdicts after their deadline in a row"),
            (self.unknowns, self._bounds.unknown_in_a_row, "parts without a verdict in a row"),
            (self.rejects, self._bounds.consecutive_rejects, "rejects in a row"),
        )
        for count, bound, words in rows:
            if 0 < bound <= count:
                return Trip(LimitAction.STOP, count, f"{count} {words}")
        if self.misses:
            return Trip(LimitAction.WARN, self.misses, "a verdict came after its deadline")
        return None
