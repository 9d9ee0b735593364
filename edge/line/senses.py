"""What the line's inputs say about belt and parts: births, travel, a second look before the gate, what came through it,
and what must be well for the line to go on; pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edge.line.axis import Axis, EncoderAxis, Seen
from edge.line.confirm import Confirm
from edge.line.events import (
    CONFIRM,
    ENCODER,
    ENCODER_DEAD,
    INTERLOCK,
    MOTOR,
    SECOND_EYE,
    TRIGGER,
    Counted,
    EdgeSeen,
    InputBack,
    InputLost,
)
from edge.line.limits import Trip
from edge.line.messages import Inputs, LimitAction, LineState
from edge.line.readiness import Readiness
from edge.line.tracker import Flight, Tracker
from edge.line.zone import Zone
from edge.records import Edge, Reason, TimeSource

_UNSEEN = 8  # counts
_NO_ONE_PART = (Reason.TOUCHING, Reason.LENGTH)  # more or less than one part at the confirm sensor


@dataclass(frozen=True, slots=True)
class SecondEye:
    """An eye right before the gate, `at` behind the trigger on the axis: a part may come by `window` beside its place;
    one that slipped further than `max_drift` stops the line."""

    at: int
    window: int
    max_drift: int


@dataclass(frozen=True, slots=True)
class Interlock:
    """The line goes on while the input of this name is at `well`; else it is in `state` (SUSPENDED or HELD)."""

    name: str
    well: bool
    state: LineState


@dataclass(frozen=True, slots=True)
class Sensors:
    """What the line senses beside the trigger. Lengths on the axis, 0 is any; `dead_ns`: the encoder is dead when the
    motor runs that long and nothing counts."""

    length_min: int = 0
    length_max: int = 0
    second_eye: SecondEye | None = None
    interlocks: tuple[Interlock, ...] = ()
    motor: bool = False
    dead_ns: int = 0


class Births(Protocol):
    """Books a part; see LineCore."""

    def __call__(
        self,
        born_ns: int,
        born_err_ns: int,
        *,
        counter: int = 0,
        place: int | None = None,
        held_back: Reason = Reason.NONE,
    ) -> int:
        """The part's id, 0 where none is booked any more."""
        ...


