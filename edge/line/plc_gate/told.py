"""What a PLC that owns the gate was told of each part, and whether it did that: identity and outcome; pure.

A part is the PLC's edge that lies where the trigger's lies; its word goes out by that number. The PLC rejects what has
no word, so silence here rejects, and what the PLC says it did is the outcome.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edge.line.axis import Axis
from edge.line.events import Action, BeatPlc, PlcDid, PlcSaw, TellPlc
from edge.line.limits import Trip
from edge.line.messages import LimitAction, LineState
from edge.line.plc_gate.table import MAX_LIVE, SLOTS, LineFlag, steps
from edge.line.readiness import Readiness
from edge.line.tracker import Flight, Tracker
from edge.line.zone import Zone
from edge.records import GateEvent, GateOutcome, Reason

_ELSEWHERE = (Reason.TOUCHING, Reason.UNTRACKED)  # the PLC may count such parts otherwise


@dataclass(frozen=True, slots=True)
class PlcTerms:
    """How long an edge or an answer of the PLC may be on its way, how often the PLC gets a sign of life, and how long
    before its place a part is served, where the axis does not count that in."""

    patience_ns: int
    beat_ns: int
    lead_ns: int = 0


@dataclass(slots=True)
class _Told:
    """A part that the PLC saw too. `ever`: it was told RELEASE once."""

    flight: Flight
    saw: PlcSaw
    release: bool | None = None
    ever: bool = False
    did: PlcDid | None = None

    @property
    def number(self) -> int:
        return self.flight.part.part_id & 0xFFFF_FFFF


class Told:
    """Feed it what the PLC saw and did; call `look` at each step, and take the parts that ended from `ended`."""

    def __init__(
        self,
        terms: PlcTerms,
        zone: Zone,
        axis: Axis,
        tracker: Tracker,
        readiness: Readiness,
        act: Callable[[Action], None],
        trip: Callable[[Trip], None],
        say: Callable[[str], None],
    ) -> None:
        self._terms = terms
        self._zone = zone
        self._axis = axis
        self._tracker = tracker
        self._readiness = readiness
        self._act = act
        self._trip = trip
        self._say = say
        self._session: int | None = None
        self._from_ns: int | None = None  # since when the PLC listens
        self._edges: dict[PlcSaw, int] = {}  # that no part was found for yet, and since when
        self._early: dict[int, PlcDid] = {}  # answers for those, by their edge
        self._awaits: dict[int, int] = {}  # parts that the PLC has not told of yet, and since when
        self._told: dict[int, _Told] = {}  # by part id
        self._unseen: set[int] = set()  # parts that the PLC did not see come
        self._over_ns: dict[int, int] = {}  # when the slot of a part without an answer was over
        self._unanswered: deque[_Told] = deque(maxlen=2 * SLOTS)  # parts that ended so
        self._looked_ns: int | None = None
        self._beat_ns = 0
        self._flags = -1

    # --- events ---

    def back(self, now_ns: int) -> None:
        """The PLC listens from now on. What it saw before is its own."""
        self._from_ns = now_ns

    def lost(self) -> None:
        """The PLC rejects what it still has, if it lives; nobody will know."""
        self._session = self._from_ns = None
        self._edges.clear()
        self._early.clear()
        self._awaits.clear()
        self._told.clear()
        self._unanswered.clear()
        self._tracker.withdraw(Reason.OUTPUT_ERROR)

    def saw(self, event: PlcSaw, now_ns: int) -> None:
        """The PLC told of an edge of its photo-eye; its part is looked for at the next `look`."""
        self._session = event.session
        self._edges[event] = now_ns

    def did(self, event: PlcDid, now_ns: int) -> None:
        """The PLC told what it did with a part. What belongs to an earlier conversation changes nothing."""
        if event.session != self._session:
            return
        if any(edge.edge == event.edge for edge in self._edges):
            self._early[event.edge] = event
            return
        known = [*self._told.values(), *self._unanswered]
        told = next((each for each in known if each.saw.edge == event.edge), None)
        if told is None:
            if event.passed or event.part_number:
                self._distrust("the PLC moved the gate by a word for a part that it has not", now_ns)
        else:
            self._answered(told, event, now_ns)

    def _answered(self, told: _Told, event: PlcDid, now_ns: int) -> None:
        told.did = event
        told.flight.confirmed_ns = event.at_ns
        wrong = self._wrong(told, event) or self._misplaced(told, event)
        if wrong:
            self._distrust(wrong, now_ns)

    def _wrong(self, told: _Told, did: PlcDid) -> str:
        """What no right program does, empty when it may be."""
        part_id = told.flight.part.part_id
        if did.part_number not in (0, told.number):
            other = part_id - told.number + did.part_number
            return f"the PLC took the word for part {other} for that of part {part_id}"
        if did.passed and not (told.ever and did.part_number):
            return f"the PLC let part {part_id} pass, which nobody released"
        return ""

    def _misplaced(self, told: _Told, did: PlcDid) -> str:
        part_id = told.flight.part.part_id
        if any(self._is_before(other, told) for other in self._told.values()):
            return f"the PLC left out a part before part {part_id}"
        start, _ = self._tracker.span(told.flight)
        if self._has_place(told.flight) and not self._within(did, start, self._zone.pitch // 2):
            return f"the PLC moved the gate for part {part_id} where its neighbour was"
        return ""

    def _is_before(self, other: _Told, told: _Told) -> bool:
        return other.did is None and 0 < steps(other.saw.edge, told.saw.edge) < 2 * MAX_LIVE

    def _has_place(self, flight: Flight) -> bool:
        """Whether it is known where the part is: a belt whose travel is not measured may have stopped since."""
        return self._axis.measured or self._readiness.forgotten_ns <= flight.part.born_ns

    def _within(self, did: PlcDid, start: int, tolerance: int) -> bool:
        """Whether the gate may have moved so near to this place."""
        at_ns = did.at_ns + self._terms.lead_ns
        first, last = self._axis.place(at_ns - did.err_ns), self._axis.place(at_ns + did.err_ns)
        return first <= start + tolerance and last >= start - tolerance

    def _distrust(self, words: str, now_ns: int) -> None:
        """Which part is which is in doubt: nothing passes until a person has looked."""
        self._tracker.withdraw(Reason.STATION_STOPPED)
        self._readiness.forget_zone(now_ns)
        self._trip(Trip(LimitAction.STOP, 1, words))

    # --- each step ---

    def due_ns(self) -> list[int]:
        """When there is something to do even if nothing happens."""
        ends = [self._axis.when_ns(end) for end in self._ends()]
        waits = [*self._over_ns.values(), *self._edges.values(), *self._awaits.values()]
        return [
            self._beat_ns + self._terms.beat_ns,
            *(at_ns for at_ns in ends if at_ns is not None),
            *(since_ns + self._terms.patience_ns for since_ns in waits),
        ]

    def _ends(self) -> list[int]:
        """Where the parts end at the earliest, but for those that wait for their answer only."""
        ends = []
        for flight in self._tracker.in_flight():
            start, end = self._tracker.span(flight)
            told = self._told.get(flight.part.part_id)
            if told is not None and told.did is not None:
                ends.append(start)
            elif flight.part.part_id not in self._over_ns:
                ends.append(end)
        return ends

    def look(self, now_ns: int) -> None:
        """Find the parts of new edges, and say what has changed."""
        self._wait_on(now_ns)
        self._drop_abandoned()
        for edge, since_ns in list(self._edges.items()):
            if self._settled(edge, now_ns >= since_ns + self._terms.patience_ns, now_ns):
                del self._edges[edge]
                early = self._early.pop(edge.edge, None)
                if early is not None:
                    self.did(early, now_ns)
        awaited = [flight for flight in self._tracker.in_flight() if self._owes(flight)]
        self._awaits = {each.part.part_id: self._awaits.get(each.part.part_id, now_ns) for each in awaited}
        for flight in awaited:
            if now_ns >= self._awaits[flight.part.part_id] + self._terms.patience_ns:
                self._not_seen(flight, now_ns)
        for told in self._told.values():
            if told.did is None and told.release is not told.flight.released:
                self._tell(told)
        self._beat(now_ns)

    def _wait_on(self, now_ns: int) -> None:
        """What this process was late for by itself is no fault of the PLC."""
        late_ns = 0 if self._looked_ns is None else now_ns - self._looked_ns - self._terms.beat_ns
        self._looked_ns = now_ns
        if late_ns > 0:
            self._edges = {edge: since_ns + late_ns for edge, since_ns in self._edges.items()}
            self._awaits = {part_id: since_ns + late_ns for part_id, since_ns in self._awaits.items()}
            self._over_ns = {part_id: since_ns + late_ns for part_id, since_ns in self._over_ns.items()}

    def _drop_abandoned(self) -> None:
        """Parts that the line gave up at its stop; the PLC may still say what it did with them."""
        flying = {flight.part.part_id for flight in self._tracker.in_flight()}
        self._unanswered.extend(told for part_id, told in self._told.items() if part_id not in flying)
        self._told = {part_id: told for part_id, told in self._told.items() if part_id in flying}
        self._over_ns = {part_id: since_ns for part_id, since_ns in self._over_ns.items() if part_id in flying}
        self._unseen &= flying

    def _owes(self, flight: Flight) -> bool:
        """Whether the PLC must see this part and has not yet told."""
        part_id = flight.part.part_id
        known = part_id in self._told or part_id in self._unseen
        return self._from_ns is not None and not known and flight.part.born_ns > self._from_ns

    def _settled(self, edge: PlcSaw, is_over: bool, now_ns: int) -> bool:
        """Whether nothing more is to be found out about this edge; `is_over`: its part would have come."""
        near = [flight for flight in self._tracker.in_flight() if self._is_one(edge, flight)]
        fresh = [flight for flight in near if flight.part.part_id not in self._told]
        if len(near) > 1:
            self._hold_back(near)
        if fresh:
            self._told[fresh[0].part.part_id] = _Told(fresh[0], edge)
        elif near:
            self._hold_back(near)
            self._say("the PLC saw one part as two: it is rejected; compare how both debounce their photo-eye")
        elif is_over:
            self._extra(now_ns)
        else:
            return False
        return True

    def _is_one(self, edge: PlcSaw, flight: Flight) -> bool:
        """Whether the PLC's edge and the trigger's may be one."""
        return abs(edge.at_ns - flight.part.born_ns) <= edge.err_ns + flight.part.born_err_ns

    def _hold_back(self, near: list[Flight]) -> None:
        for flight in near:
            self._tracker.hold_back(flight.part.part_id, Reason.AMBIGUOUS, flight.tail)

    def _extra(self, now_ns: int) -> None:
        """The trigger missed a part."""
        self._say("the PLC saw a part that the trigger did not: it rejects that one, and the zone is purged")
        self._tracker.distrust(Reason.PURGE)
        self._readiness.forget_zone(now_ns)

    def _not_seen(self, flight: Flight, now_ns: int) -> None:
        """Nobody rejects a part that the PLC does not know of."""
        part_id = flight.part.part_id
        self._unseen.add(part_id)
        del self._awaits[part_id]
        near = any(self._is_one(told.saw, flight) for told in self._told.values())
        if not near and flight.held_back not in _ELSEWHERE:
            self._distrust(f"the PLC did not see part {part_id} come: it may pass the gate", now_ns)

    def _tell(self, told: _Told) -> None:
        told.release = told.flight.released
        told.ever = told.ever or told.release
        self._act(TellPlc(told.saw.session, told.saw.edge, told.number, told.release))

    def _beat(self, now_ns: int) -> None:
        state = self._readiness.state
        flags = int(LineFlag.INSPECTING) if state is LineState.READY else 0
        flags |= LineFlag.BYPASS if state is LineState.BYPASSED else 0
        if flags != self._flags or now_ns >= self._beat_ns + self._terms.beat_ns:
            self._flags, self._beat_ns = flags, now_ns
            self._act(BeatPlc(flags))

    # --- the parts' ends ---

    def ended(self, here: int, now_ns: int, wall_ns: int) -> list[GateEvent]:
        """The events of the parts that the PLC has answered for, or can no longer; each part ends exactly once."""
        events = []
        for flight in sorted(self._tracker.in_flight(), key=lambda flight: flight.place):
            start, end = self._tracker.span(flight)
            told = self._told.get(flight.part.part_id)
            if told is not None and told.did is not None:
                if start <= here:
                    events.append(self._end(flight, *self._judge(told, told.did, start), wall_ns))
            elif end <= here and self._has_waited(flight, now_ns):
                if told is not None:
                    self._no_answer(told, now_ns)
                events.append(self._end(flight, GateOutcome.LATE, Reason.OUTPUT_ERROR, wall_ns))
        return events

    def _has_waited(self, flight: Flight, now_ns: int) -> bool:
        """Whether an answer can no longer come."""
        if flight.part.part_id not in self._told and not self._owes(flight):
            return True
        since_ns = self._over_ns.setdefault(flight.part.part_id, now_ns)
        return now_ns >= since_ns + self._terms.patience_ns

    def _no_answer(self, told: _Told, now_ns: int) -> None:
        self._unanswered.append(told)
        if self._has_place(told.flight):
            self._distrust(f"the PLC did not say what became of part {told.flight.part.part_id}", now_ns)

    def _end(self, flight: Flight, outcome: GateOutcome, reason: Reason, wall_ns: int) -> GateEvent:
        self._told.pop(flight.part.part_id, None)
        return self._tracker.end(flight, outcome, reason, wall_ns)

    def _judge(self, told: _Told, did: PlcDid, start: int) -> tuple[GateOutcome, Reason]:
        """By what the PLC did, and where."""
        flight = told.flight
        if self._wrong(told, did):
            return GateOutcome.LATE, Reason.OUTPUT_ERROR
        if did.passed is not flight.released or not self._within(did, start, self._zone.tolerance):
            return GateOutcome.LATE, Reason.LATE_WRITE
        return (GateOutcome.RELEASED if did.passed else GateOutcome.FIRED), flight.reason
