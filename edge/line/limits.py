"""Counts what goes wrong at the gate, in a row and among the last parts, and says when that warns and when it stops."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge.line.messages import LimitAction, LimitCounts
from edge.records import GateEvent, GateOutcome, Kind, Reason, Sensed

# Rejected by the station's own doing: says nothing about the product, nor that the eye fails unnoticed.
_OWN_DOING = frozenset(
    {Reason.PURGE, Reason.OTHER_EPOCH, Reason.STOPPING, Reason.STATION_STOPPED, Reason.TOUCHING}
    | {Reason.LENGTH, Reason.UNTRACKED, Reason.MISSING, Reason.INTERLOCK, Reason.JOURNAL}
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many stop the line; 0 turns a limit off. `window_rejects` of the last `window_parts`, the others in a row.

    `escapes`: a failed reject lets the part pass. `warns` names the limits that only warn.
    """

    consecutive_rejects: int
    unknown_in_a_row: int
    missed_deadlines: int
    escapes: bool
    unconfirmed_rejects: int = 0
    window_rejects: int = 0
    window_parts: int = 100
    warns: frozenset[str] = frozenset()


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
        self._window: deque[bool] = deque(maxlen=bounds.window_parts)
        self.rejects = 0
        self.unknowns = 0
        self.misses = 0
        self.unconfirmed = 0

    def clear(self) -> None:
        """Somebody looked at the line: everything is counted anew."""
        self.rejects = self.unknowns = self.misses = self.unconfirmed = 0
        self._window.clear()

    def counts(self) -> LimitCounts:
        """How far each of them is."""
        return LimitCounts(
            consecutive_rejects=self.rejects,
            unconfirmed_rejects=self.unconfirmed,
            unknown_in_a_row=self.unknowns,
            missed_deadlines=self.misses,
            window_rejects=sum(self._window),
        )

    def count(self, event: GateEvent) -> Trip | None:
        """The limit that this event reaches, if any; the gravest one."""
        if event.sensed is not Sensed.UNWATCHED:
            self.unconfirmed = self.unconfirmed + 1 if event.sensed is Sensed.MISSED else 0
        if event.outcome is GateOutcome.LATE:
            return self._failed(event)
        if event.reason is not Reason.BYPASS and not (event.verdict is Kind.UNKNOWN and event.reason in _OWN_DOING):
            self._judged(event)
        elif event.sensed is not Sensed.MISSED:
            return None
        return self._reached()

    def _judged(self, event: GateEvent) -> None:
        rejected = event.verdict is not Kind.PASS
        self._window.append(rejected)
        self.rejects = self.rejects + 1 if rejected else 0
        self.unknowns = self.unknowns + 1 if event.verdict is Kind.UNKNOWN else 0
        self.misses = self.misses + 1 if event.reason is Reason.LATE else 0

    def _failed(self, event: GateEvent) -> Trip:
        """The gate did not do what was booked for a part."""
        self.misses += 1
        if self._bounds.escapes and event.verdict is not Kind.PASS:
            return Trip(LimitAction.STOP, 1, "a rejected part may have passed the gate")
        reached = self._reached()
        if reached is not None and reached.action is LimitAction.STOP:
            return reached
        return Trip(LimitAction.WARN, self.misses, "a gate action was not on time")

    def _reached(self) -> Trip | None:
        bounds = self._bounds
        rows = (
            ("unconfirmed_rejects", self.unconfirmed, "reject", "not seen by the confirm sensor"),
            ("missed_deadlines", self.misses, "late verdict or gate action", "in a row"),
            ("unknown_in_a_row", self.unknowns, "part", "without a verdict in a row"),
            ("consecutive_rejects", self.rejects, "reject", "in a row"),
            ("window_rejects", sum(self._window), "reject", f"among the last {bounds.window_parts} parts"),
        )
        trips = [
            Trip(
                LimitAction.WARN if name in bounds.warns else LimitAction.STOP,
                count,
                f"{count} {noun}{'s' if count > 1 else ''} {words}",
            )
            for name, count, noun, words in rows
            if 0 < getattr(bounds, name) <= count
        ]
        stops = [trip for trip in trips if trip.action is LimitAction.STOP]
        if trips:
            return (stops or trips)[0]
        return Trip(LimitAction.WARN, self.misses, "a verdict came after its deadline") if self.misses else None