class Senses:
    """Feed it every event of an input; call `look` at each step, and not later than `due_ns`."""

    def __init__(
        self,
        sensors: Sensors,
        zone: Zone,
        axis: Axis,
        tracker: Tracker,
        readiness: Readiness,
        confirm: Confirm | None,
        births: Births,
        trip: Callable[[Trip], None],
        say: Callable[[str], None],
    ) -> None:
        self._sensors = sensors
        self._zone = zone
        self._axis = axis
        self._tracker = tracker
        self._readiness = readiness
        self._confirm = confirm
        self._births = births
        self._trip = trip
        self._say = say
        self._interlocks = {INTERLOCK + each.name: each for each in sensors.interlocks}
        self._open: set[str] = set()
        self._trigger = Edge(False, 0, 0, TimeSource.POLL, 0)
        self._trigger_edges = 0
        self._lost_edges = 0
        self._last_counter: int | None = None
        self._under_eye = 0  # the part that the trigger still sees
        self._under_eye_from = 0
        self._rose_ns = 0
        self._is_long = False
        self._motor_since_ns: int | None = None
        self._second_free_from: int | None = None  # where the second eye last saw a part leave

    def inputs(self) -> Inputs:
        """For the eye."""
        return Inputs(int(self._trigger.level), self._trigger.at_ns, self._trigger_edges, self._lost_edges)

    def due_ns(self) -> list[int]:
        """When `look` has something to do even if nothing happens. A measured belt wakes the line by its counts."""
        confirm = self._confirm
        times = [None if confirm is None else confirm.next_ns(), self._stale_ns(), self._dead_ns()]
        if not self._axis.measured:
            times += [None if self._is_long else self._too_long(), self._unseen()]
            times += [None if confirm is None else self._tracker.next_reach()]
        return [at_ns for at_ns in times if at_ns is not None]

    def look(self, now_ns: int) -> None:
        """What follows from time and travel alone."""
        self._look_at_encoder(now_ns)
        place = self._axis.place(now_ns)
        self._look_at_length(place)
        unseen = self._unseen()
        if unseen is not None and unseen <= place:
            self._missed(place)
        if self._confirm is not None:
            self._expect(self._confirm, now_ns)

    def acknowledged(self, now_ns: int) -> None:
        """A person looked at the line: an encoder that stood may count again once the belt runs."""
        self._readiness.repaired(ENCODER_DEAD, now_ns)

    # --- events ---

    def edge_seen(self, event: EdgeSeen, now_ns: int) -> None:
        edge = event.edge
        if event.source == TRIGGER:
            self._trigger_edge(edge, now_ns)
        elif event.source == MOTOR:
            self._motor(edge.level, now_ns)
        elif event.source in self._interlocks:
            self._interlock(event.source, edge.level, now_ns)
        elif event.source == SECOND_EYE:
            self._second_edge(edge)
        elif edge.level and event.source == CONFIRM:
            self._came_through(edge.at_ns)

    def lost(self, event: InputLost, now_ns: int) -> None:
        source = event.source
        self._open.discard(source)
        if source == TRIGGER:
            self._last_counter, self._under_eye, self._rose_ns = None, 0, 0
            self._tracker.distrust(Reason.PURGE)
        elif source == ENCODER:
            self._forget_travel(now_ns)
        elif source == SECOND_EYE:
            self._second_free_from = None
        if self._readiness.fault(source, f"{source} lost: {event.words}", now_ns):
            self._say(f"{source} lost: {event.words}; it is opened again, then the zone is purged")

    def back(self, event: InputBack, now_ns: int) -> None:
        source = event.source
        self._open.add(source)
        if source == SECOND_EYE:
            self._tracker.excuse()
        if self._readiness.input_open(source, now_ns):
            self._say(f"{source} is back")
        if source == MOTOR:
            self._motor(event.level, now_ns)
        elif source in self._interlocks:
            self._interlock(source, event.level, now_ns)

    def counted(self, event: Counted, now_ns: int) -> None:
        """The encoder told its counter: a belt that ran back or a counter that began anew makes the zone unknown."""
        axis = self._axis
        assert isinstance(axis, EncoderAxis)
        if ENCODER in self._open and self._readiness.has_fault(ENCODER):
            self._readiness.repaired(ENCODER, now_ns)
            self._say("the encoder counts again")
        seen = axis.sample(event.counter, event.at_ns)
        if seen is not Seen.FINE:
            words = {Seen.RESET: "the encoder's counter began anew", Seen.REVERSED: "the belt ran back"}[seen]
            self._say(f"{words}: the zone is purged")
            self._tracker.lose(axis.here(now_ns), Reason.PURGE)
            self._readiness.forget_zone(now_ns)
        if axis.moved_ns == event.at_ns:
            self._readiness.repaired(ENCODER_DEAD, now_ns)

    # --- the trigger ---

    def _trigger_edge(self, edge: Edge, now_ns: int) -> None:
        self._trigger = edge
        self._compare_counter(edge, now_ns)
        if not edge.level:
            self._part_left(edge.at_ns)
            if not self._readiness.zone_known and self._rose_ns <= self._readiness.forgotten_ns:
                self._readiness.forget_zone(now_ns)  # nobody saw all come that covered the eye when the purge began
            return
        self._rose_ns = edge.at_ns
        self._trigger_edges += 1
        self._under_eye = self._births(edge.at_ns, edge.err_ns, counter=edge.counter)
        self._under_eye_from = self._axis.place(edge.at_ns)
        self._is_long = False

    def _compare_counter(self, edge: Edge, now_ns: int) -> None:
        """Both edges of a part tell the same count; an edge that tells more of it tells of parts that nobody saw."""
        last, self._last_counter = self._last_counter, edge.counter
        if last is not None and edge.counter - edge.level > last:
            self._edges_lost(edge.counter - edge.level - last, now_ns)

    def _edges_lost(self, count: int, now_ns: int) -> None:
        self._lost_edges += count
        self._say(f"{count} trigger edges were lost: the zone is purged; check its debounce and poll time")
        self._tracker.distrust(Reason.PURGE)
        self._readiness.forget_zone(now_ns)

    def _part_left(self, at_ns: int) -> None:
        part_id, self._under_eye = self._under_eye, 0
        length = self._axis.place(at_ns) - self._under_eye_from
        if part_id and self._sensors.length_max and length > self._sensors.length_max:
            self._hold_long(part_id, length)
        elif part_id and self._is_long:  # it had left, and was told to have late
            self._tracker.hold_back(part_id, Reason.LENGTH)
        elif part_id and length < self._sensors.length_min:
            self._tracker.hold_back(part_id, Reason.LENGTH)
            self._say(f"part {part_id} is shorter than a part can be: it is rejected")

    def _look_at_length(self, place: int) -> None:
        too_long = self._too_long()
        if too_long is not None and place >= too_long:
            self._hold_long(self._under_eye, place - self._under_eye_from)

    def _too_long(self) -> int | None:
        """Where what the trigger still sees is longer than a part, None while it sees nothing."""
        if not self._under_eye or not self._sensors.length_max:
            return None
        if not self._axis.measured and not self._readiness.belt_runs:
            return None  # a part under the eye of a standing belt grows no longer
        return self._under_eye_from + self._sensors.length_max + 1

    def _hold_long(self, part_id: int, length: int) -> None:
        """Everything that the long edge may be is rejected: the slot grows to its end."""
        if not self._is_long:
            self._is_long = True
            self._say(f"part {part_id} is longer than a part can be (or parts touch): it is rejected whole")
        self._tracker.hold_back(part_id, Reason.LENGTH, length - min(self._zone.pulse, self._sensors.length_max))

    # --- the encoder and the motor ---

    def _look_at_encoder(self, now_ns: int) -> None:
        stale_ns, dead_ns = self._stale_ns(), self._dead_ns()
        if stale_ns is not None and now_ns >= stale_ns:
            self._forget_travel(now_ns)
            if self._readiness.fault(ENCODER, "the encoder gives no counts", now_ns):
                self._say("the encoder gives no counts: everything is rejected; check its connection")
        elif dead_ns is not None and now_ns >= dead_ns:
            self._tracker.lose(self._axis.here(now_ns), Reason.PURGE)
            if self._readiness.fault(ENCODER_DEAD, "the motor runs and the encoder stands", now_ns):
                self._say("the motor runs and the encoder does not count: check shaft, coupling and wire")

    def _forget_travel(self, now_ns: int) -> None:
        if isinstance(self._axis, EncoderAxis):
            self._axis.forget()
        self._tracker.lose(self._axis.here(now_ns), Reason.PURGE)

    def _stale_ns(self) -> int | None:
        if not isinstance(self._axis, EncoderAxis) or ENCODER not in self._open:
            return None
        return None if self._readiness.has_fault(ENCODER) else self._axis.stale_ns

    def _dead_ns(self) -> int | None:
        axis, since_ns = self._axis, self._motor_since_ns
        if not isinstance(axis, EncoderAxis) or since_ns is None or not self._sensors.dead_ns:
            return None
        return (
            None
            if self._readiness.has_fault(ENCODER_DEAD)
            else max(axis.moved_ns, since_ns) + self._sensors.dead_ns
        )

    def _motor(self, runs: bool, now_ns: int) -> None:
        self._motor_since_ns = now_ns if runs else None
        if not runs and not self._axis.measured:
            self._tracker.withdraw(Reason.PURGE)
        self._readiness.belt_stands(not runs, now_ns)

    def _interlock(self, source: str, level: bool, now_ns: int) -> None:
        interlock = self._interlocks[source]
        if level is interlock.well:
            if self._readiness.well(source, now_ns):
                self._say(f"{source} is well again: the zone is purged")
            return
        if self._readiness.inhibit(source, interlock.state, f"{source} is not well", now_ns):
            self._tracker.withdraw(Reason.INTERLOCK)
            self._say(f"{source} is not well: nothing passes until it is")

    # --- the second eye ---

    def _second_edge(self, edge: Edge) -> None:
        if edge.level:
            self._seen_again(edge)
        else:
            self._second_free_from = self._axis.place(edge.at_ns)

    def _seen_again(self, edge: Edge) -> None:
        second = self._sensors.second_eye
        assert second is not None
        born = self._axis.place(edge.at_ns) - second.at
        if self._tracker.lies_at(born, second.max_drift) and self._jogged(edge.at_ns):
            return  # one that it has seen comes back
        drift = self._tracker.see_again(born, second.window, second.max_drift)
        if drift is None:
            self._unexpected(edge, born, "a part came before the gate that the trigger did not see")
        elif abs(drift) > second.max_drift:
            self._unexpected(edge, born, "parts slip on the belt between trigger and gate")

    def _jogged(self, at_ns: int) -> bool:
        """Whether the belt had been further, or stood right where a part had left the second eye: then it may have run
        back by less than its samples show yet."""
        if self._axis.ran_back(at_ns):
            return True
        free_from = self._second_free_from
        return self._axis.stood(at_ns) and free_from is not None and self._axis.place(at_ns) - free_from <= _UNSEEN

    def _unexpected(self, edge: Edge, born: int, words: str) -> None:
        """Nobody knows which part this is: it is rejected where it was seen, and a purge under way goes on until it is
        through."""
        if not self._readiness.zone_known:
            self._readiness.purge_from(born)
            return
        self._births(edge.at_ns, edge.err_ns, place=born, held_back=Reason.UNTRACKED)
        self._tracker.see_again(born, 0, 0)
        self._trip(Trip(LimitAction.STOP, 1, words))

    def _unseen(self) -> int | None:
        """Where the belt is when the next part can no longer come by the second eye."""
        second = self._sensors.second_eye
        born = self._tracker.next_unseen() if second and SECOND_EYE in self._open else None
        return None if born is None or second is None else born + second.at + second.window + 1

    def _missed(self, place: int) -> None:
        second = self._sensors.second_eye
        assert second is not None
        for part_id in self._tracker.miss(place - second.at - second.window):
            self._trip(Trip(LimitAction.WARN, 1, f"part {part_id} did not come by the eye before the gate"))

    # --- the confirm sensor ---

    def _expect(self, confirm: Confirm, now_ns: int) -> None:
        for flight in self._tracker.reached(self._axis.here(now_ns)):
            if not flight.released and flight.held_back is not Reason.MISSING:
                counts = flight.held_back not in _NO_ONE_PART
                confirm.expect(flight.part.part_id, self._begun_ns(flight, now_ns), counts)
        self._bear_with(confirm, now_ns)

    def _bear_with(self, confirm: Confirm, now_ns: int) -> None:
        """What the sensor may see now without an order: anything while the zone or the belt's times are not known, and
        of parts that touch, one long part to the trigger, several."""
        if self._readiness.state is not LineState.READY:
            confirm.unsure(now_ns)
        for flight in self._tracker.in_flight():
            if flight.reached and flight.tail:
                confirm.goes_on(flight.part.part_id, now_ns)

    def _begun_ns(self, flight: Flight, now_ns: int) -> int:
        return now_ns if self._axis.measured else self._zone.slot_start(flight.place)

    def _came_through(self, at_ns: int) -> None:
        assert self._confirm is not None
        self._bear_with(self._confirm, at_ns)
        if not self._confirm.seen(at_ns):
            self._trip(Trip(LimitAction.STOP, 1, "a part came through the gate that nobody rejected"))
