"""Holds what the line promised and recorded against what physically became of each part.

The three claims: no part reaches the good lane unless a PASS for that very part was taken in time; no part that was
promised its way is hit for another one; every part that was born has exactly one outcome. And a record says what
was, and no line stops for a part that it has rejected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from edge.clock import MS
from edge.line.events import (
    CONFIRM,
    ENCODER,
    SECOND_EYE,
    TRIGGER,
    Armed,
    Counted,
    EdgeSeen,
    Event,
    EyeConnected,
    EyeGone,
    Heard,
    InputBack,
    InputLost,
    StopAsked,
)
from edge.line.messages import Ack, AckStatus, Birth, Bypass, LineState, Message, Reject, Release, Stop
from edge.records import Edge, GateEvent, GateOutcome, Kind, Part, Reason, Sensed
from tests.conveyor.births import Births, Born
from tests.conveyor.excuses import Excuses
from tests.conveyor.floor import Floor
from tests.conveyor.item import Item, Lane
from tests.conveyor.plant import INTERLOCK_AIR


class Violation(AssertionError):  # noqa: N818 - the word of the claims
    """A claim does not hold."""


class Oracle:
    """Sees everything that happens; raises Violation as soon as the world shows one."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._plant = floor.plant
        self.births = Births(floor)
        self.excuses = Excuses(floor, self.births)
        self.counts: Counter[str] = Counter()
        self.excused: Counter[str] = Counter()
        self._epoch = 0
        self._counter: int | None = None
        self._stopping = False
        self._seen_ns = 0  # when the sensor behind the gate last saw something
        self._transit_mm = self._plant.transit_ms * self._plant.speed - self._plant.slack_mm

    # --- what the line takes in and says (Witness) ---

    def stepped(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Heard):
                if event.epoch == self._epoch:
                    self._heard(event.message)
            elif isinstance(event, EdgeSeen):
                self._edge(event.source, event.edge)
            elif not isinstance(event, Counted):
                self._changed(event)
        self._stopping = False

    def _changed(self, event: Event) -> None:
        if isinstance(event, InputBack | InputLost):
            if event.source == ENCODER:
                self._floor.withdraw()
            self._floor.unsure()
            self._counter = None if event.source == TRIGGER else self._counter
        elif isinstance(event, Armed):
            self.excuses.is_armed = True
        elif isinstance(event, EyeConnected):
            self._epoch = event.epoch
        elif isinstance(event, EyeGone):
            self._epoch = 0
        elif isinstance(event, StopAsked):
            self._stopping = True

    def _edge(self, source: str, edge: Edge) -> None:
        if source == INTERLOCK_AIR:
            self._floor.withdraw()
        if source == CONFIRM:
            self._seen_ns = edge.at_ns
        if source == TRIGGER:
            self._count(edge)
        if not edge.level:
            return
        core = self._floor.line.core
        stopping = self._stopping or (core is not None and core.state is LineState.STOPPING)
        if source == TRIGGER:
            self.births.owe(edge.at_ns, surely=not stopping)
        elif source == SECOND_EYE:
            self.births.owe(edge.at_ns, surely=False, again=True)

    def _count(self, edge: Edge) -> None:
        """A jump of the counter tells of what was missed; the first edge tells nothing."""
        if self._counter is not None:
            if edge.counter - edge.level > self._counter:
                self._floor.unsure()
            self.excuses.tell_missed(edge.counter)
        self.excuses.forget_missed(edge.counter)
        self._counter = edge.counter

    def _heard(self, message: Message) -> None:
        if isinstance(message, Stop):
            self._stopping = True
        elif isinstance(message, Bypass):
            self.excuses.bypass(message.for_ns)
        elif isinstance(message, Release | Reject):
            born = self.births.by_id.get(message.part_id)
            if born is None or born.born_ns != message.born_ns:
                return  # a guess
            if born.word is None and message.part_id not in self.births.outcomes:
                self._first_word(born, Kind.PASS if isinstance(message, Release) else message.kind)

    def _first_word(self, born: Born, kind: Kind) -> None:
        born.word = kind
        plant = self._plant
        born.proven = kind is Kind.PASS and self._is_in_time(born) and born.epoch == self._epoch
        if plant.encoder:
            born.purged = self._floor.unsure_mm > born.told_mm - self._transit_mm
        else:
            born.purged = self._floor.unsure_ns > born.told_ns - round(plant.transit_ms * MS)

    def _is_in_time(self, born: Born) -> bool:
        """Before the deadline, as far as the line can know where the belt is."""
        plant = self._plant
        deadline_mm = born.front_mm + (plant.to_gate - plant.before) * plant.speed
        slip_mm = plant.slip_mm if plant.encoder and plant.second_eye else 0.0
        in_time = self._floor.mm() < deadline_mm + plant.slack_mm + slip_mm
        return in_time or self._floor.encoder.dead.touch(born.born_ns, self._floor.now_ns)

    def sent(self, message: Message, epoch: int) -> None:
        if isinstance(message, Birth):
            if not self.births.born(message, epoch):
                raise Violation(f"part {message.part_id} was born without an edge, or its id was given before")
        elif isinstance(message, Ack) and message.status is AckStatus.ACCEPTED:
            born = self.births.by_id.get(message.number)
            if born is not None and born.word is Kind.PASS:
                born.promised = True
                if not born.proven:
                    raise Violation(f"a PASS for part {message.number} was accepted: late, or of another eye")

    def kept(self, event: GateEvent) -> None:
        if not self.births.ended(event):
            raise Violation(f"part {event.part_id} ended twice, or was not born in this session")
        self.counts[f"{event.outcome.name} {event.reason.name}"] += 1
        if event.outcome is GateOutcome.RELEASED and event.reason is not Reason.BYPASS:
            self._must_be_proven(event)
        item = self.births.item_of(event.born_ns)
        if item is not None:
            self._compare(item, event)

    def _must_be_proven(self, event: GateEvent) -> None:
        born = self.births.by_id.get(event.part_id)
        if born is None or not born.proven:
            raise Violation(f"part {event.part_id} counts as released without a PASS in time")
        if born.purged and not self.excuses.is_bypassed(born.front_mm):
            raise Violation(f"part {event.part_id} was released out of a zone that was not known")

    def said(self, words: str) -> None:
        if "longer than a part" in words:
            self.excuses.is_long(int(words.split()[1]))
        if self._lost_travel(words):
            self._floor.withdraw()
        if words.startswith("stopped: a part came through the gate"):
            self._alarmed()
        if "the encoder does not count" in words:
            self._floor.after(self._plant.write + self._plant.lead + 5, self._floor.encoder.noticed)

    def _alarmed(self) -> None:
        """The sensor behind the gate saw a part, and the line knows of no reject of it."""
        decided_ns = self._seen_ns - round(self._plant.chute * MS)
        item = next(item for item in reversed(self._floor.items) if item.decided_ns == decided_ns)
        outcomes = self.births.outcomes_of(item.part_of or item)
        is_fired = bool(outcomes) and all(one.outcome is GateOutcome.FIRED for one in outcomes)
        if is_fired and not item.unseen and not self.excuses.for_alarm(item):
            raise Violation(f"the line stopped for item {item.number}, which it had rejected: {self._story(item)}")
        self._floor.withdrawn_ns = self._floor.now_ns

    def _lost_travel(self, words: str) -> bool:
        """Whether the line says that nobody knows any more where the parts are, and it is so."""
        floor, plant = self._floor, self._plant
        if "began anew" in words and floor.encoder.is_anew:
            floor.encoder.is_anew = False
            return True
        return "ran back" in words and floor.belt.back_mm(floor.now_ns) > 0.9 * plant.reverse * plant.speed

    def line_down(self, session: int) -> None:
        self._counter, self._epoch = None, 0
        self.excuses.is_armed = False
        self.counts["lost with the line, told to no eye"] += self.births.line_down(session)

    # --- what the eye asks and says (Records) ---

    def truth(self, part: Part) -> Item | None:
        return self.births.item_of(part.born_ns)

    def has_outcome(self, part_id: int) -> bool:
        return part_id in self.births.outcomes

    def line_lost(self, part_id: int) -> None:
        if part_id not in self.births.orphans:
            raise Violation(f"the eye says that part {part_id} was lost, but no line lost it")
        self.births.orphans.discard(part_id)
        self.counts["LATE LINE_LOST"] += 1

    def eye_forgot(self, part_ids: set[int]) -> None:
        self.births.forgotten |= part_ids

    # --- what physically happens ---

    def decided(self, item: Item, lane: Lane) -> None:
        """The item's middle passed the gate, into this lane."""
        item.lane = lane
        item.decided_ns = self._floor.now_ns
        self.counts[f"physically in the {lane.value}"] += 1
        if lane is Lane.GOOD:
            item.excuse = self.excuses.for_escape(item)
            if not self.births.is_proven(item) or (item.defect and self._plant.camera):
                self._escaped(item)
        elif promised := self.births.promised(item):
            self._hit(item, promised)
        for outcome in self.births.outcomes_of(item):
            self._compare(item, outcome)

    def _escaped(self, item: Item) -> None:
        if not item.excuse:
            raise Violation(f"item {item.number} reached the good lane, and must not: {self._story(item)}")
        self.excused[f"escape: {item.excuse}"] += 1

    def _hit(self, item: Item, promised: Born) -> None:
        excuse = self.excuses.for_hit(promised, item)
        if not excuse:
            raise Violation(f"item {item.number} was promised its way and is in the bin: {self._story(item)}")
        self.excused[f"hit: {excuse}"] += 1

    def _compare(self, item: Item, event: GateEvent) -> None:
        """The record and the physics, once both are known."""
        fired, released = event.outcome is GateOutcome.FIRED, event.outcome is GateOutcome.RELEASED
        if fired and item.lane is Lane.GOOD and not self.births.was_released(item):
            if not self.excuses.for_record(item, event):
                raise Violation(f"part {event.part_id} counts as rejected and passed: {self._story(item)}")
            if event.sensed is Sensed.SEEN and self.excuses.alone(item):
                raise Violation(f"part {event.part_id} passed and was seen in the bin: {self._story(item)}")
        if released and item.lane is Lane.BIN and not self.excuses.for_overkill(item):
            raise Violation(f"part {event.part_id} counts as released and was hit: {self._story(item)}")

    def finish(self) -> None:
        """Nothing comes any more: whatever was owed must be there."""
        births = self.births
        if births.owed:
            raise Violation(f"parts born at {sorted(births.owed)[:5]} have no outcome")
        if births.orphans - births.forgotten:
            raise Violation(f"nobody says what became of {sorted(births.orphans - births.forgotten)[:5]}")
        self.counts["lost with line and eye"] += len(births.orphans)

    def _story(self, item: Item) -> str:
        told = [self.births.story(part_id) for part_id in item.part_ids]
        kind = "defective" if item.defect else "good"
        at_ms = self._floor.now_ns / MS
        return f"{kind}, seen as {told or 'nothing'}; {item.lane.value} at {at_ms:.3f} ms, {item.excuse or 'no excuse'}"
