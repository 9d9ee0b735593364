"""Drives the gate by the schedule and the line permit by readiness; brings to rest what fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from edge.clock import MS, SECOND
from edge.line.axis import Axis
from edge.line.events import (
    ENCODER_DEAD,
    Action,
    Arm,
    Armed,
    ArmFailed,
    Event,
    GateWritten,
    OutputFailed,
    OutputRested,
    PermitWritten,
    Rest,
    Say,
    Which,
    WriteGate,
    WritePermit,
)
from edge.line.level import LevelRecord
from edge.line.messages import LineState
from edge.line.readiness import Readiness
from edge.line.schedule import GateEdge, actuations, next_edge, overdue_parts
from edge.line.settings import Settings
from edge.line.tracker import Tracker
from edge.records import Reason

_CLEAR_OF_EDGE_NS = 5 * MS  # no heartbeat and no repair this near before a gate edge, however short
_BEAT_SLACK_NS = 10 * MS
_VALVE_NS = 10 * MS  # by so much valve and wire may be slower than the stated lead, where the belt waits for them
_HELD_STATES = (LineState.FAULT, LineState.STOPPED, LineState.SUSPENDED, LineState.HELD)


class Retry:
    """When to try again: at once, then after 0.1 s doubling up to 5 s; None while there is no need."""

    def __init__(self) -> None:
        self.at_ns: int | None = None
        self._wait_ns = 0

    def failed(self, now_ns: int) -> None:
        self.at_ns = now_ns + self._wait_ns
        self._wait_ns = min(5 * SECOND, max(100 * MS, 2 * self._wait_ns))

    def succeeded(self) -> None:
        self.at_ns = None
        self._wait_ns = 0

    def due(self, now_ns: int) -> bool:
        return self.at_ns is not None and self.at_ns <= now_ns


class Drive:
    """Plans on what the tracker and the readiness say; hands its actions to `act`."""

    def __init__(
        self,
        settings: Settings,
        tracker: Tracker,
        readiness: Readiness,
        axis: Axis,
        act: Callable[[Action], None],
        now_ns: int,
    ) -> None:
        self._settings = settings
        self._zone = settings.zone
        self._tracker = tracker
        self._readiness = readiness
        self._axis = axis
        self._act = act
        self.levels = LevelRecord(axis.here(now_ns), None)
        self._edge: GateEdge | None = None
        self._due_ns: int | None = None
        self._planned_ns = 0
        self._stands: tuple[bool, int] | None = None  # the gate's level, and since when, not in `levels` yet
        self._writing = False
        self._is_armed = False
        self._arm = Retry()
        self._arm.failed(now_ns)
        self._rest = {Which.GATE: Retry(), Which.PERMIT: Retry()}
        self._beat_ns = {Which.GATE: now_ns, Which.PERMIT: now_ns}
        self._fed_ns = dict(self._beat_ns)  # when a write was last done; a beat may be on its way for long
        self._coast_until_ns = self._gate_settled_ns = now_ns
        lead_ns = settings.zone.lead if settings.encoder is None else settings.encoder.lead_ns
        self._settle_ns = lead_ns + _VALVE_NS
        self._ended = False

    @property
    def gate_edge_ns(self) -> int | None:
        """When the next gate edge is due, for precise waiting; None too while the belt stands."""
        return self._due_ns

    def due_ns(self, now_ns: int) -> list[int]:
        """The times at which there is something to do."""
        times = [
            self.gate_edge_ns,
            self._arm.at_ns,
            *(self._next_repair_ns(which, now_ns) for which in Which),
            *(self._next_beat_ns(which, now_ns) for which in Which),
            *(at_ns for at_ns in (self._coast_until_ns, self._gate_settled_ns) if at_ns > now_ns),
        ]
        return [at_ns for at_ns in times if at_ns is not None]

    def end(self) -> None:
        """Plan nothing more: the shell puts the outputs to rest."""
        self._ended = True
        self._edge = self._due_ns = None

    def acknowledged(self, now_ns: int) -> None:
        """A person looked at the line: outputs that stand at rest count as repaired."""
        for which in Which:
            if self._rest[which].at_ns is None:
                self._readiness.repaired(which.value, now_ns)

    def _say(self, words: str) -> None:
        self._act(Say(words))

    def plan(self, now_ns: int) -> None:
        """The next gate edge, from the parts' slots, or from the purge that holds a gate that rests open."""
        active, here = self.levels.active, self._axis.here(now_ns)
        before, self._edge, self._due_ns = self._edge, None, None
        driven = self._settings.plc is None
        if active is None or self._writing or self._ended or not driven:
            return
        if self._holds(now_ns):
            if not active:
                self._edge, self._due_ns = GateEdge(here, True), now_ns
            return
        planned = actuations(self._tracker.slots(), self._zone.rest_rejects, self._zone.gap)
        stay = 0 if self._zone.rest_rejects else self._zone.gap
        edge = next_edge(planned, active, here, stay)
        if edge and before and not edge.active and not before.active and before.at < edge.at == here:
            edge = before  # overdue since then
        self._edge = edge
        self._due_ns = None if edge is None else self._axis.when_ns(edge.at)

    def coasts(self, now_ns: int) -> bool:
        """Whether a belt that was told to stop may still bring unknown parts to a gate that rests open."""
        if self._zone.rest_rejects:
            return False
        unknown = not self._readiness.permit and not self._readiness.zone_known
        return now_ns < self._coast_until_ns or (unknown and self._axis.moves(now_ns))

    def _holds(self, now_ns: int) -> bool:
        """Whether everything is rejected, known or not: while the belt empties the zone, and while it coasts."""
        if self._zone.rest_rejects:
            return False
        readiness = self._readiness
        if self.coasts(now_ns) or self._rest[Which.PERMIT].at_ns is not None:
            return True  # a permit that fails may drop at any time
        if not readiness.permit and self._may_still_run(now_ns):
            return True
        if readiness.permit:
            if not readiness.zone_known:
                return True
            return readiness.state in _HELD_STATES and not self._axis.measured  # the counts tell how it runs down
        if readiness.state is not LineState.PURGING:
            return False
        return not self._settings.permits or readiness.wants_permit(False)

    def _may_still_run(self, now_ns: int) -> bool:
        """Whether the belt may run down through a zone that is not known, and nothing tells when it stands."""
        blind = self._axis.is_blind(now_ns) or self._readiness.has_fault(ENCODER_DEAD)
        return blind and not self._readiness.zone_known

    def take_edge(self, now_ns: int) -> bool:
        """Hand out the gate edge when it is due; refuse the parts for which it would be a late kick."""
        edge, here = self._edge, self._axis.here(now_ns)
        while edge is not None and edge.at <= here:
            late = edge.refusable and here > edge.at + self._zone.tolerance
            if not late:
                self._planned_ns = now_ns if self._due_ns is None else min(self._due_ns, now_ns)
                self._act(WriteGate(edge))
                self._edge, self._due_ns, self._writing = None, None, True
                return True
            overdue = overdue_parts(self._tracker.slots(), here, self._zone.tolerance)
            count = self._tracker.refuse(overdue, here)
            if count:
                self._say(f"{count} gate actions refused, {self._way(here - edge.at)} late")
            elif not self._tracker.forget_past():
                return False
            self.plan(now_ns)
            edge = self._edge
        return False

    def _way(self, places: int) -> str:
        return f"{places} counts" if self._axis.measured else f"{places // 1_000} us"

    def _gate_written(self, event: GateWritten, _now_ns: int) -> None:
        self._writing = False
        done_ns = event.confirmed_ns or event.returned_ns or event.issued_ns
        self._beat_ns[Which.GATE], self._fed_ns[Which.GATE] = event.issued_ns, done_ns
        if event.edge.active is not self.levels.active:
            # the device acted at some time until it was done
            self.levels.changed(self._axis.here(event.issued_ns), None)
        self._gate_is(event.edge.active, done_ns)
        self._tracker.served(event.edge, self._planned_ns, event.issued_ns, event.confirmed_ns)

    def _gate_is(self, active: bool, at_ns: int) -> None:
        if active is not self.levels.active:
            self._gate_settled_ns = at_ns + self._settle_ns
        self._stands = (active, at_ns)

    def take_in_level(self) -> None:
        """Once all events of a step are taken in: by the samples that came during a long write it is known where the
        belt was at its end."""
        if self._stands is not None:
            active, at_ns = self._stands
            self.levels.changed(self._axis.here(at_ns), active)
            self._stands = None

    def permit(self, now_ns: int, finishing: bool) -> None:
        """Let the belt run or stop it, where that has changed."""
        wanted = self._readiness.wants_permit(finishing)
        if wanted and not self._readiness.permit and not self._gate_stands_ready(now_ns):
            if not self._readiness.zone_known:
                self._tracker.withdraw(Reason.PURGE)  # or the gate would stay open for a part that stands before it
                self.plan(now_ns)
                self.take_edge(now_ns)
            return
        if wanted is not self._readiness.permit and self._usable(Which.PERMIT):
            self._beat_ns[Which.PERMIT] = now_ns
            self._act(WritePermit(wanted))

    def _gate_stands_ready(self, now_ns: int) -> bool:
        """A belt with an unknown zone starts only in front of a gate that already rejects; a measured one that stopped
        with a known part before the gate goes on as it stood."""
        if self._axis.measured and self._readiness.zone_known:
            return True
        settled = not self._writing and now_ns >= self._gate_settled_ns
        return settled and self.levels.active is self._holds(now_ns)

    def _permit_written(self, event: PermitWritten, now_ns: int) -> None:
        if self._rest[Which.PERMIT].at_ns is not None:
            return  # it came too late to count, and is taken back
        self._beat_ns[Which.PERMIT] = self._fed_ns[Which.PERMIT] = now_ns
        self._permit_is(event.on, now_ns)

    def _permit_is(self, on: bool, now_ns: int) -> None:
        if self._readiness.permit and not on and not self._axis.measured:
            self._runs_down(now_ns)
            self._tracker.withdraw(Reason.STATION_STOPPED)
        self._readiness.permit_is(on, now_ns)

    def _runs_down(self, now_ns: int) -> None:
        """From now on the belt coasts to a stand: gate times computed from a constant speed no longer hold."""
        if not self._axis.measured:
            self._coast_until_ns = now_ns + self._zone.transit

    def _output_failed(self, event: OutputFailed, now_ns: int) -> None:
        if event.which is Which.GATE:
            self._writing = False
            self.levels.changed(self._axis.here(event.issued_ns), None)
        else:
            self._permit_is(False, now_ns)
        self._rest[event.which].failed(now_ns)
        if self._readiness.fault(event.which.value, event.words, now_ns):
            self._say(f"{event.which.value} failed: {event.words}; going to rest, acknowledge after the repair")

    def _output_rested(self, event: OutputRested, now_ns: int) -> None:
        self._rest[event.which].succeeded()
        self._beat_ns[event.which] = self._fed_ns[event.which] = now_ns
        if event.which is Which.GATE:
            self._gate_is(False, now_ns)
        else:
            self._runs_down(now_ns)
        self._say(f"the {event.which.value} is at rest again")

    def _armed(self, _event: Armed, now_ns: int) -> None:
        self._arm.succeeded()
        self._is_armed = True
        self._beat_ns = dict.fromkeys(Which, now_ns)
        self._fed_ns = dict.fromkeys(Which, now_ns)
        self._gate_is(False, now_ns)
        if self._settings.permits:
            self._runs_down(now_ns)  # an earlier process may have let the belt run until now
        self._readiness.armed(now_ns)

    def _arm_failed(self, event: ArmFailed, now_ns: int) -> None:
        self._arm.failed(now_ns)
        if not self._readiness.cause:
            self._say(f"the outputs cannot be armed yet: {event.words}")
        self._readiness.not_armed(event.words)

    def repair(self, now_ns: int) -> bool:
        """Arm the outputs, or bring one that failed to rest; whether there was something to do. One at a time, because
        each is kept clear of the next gate edge by itself."""
        if self._ended:
            return False
        if self._arm.due(now_ns):
            self._arm.at_ns = None
            self._act(Arm())
            return True
        for which, retry in self._rest.items():
            at_ns = self._next_repair_ns(which, now_ns)
            if at_ns is not None and at_ns <= now_ns:
                retry.at_ns = now_ns + 5 * SECOND
                self._act(Rest(which))
                return True
        return False

    def _next_repair_ns(self, which: Which, now_ns: int) -> int | None:
        at_ns = self._rest[which].at_ns
        return None if at_ns is None else self._clear_of_edge_ns(at_ns, now_ns, self._takes_ns(which))

    def _usable(self, which: Which) -> bool:
        return self._is_armed and self._rest[which].at_ns is None

    def _beat_every(self, which: Which) -> int | None:
        settings = self._settings
        if which is Which.GATE:
            return settings.gate_heartbeat_ns
        return settings.permit_heartbeat_ns if settings.permits else None

    def _takes_ns(self, which: Which) -> int:
        settings = self._settings
        gate, permit = settings.gate_heartbeat_takes_ns, settings.permit_heartbeat_takes_ns
        return max(_CLEAR_OF_EDGE_NS, gate if which is Which.GATE else permit)

    def _next_beat_ns(self, which: Which, now_ns: int) -> int | None:
        """When this output is to be written again. One that has waited for long no longer asks for all its time: edges
        may follow each other so fast that it would never come, and its watchdog would trip."""
        every_ns = self._beat_every(which)
        if every_ns is None or not self._usable(which) or self._ended:
            return None
        at_ns = self._beat_ns[which] + every_ns
        waited_long = now_ns >= at_ns + every_ns // 2
        return self._clear_of_edge_ns(at_ns, now_ns, _CLEAR_OF_EDGE_NS if waited_long else self._takes_ns(which))

    def _clear_of_edge_ns(self, at_ns: int, now_ns: int, takes_ns: int) -> int:
        """When something that is due at `at_ns` can be done: not right before a gate edge, which it would delay."""
        edge_ns = self.gate_edge_ns
        if edge_ns is not None and edge_ns - takes_ns < max(at_ns, now_ns):
            return max(at_ns, edge_ns + 1)
        return at_ns

    def beat(self, now_ns: int) -> None:
        """Write levels again for a watchdog outside that waits for it, one output at a time."""
        for which in Which:
            at_ns = self._next_beat_ns(which, now_ns)
            if at_ns is None or at_ns > now_ns or self._writing:
                continue
            self._beat_ns[which] = now_ns
            if which is Which.PERMIT:
                self._act(WritePermit(self._readiness.permit))
                return
            if self.levels.active is not None:
                self._act(WriteGate(GateEdge(self._axis.here(now_ns), self.levels.active)))
                self._planned_ns, self._writing = now_ns, True
                return

    def watch_heartbeats(self, now_ns: int) -> None:
        """Begin again at rest when this process stood still and missed heartbeats.

        The watchdog outside may have stopped the belt or let the gate fall: gate times are worth nothing then.
        """
        starved = [which for which in Which if self._starved(which, now_ns)]
        if not starved:
            return
        fed_ns = min(self._fed_ns[which] for which in starved)
        self._say(f"stood still for {(now_ns - fed_ns) // MS} ms: a watchdog may have tripped; purging the zone")
        self._edge = self._due_ns = None
        for which in starved:
            if which is Which.PERMIT:
                self._permit_is(False, now_ns)
            elif self.levels.active:
                self.levels.changed(self._axis.here(self._fed_ns[which] + 1), None)
            self._beat_ns[which] = self._fed_ns[which] = self._rest[which].at_ns = now_ns
        self._tracker.withdraw(Reason.STATION_STOPPED)
        self._readiness.forget_zone(now_ns)

    def _starved(self, which: Which, now_ns: int) -> bool:
        """A watchdog waits for three heartbeats: after two without one it may trip before the next is out."""
        every_ns = self._beat_every(which)
        if every_ns is None or not self._usable(which) or self._ended:
            return False
        return now_ns - self._fed_ns[which] > 2 * every_ns + _BEAT_SLACK_NS

    def happened(self, event: Event, now_ns: int) -> None:
        """Take in the result of an action."""
        self._HANDLERS[type(event)](self, event, now_ns)

    _HANDLERS: ClassVar[dict[type[Any], Callable[[Drive, Any, int], None]]] = {
        Armed: _armed,
        ArmFailed: _arm_failed,
        GateWritten: _gate_written,
        PermitWritten: _permit_written,
        OutputFailed: _output_failed,
        OutputRested: _output_rested,
    }
