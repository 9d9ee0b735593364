"""Which parts are on the belt and what was said of each: REJECT is booked at birth, a release must earn its way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from edge.line.axis import Axis
from edge.line.level import Kept, LevelRecord
from edge.line.messages import AckStatus
from edge.line.schedule import GateEdge, Slot
from edge.line.zone import Zone
from edge.records import GateEvent, GateOutcome, Kind, Part, Reason


@dataclass(slots=True)
class Flight:
    """One part between trigger and gate, with the first word said for it and the write that served it.

    `shift` is by how much a second eye saw it beside its place, `tail` by how much it is longer than a part. `refused`
    is where its activation was too late and not executed. `lost` is where the belt's travel was lost, so that nobody
    knows where the part was when; `skipped` is what the axis had jumped when it was born.
    """

    part: Part
    epoch: int
    held_back: Reason  # why it may not be released, NONE when it may
    verdict: Kind = Kind.UNKNOWN
    reason: Reason = Reason.NO_VERDICT
    spoken: bool = False
    released: bool = False
    bypassed: bool = False  # born during a bypass: passes whatever is said of it
    reached: bool = False  # the gate began to serve it
    seen_again: bool = False
    shift: int = 0
    tail: int = 0
    refused: int | None = None
    lost: int | None = None
    skipped: int = 0
    planned_ns: int = 0
    written_ns: int = 0
    confirmed_ns: int = 0

    @property
    def place(self) -> int:
        """Where it was born, as far as is known by now."""
        return self.part.position + self.shift


class Tracker:
    """The parts in flight, in order of birth. A part's slot at the gate follows from its place at birth.

    Part ids are `session << 32 | number`, numbers from 1. The epoch names the eye connection that may release;
    0 is none.
    """

    def __init__(self, zone: Zone, session: int, axis: Axis) -> None:
        self._zone = zone
        self._axis = axis
        self._session = session
        self._born = 0
        self._flights: dict[int, Flight] = {}
        self._past: list[Slot] = []  # ended slots that still clip or join the next ones
        self._epoch = 0
        self._last_born: int | None = None
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
        place: int | None = None,
    ) -> Part:
        """A part was born; REJECT is booked for it, but for a bypassed one. `held_back` says why it may not be
        released, if so; `place` is where it was born, where that is not where the belt was then."""
        born = self._axis.place(born_ns) if place is None else place
        if self._separate(born) and not bypassed:
            held_back = Reason.TOUCHING
        self._born += 1
        part = Part(
            part_id=self._session << 32 | self._born,
            born_ns=born_ns,
            born_err_ns=born_err_ns,
            position=born,
            deadline_ns=self._axis.expected_ns(self._zone.deadline(born), born_ns),
            gate_ns=self._axis.expected_ns(self._zone.gate(born), born_ns),
            recipe=recipe,
            token=token,
            releasable=held_back is Reason.NONE,
        )
        planned_ns = self._axis.expected_ns(self._zone.slot_start(born), born_ns)
        flight = Flight(part, self._epoch, held_back, skipped=self._axis.skipped, planned_ns=planned_ns)
        if bypassed:
            flight.reason, flight.released, flight.bypassed = Reason.BYPASS, True, True
        self._flights[part.part_id] = flight
        self._last_id = part.part_id
        return part

    def _separate(self, born: int) -> bool:
        """Whether the new part touches a neighbour; the neighbour is held back too and its release withdrawn."""
        near = [flight for flight in self._flights.values() if abs(flight.place - born) < self._zone.touching]
        last = self._last_born
        touching = bool(near) or (last is not None and abs(born - last) < self._zone.touching)
        self._last_born = born if last is None else max(born, last)
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

    def names(self, part_id: int, born_ns: int) -> bool:
        """Whether a word names this part's own birth; no birth contradicts it when the part is not in flight."""
        flight = self._flights.get(part_id)
        return flight is None or flight.part.born_ns == born_ns

    def release(self, part_id: int, place: int, line_ready: bool) -> AckStatus:
        """A PASS for this part, said when the belt is at `place`. It counts when it is the first word, in time, of the
        eye that got the birth."""
        flight = self._flights.get(part_id)
        if flight is None:
            return self._absent(part_id)
        if flight.spoken:
            return AckStatus.DUPLICATE
        flight.spoken = True
        if flight.bypassed:
            flight.verdict = Kind.PASS
            return AckStatus.NOT_RELEASABLE
        if place >= self._zone.deadline(flight.place):
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

    def reject(self, part_id: int, place: int, kind: Kind, reason: Reason) -> AckStatus:
        """An explicit REJECT or UNKNOWN verdict: the booking stands, and the silence is broken."""
        flight = self._flights.get(part_id)
        if flight is None:
            return self._absent(part_id)
        if flight.spoken:
            return AckStatus.DUPLICATE
        flight.spoken = True
        if place >= self._zone.deadline(flight.place) and not flight.bypassed:
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

    def lose(self, here: int, reason: Reason) -> None:
        """The belt's travel was lost here: nothing that the gate has yet to serve is let pass, and nobody knows when it
        comes there, or to a second eye."""
        for flight in self._flights.values():
            if self._end(flight) > here:
                self._hold_back(flight, reason)
                flight.lost = here if flight.lost is None else flight.lost
                flight.seen_again = True

    def lost_from(self, here: int) -> int:
        """The first place where a part in flight was lost, `here` when none was."""
        return min((flight.lost for flight in self._flights.values() if flight.lost is not None), default=here)

    def distrust(self, reason: Reason) -> None:
        """Nothing in flight can be released from now on; releases that were accepted stand."""
        for flight in self._flights.values():
            if not flight.released:
                self._hold_back(flight, reason)

    def refuse(self, part_ids: frozenset[int], here: int) -> int:
        """These parts' activations are late and will not be executed; returns how many are newly refused."""
        late = [self._flights[part_id] for part_id in part_ids if part_id in self._flights]
        fresh = [flight for flight in late if self._planned(flight).released == self._zone.rest_rejects]
        for flight in fresh:
            flight.refused = here
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
        """The slots the gate must serve."""
        return [*self._past, *(self._planned(flight) for flight in self._flights.values())]

    def _planned(self, flight: Flight) -> Slot:
        """A refused part is planned as what the gate's rest does with it: no late kick, and no opening through it. Of
        one that is longer than a part, the rest is still rejected when a whole part can be in it."""
        slot = self._slot(flight, flight.released)
        if flight.refused is None:
            return slot
        last = slot.end - self._zone.pulse
        if self._zone.rest_rejects or flight.refused > last + self._zone.tolerance:
            return replace(slot, released=not self._zone.rest_rejects)
        return replace(slot, start=min(flight.refused, last))

    def _slot(self, flight: Flight, released: bool) -> Slot:
        start = self._zone.slot_start(flight.place)
        return Slot(flight.part.part_id, start, start + self._zone.pulse + flight.tail, released)

    def served(self, edge: GateEdge, planned_ns: int, written_ns: int, confirmed_ns: int) -> None:
        """A write was issued for the parts of this edge."""
        for part_id in edge.part_ids:
            flight = self._flights.get(part_id)
            if flight is not None:
                flight.planned_ns, flight.written_ns, flight.confirmed_ns = planned_ns, written_ns, confirmed_ns

    def next_end(self) -> int | None:
        """Where the next part is through, None without parts."""
        return min((self._end(flight) for flight in self._flights.values()), default=None)

    def _end(self, flight: Flight) -> int:
        """Where the part is surely through: a counter that began anew had jumped ahead of the belt."""
        slot_end = self._zone.slot_start(flight.place) + self._zone.pulse + flight.tail
        return slot_end + self._axis.skipped - flight.skipped

    def ended(self, here: int, levels: LevelRecord, wall_ns: int, shadow: bool) -> list[GateEvent]:
        """The events of the parts whose slots are over, not numbered yet; each part ends exactly once."""
        self._past = [slot for slot in self._past if slot.end + self._zone.pulse > here]
        over = [flight for flight in self._flights.values() if self._end(flight) <= here]
        over.sort(key=lambda flight: flight.place)
        events: list[GateEvent] = []
        for flight in over:
            self._past.append(self._planned(flight))
            del self._flights[flight.part.part_id]
            events.append(_event(flight, *self._judge(flight, levels), wall_ns, shadow))
        return events

    def in_flight(self) -> list[Flight]:
        """The parts that have not ended, in order of birth."""
        return list(self._flights.values())

    def span(self, flight: Flight) -> tuple[int, int]:
        """The stretch of the axis in which the gate belongs to this part."""
        slot = self._slot(flight, flight.released)
        return slot.start, slot.end

    def end(
        self, flight: Flight, outcome: GateOutcome, reason: Reason, wall_ns: int, shadow: bool = False
    ) -> GateEvent:
        """This part ended so, by the word of whoever moved the gate for it."""
        del self._flights[flight.part.part_id]
        return _event(flight, outcome, reason, wall_ns, shadow)

    def abandoned(self, here: int, wall_ns: int, shadow: bool) -> list[GateEvent]:
        """The line ends while the belt stands with parts in the zone: a gate that rests closed rejects those that have
        not come to it yet; what one that rests open does is for the next start's purge."""
        flights, self._flights = list(self._flights.values()), {}
        return [_event(flight, self._abandon(flight, here), Reason.STOPPING, wall_ns, shadow) for flight in flights]

    def _abandon(self, flight: Flight, here: int) -> GateOutcome:
        comes_later = self._slot(flight, False).start > here
        return GateOutcome.FIRED if self._zone.rest_rejects and comes_later else GateOutcome.LATE

    def _judge(self, flight: Flight, levels: LevelRecord) -> tuple[GateOutcome, Reason]:
        """By what the gate did: a reject needs its level all through, a release in the middle of its slot."""
        if flight.lost is not None:
            return self._judge_lost(flight, flight.lost, levels)
        slot = self._slot(flight, flight.released)
        active = self._energises(flight)
        if flight.released:
            middle = (slot.start + slot.end) // 2
            kept = levels.kept(active, middle, middle + 1)
        else:
            kept = levels.kept(active, self._begun(slot), slot.end)
        if kept is Kept.YES:
            return (GateOutcome.RELEASED if flight.released else GateOutcome.FIRED), flight.reason
        return GateOutcome.LATE, Reason.OUTPUT_ERROR if kept is Kept.UNKNOWN else Reason.LATE_WRITE

    def _begun(self, slot: Slot) -> int:
        """From here on the gate must stand at reject for this slot."""
        return min(slot.start + self._zone.tolerance, (slot.start + slot.end) // 2)

    def _judge_lost(self, flight: Flight, lost: int, levels: LevelRecord) -> tuple[GateOutcome, Reason]:
        """Rejected when the gate was at reject from before the travel was lost, and from the part's slot on, until it
        must have gone."""
        begun = min(lost - 1, self._begun(self._slot(flight, False)))
        kept = levels.kept(not self._zone.rest_rejects, begun, self._end(flight))
        return (GateOutcome.FIRED if kept is Kept.YES else GateOutcome.LATE), flight.reason

    # --- what the sensors say of a part ---

    def hold_back(self, part_id: int, reason: Reason, tail: int = 0) -> bool:
        """This part must not pass, and is `tail` longer than a part by what is known now; whether it is still in
        flight."""
        flight = self._flights.get(part_id)
        if flight is None:
            return False
        flight.tail = tail
        if not flight.bypassed:
            self._hold_back(flight, reason)
        return True

    def reached(self, here: int) -> Iterable[Flight]:
        """The parts whose slot begins now, each once."""
        for flight in self._flights.values():
            if not flight.reached and self._slot(flight, False).start <= here:
                flight.reached = True
                yield flight

    def next_reach(self) -> int | None:
        """Where the next slot begins, None when there is none."""
        waiting = (flight for flight in self._flights.values() if not flight.reached)
        return min((self._slot(flight, False).start for flight in waiting), default=None)

    def see_again(self, born: int, window: int, max_drift: int) -> int | None:
        """A second eye saw a part that, by the belt's travel, was born at `born`: the nearest one within the window
        takes that place, unless it is further off than `max_drift`. Returns how far it had slipped, None when there is
        no such part."""
        near = [
            flight
            for flight in self._flights.values()
            if not flight.seen_again and abs(flight.part.position - born) <= window
        ]
        if not near:
            return None
        flight = min(near, key=lambda flight: abs(flight.part.position - born))
        drift = born - flight.part.position
        if abs(drift) <= max_drift:
            flight.seen_again = True
            flight.shift = drift
        return drift

    def lies_at(self, born: int, margin: int) -> bool:
        """Whether a part that a second eye has seen already lies over this place of birth, by its length or less."""
        return any(
            -margin <= born - flight.place <= self._zone.pulse + flight.tail + margin
            for flight in self._flights.values()
            if flight.seen_again
        )

    def miss(self, born: int) -> list[int]:
        """The parts born before this place that a second eye should have seen and did not: they are held back."""
        missed = [
            flight for flight in self._flights.values() if not flight.seen_again and flight.part.position < born
        ]
        for flight in missed:
            flight.seen_again = True  # told once
            self._hold_back(flight, Reason.MISSING)
        return [flight.part.part_id for flight in missed]

    def excuse(self) -> None:
        """No second eye looked for the parts in flight."""
        for flight in self._flights.values():
            flight.seen_again = True

    def next_unseen(self) -> int | None:
        """The place of birth of the first part that no second eye has seen, None when there is none."""
        unseen = (flight for flight in self._flights.values() if not flight.seen_again)
        return min((flight.part.position for flight in unseen), default=None)


def _event(flight: Flight, outcome: GateOutcome, reason: Reason, wall_ns: int, shadow: bool) -> GateEvent:
    part = flight.part
    if reason is Reason.NO_VERDICT and flight.held_back is not Reason.NONE:
        reason = flight.held_back
    return GateEvent(
        ring_seq=0,
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
