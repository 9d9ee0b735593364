"""Which parts are on the belt and what was said of each: REJECT is booked at birth, a release must earn its way."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge.line.level import Kept, LevelRecord
from edge.line.messages import AckStatus
from edge.line.schedule import GateEdge, Slot
from edge.line.zone import Zone
from edge.records import GateEvent, GateOutcome, Kind, Part, Reason


@dataclass(slots=True)
class Flight:
    """One part between trigger and gate, with the first word said for it and the write that served it."""

    part: Part
    epoch: int
    held_back: Reason  # why it may not be released, NONE when it may
    verdict: Kind = Kind.UNKNOWN
    reason: Reason = Reason.NO_VERDICT
    spoken: bool = False
    released: bool = False
    refused: bool = False  # its activation came too late and was not executed
    bypassed: bool = False  # born during a bypass: passes whatever is said of it
    planned_ns: int = 0
    written_ns: int = 0
    confirmed_ns: int = 0


class Tracker:
    """The parts in flight, in order of birth. Time mode: a part's gate time follows from its birth alone.

    Part ids are `session << 32 | number`, numbers from 1. The epoch names the eye connection that may release;
    0 is none.
    """

    def __init__(self, zone: Zone, session: int) -> None:
        self._zone = zone
        self._session = session
        self._born = 0
        self._flights: dict[int, Flight] = {}
        self._past: list[Slot] = []  # ended slots that still clip or join the next ones
        self._epoch = 0
        self._last_born_ns: int | None = None
        self._last_id = 0
        self.touching = 0

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def last_id(self) -> int:
        """The id of the youngest part, 0 before the first."""
        return self._last_id

    def holds_up_to(self, part_id: int) -> bool:
        """Whether a part with this id or an older one is still in flight."""
        return any(number <= part_id for number in self._flights)

    def connect(self, epoch: int) -> None:
        """A new eye speaks from now on (0: none); parts born before it are not its to release."""
        self._epoch = epoch
        if epoch:
            self.distrust(Reason.OTHER_EPOCH)

    def birth(
        self,
        born_ns: int,
        born_err_ns: int,
        held_back: Reason = Reason.NONE,
        *,
        recipe: int = 0,
        token: int = 0,
        bypassed: bool = False,
    ) -> Part:
        """A part was born; REJECT is booked for it, but for a bypassed one. `held_back` says why it may not be
        released, if so."""
        if self._separate(born_ns) and not bypassed:
            held_back = Reason.TOUCHING
        self._born += 1
        part = Part(
            part_id=self._session << 32 | self._born,
            born_ns=born_ns,
            born_err_ns=born_err_ns,
            position=born_ns,
            deadline_ns=self._zone.deadline_ns(born_ns),
            gate_ns=self._zone.gate_ns(born_ns),
            recipe=recipe,
            token=token,
            releasable=held_back is Reason.NONE,
        )
        flight = Flight(part, self._epoch, held_back, planned_ns=self._zone.slot_start_ns(born_ns))
        if bypassed:
            flight.reason, flight.released, flight.bypassed = Reason.BYPASS, True, True
        self._flights[part.part_id] = flight
        self._last_id = part.part_id
        return part

    def _separate(self, born_ns: int) -> bool:
        """Whether the new part touches a neighbour; the neighbour is held back too and its release withdrawn."""
        near = [
            flight
            for flight in self._flights.values()
            if abs(flight.part.born_ns - born_ns) < self._zone.touching_ns
        ]
        last_ns = self._last_born_ns
        touching = bool(near) or (last_ns is not None and abs(born_ns - last_ns) < self._zone.touching_ns)
        self._last_born_ns = born_ns if last_ns is None else max(born_ns, last_ns)
        for flight in near:
            if not flight.bypassed:
                self._hold_back(flight, Reason.TOUCHING)
        self.touching += touching
        return touching

    def _hold_back(self, flight: Flight, reason: Reason) -> None:
        if flight.held_back is Reason.NONE:
            flight.held_back = reason
            flight.part = replace(flight.part, releasable=False)
        if flight.released:
            flight.released = False
            flight.reason = reason

    def release(self, part_id: int, now_ns: int, line_ready: bool) -> AckStatus:
        """A PASS for this part. It counts when it is the first word, in time, of the eye that got the birth."""
        flight = self._flights.get(part_id)
        if flight is None:
            return self._absent(part_id)
        if flight.spoken:
            return AckStatus.DUPLICATE
        flight.spoken = True
        if flight.bypassed:
            flight.verdict = Kind.PASS
            return AckStatus.NOT_RELEASABLE
        if now_ns >= flight.part.deadline_ns:
            flight.reason = Reason.LATE
            return AckStatus.LATE
        flight.verdict = Kind.PASS
        flight.reason = self._objection(flight, line_ready)
        flight.released = flight.reason is Reason.NONE
        return AckStatus.ACCEPTED if flight.released else AckStatus.NOT_RELEASABLE

    def _objection(self, flight: Flight, line_ready: bool) -> Reason:
        if flight.held_back is not Reason.NONE:
            return flight.held_back
        if flight.epoch == 0 or flight.epoch != self._epoch:
            return Reason.OTHER_EPOCH
        return Reason.NONE if line_ready else Reason.STATION_STOPPED

    def _absent(self, part_id: int) -> AckStatus:
        """Too late for a part that has ended; unknown for one that never was."""
        ended = part_id >> 32 == self._session and 0 < part_id & 0xFFFF_FFFF <= self._born
        return AckStatus.LATE if ended else AckStatus.UNKNOWN_PART

    def reject(self, part_id: int, now_ns: int, kind: Kind, reason: Reason) -> AckStatus:
        """An explicit REJECT or UNKNOWN verdict: the booking stands, and the silence is broken."""
        flight = self._flights.get(part_id)
        if flight is None:
            return self._absent(part_id)
        if flight.spoken:
            return AckStatus.DUPLICATE
        flight.spoken = True
        if now_ns >= flight.part.deadline_ns and not flight.bypassed:
            flight.reason = Reason.LATE
            return AckStatus.LATE
        flight.verdict = Kind.REJECT if kind is Kind.REJECT else Kind.UNKNOWN
        if not flight.bypassed:
            flight.reason = reason
        return AckStatus.ACCEPTED

    def end_bypass(self, reason: Reason) -> None:
        """Parts that were to pass by a bypass are rejected after all."""
        for flight in self._flights.values():
            if flight.bypassed:
                flight.bypassed = False
                self._hold_back(flight, reason)

    def withdraw(self, reason: Reason) -> None:
        """The belt's speed or the zone is no longer known: nothing in flight is let pass, releases included."""
        for flight in self._flights.values():
            self._hold_back(flight, reason)

    def distrust(self, reason: Reason) -> None:
        """Nothing in flight can be released from now on; releases that were accepted stand."""
        for flight in self._flights.values():
            if not flight.released:
                self._hold_back(flight, reason)

    def refuse(self, part_ids: frozenset[int]) -> int:
        """These parts' activations are late and will not be executed; returns how many are newly refused."""
        late = [self._flights[part_id] for part_id in part_ids if part_id in self._flights]
        fresh = [flight for flight in late if self._energises(flight) and not flight.refused]
        for flight in fresh:
            flight.refused = True
        return len(fresh)

    def forget_past(self) -> bool:
        """Ended slots join and clip nothing any more, because the gate does not stand as they need it; whether there
        were some."""
        had_some = bool(self._past)
        self._past = []
        return had_some

    def _energises(self, flight: Flight) -> bool:
        return flight.released == self._zone.rest_rejects

    def slots(self) -> list[Slot]:
        """The slots the gate must serve.

        A refused part is planned as what the gate's rest does with it: no late kick, and no opening through it.
        """
        return [*self._past, *(self._planned(flight) for flight in self._flights.values())]

    def _planned(self, flight: Flight) -> Slot:
        return self._slot(flight, not self._zone.rest_rejects if flight.refused else flight.released)

    def _slot(self, flight: Flight, released: bool) -> Slot:
        start_ns = self._zone.slot_start_ns(flight.part.born_ns)
        return Slot(flight.part.part_id, start_ns, start_ns + self._zone.pulse_ns, released)

    def served(self, edge: GateEdge, written_ns: int, confirmed_ns: int) -> None:
        """A write was issued for the parts of this edge."""
        for part_id in edge.part_ids:
            flight = self._flights.get(part_id)
            if flight is not None:
                flight.planned_ns, flight.written_ns, flight.confirmed_ns = edge.at_ns, written_ns, confirmed_ns

    def next_end_ns(self) -> int | None:
        """When the next slot ends, None without parts."""
        if not self._flights:
            return None
        return min(self._slot(flight, False).end_ns for flight in self._flights.values())

    def ended(self, now_ns: int, levels: LevelRecord, wall_ns: int, next_seq: int, shadow: bool) -> list[GateEvent]:
        """The events of the parts whose slots are over, numbered from `next_seq`; each part ends exactly once."""
        over = [flight for flight in self._flights.values() if self._slot(flight, False).end_ns <= now_ns]
        over.sort(key=lambda flight: flight.part.born_ns)
        events: list[GateEvent] = []
        self._past = [slot for slot in self._past if slot.end_ns + self._zone.pulse_ns > now_ns]
        for flight in over:
            self._past.append(self._planned(flight))
            del self._flights[flight.part.part_id]
            outcome, reason = self._judge(flight, levels)
            events.append(_event(flight, outcome, reason, next_seq + len(events), wall_ns, shadow))
        return events

    def _judge(self, flight: Flight, levels: LevelRecord) -> tuple[GateOutcome, Reason]:
        """By what the gate did: a reject needs its level all through, a release in the middle of its slot."""
        slot = self._slot(flight, flight.released)
        middle_ns = (slot.start_ns + slot.end_ns) // 2
        active = self._energises(flight)
        if flight.released:
            kept = levels.kept(active, middle_ns, middle_ns + 1)
        else:
            kept = levels.kept(active, min(slot.start_ns + self._zone.tolerance_ns, middle_ns), slot.end_ns)
        if kept is Kept.YES:
            return (GateOutcome.RELEASED if flight.released else GateOutcome.FIRED), flight.reason
        return GateOutcome.LATE, Reason.OUTPUT_ERROR if kept is Kept.UNKNOWN else Reason.LATE_WRITE


def _event(
    flight: Flight, outcome: GateOutcome, reason: Reason, ring_seq: int, wall_ns: int, shadow: bool
) -> GateEvent:
    part = flight.part
    if reason is Reason.NO_VERDICT and flight.held_back is not Reason.NONE:
        reason = flight.held_back
    return GateEvent(
        ring_seq=ring_seq,
        part_id=part.part_id,
        born_ns=part.born_ns,
        born_err_ns=part.born_err_ns,
        deadline_ns=part.deadline_ns,
        planned_ns=flight.planned_ns,
        written_ns=flight.written_ns,
        confirmed_ns=flight.confirmed_ns,
        ended_wall_ns=wall_ns,
        recipe=part.recipe,
        outcome=outcome,
        verdict=flight.verdict,
        reason=reason,
        shadow=shadow,
    )
