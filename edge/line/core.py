"""The line's decisions, step by step: what happened goes in, what is to be done comes out; no device, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from edge.clock import MS, SECOND
from edge.line.axis import Axis, EncoderAxis, TimeAxis
from edge.line.confirm import Confirm
from edge.line.drive import Drive
from edge.line.events import (
    PLC_GATE,
    Action,
    Counted,
    EdgeSeen,
    End,
    Event,
    EyeConnected,
    EyeGone,
    Heard,
    InputBack,
    InputLost,
    Keep,
    PlcDid,
    PlcSaw,
    Say,
    Send,
    StopAsked,
)
from edge.line.limits import Limits, Trip
from edge.line.messages import (
    Ack,
    AckStatus,
    Birth,
    Bypass,
    Keepalive,
    Limit,
    LimitAction,
    LineState,
    Message,
    Outcome,
    Reject,
    Release,
    State,
    Stop,
    cause_of,
)
from edge.line.plc_gate.told import Told
from edge.line.readiness import Eye, Readiness
from edge.line.senses import Senses
from edge.line.settings import Settings
from edge.line.tracker import Tracker
from edge.records import GateEvent, Reason

EYE_SILENT_NS = 500 * MS
_REPORT_NS = SECOND
_FUTURE_NS = 50 * MS  # a birth from the eye may not lie further ahead than this


class LineCore:
    """Feed `step` with events in order and with time; carry out its actions and feed their results back at once."""

    def __init__(self, settings: Settings, session: int, next_seq: int, now_ns: int) -> None:
        self._settings = settings
        self._zone = settings.zone
        self._session = session
        self._next_seq = next_seq
        self._axis: Axis = TimeAxis() if settings.encoder is None else EncoderAxis(settings.encoder)
        self._tracker = Tracker(settings.zone, session, self._axis)
        self._limits = Limits(settings.bounds)
        self._readiness = Readiness(
            settings.zone.transit, settings.permits, self._axis, settings.inputs, settings.eye_births
        )
        self._actions: list[Action] = []
        self._drive = Drive(settings, self._tracker, self._readiness, self._axis, self._act, now_ns)
        self._confirm = None if settings.confirm is None else Confirm(*settings.confirm)
        self._senses = Senses(
            settings.sensors,
            settings.zone,
            self._axis,
            self._tracker,
            self._readiness,
            self._confirm,
            self._edge_birth,
            self._trip,
            self._say,
        )
        self._told = self._told_plc(settings)
        self._epoch = 0
        self._heard_ns: int | None = None
        self._eye_ready = False
        self._eye_left = False
        self._recipe = 0
        self._bypass_until_ns = 0
        self._stop_id: int | None = None
        self._end_when_stopped = False
        self._ended = False
        self._reported: tuple[object, ...] = ()
        self._report_ns = now_ns

    def _told_plc(self, settings: Settings) -> Told | None:
        """What stands for the gate's level where a PLC moves it."""
        if settings.plc is None:
            return None
        parts = (settings.zone, self._axis, self._tracker, self._readiness)
        return Told(settings.plc, *parts, self._act, self._trip, self._say)

    # --- what the shell asks ---

    @property
    def state(self) -> LineState:
        return self._readiness.state

    @property
    def gate_edge_ns(self) -> int | None:
        """When the next gate edge is due, for precise waiting."""
        return self._drive.gate_edge_ns

    def due_ns(self, now_ns: int) -> int:
        """When `step` must be called next even if nothing happens."""
        next_end = None if self._told else self._tracker.next_end()
        times = [
            self._report_ns,
            None if next_end is None else self._axis.when_ns(next_end),
            self._readiness.purged_ns(now_ns),
            None if self._heard_ns is None else self._heard_ns + EYE_SILENT_NS,
            self._bypass_until_ns or None,
        ]
        known = [at_ns for at_ns in times if at_ns is not None]
        answers = self._told.due_ns() if self._told else []
        return min([*self._drive.due_ns(now_ns), *self._senses.due_ns(), *answers, *known])

    def take_edge(self, now_ns: int) -> list[Action]:
        """The gate edge alone, if it is due, without any other work before it."""
        self._actions = []
        self._drive.watch_heartbeats(now_ns)
        self._drive.take_edge(now_ns)
        return self._actions

    def step(self, now_ns: int, wall_ns: int, events: Sequence[Event] = ()) -> list[Action]:
        """What is to be done now."""
        self._actions = []
        self._drive.watch_heartbeats(now_ns)
        if not events and self._drive.take_edge(now_ns):
            return self._actions
        for event in events:
            self._happened(event, now_ns)
        self._drive.take_in_level()
        self._senses.look(now_ns)
        self._end_parts(now_ns, wall_ns)
        if self._told:
            self._told.look(now_ns)
        self._look_at_eye(now_ns)
        self._readiness.settle(now_ns)
        self._finish_stop(now_ns, wall_ns)
        self._drive.plan(now_ns)
        self._drive.take_edge(now_ns)
        self._drive.permit(now_ns, self._finishing())
        if not self._drive.repair(now_ns):
            self._drive.beat(now_ns)
        self._report(now_ns)
        return self._actions

    def _happened(self, event: Event, now_ns: int) -> None:
        self._look_at_eye(now_ns)
        handler = self._HANDLERS.get(type(event))
        if handler is None:
            self._drive.happened(event, now_ns)
        else:
            handler(self, event, now_ns)

    def _act(self, action: Action) -> None:
        self._actions.append(action)

    # --- parts ---

    def _edge_birth(
        self,
        born_ns: int,
        born_err_ns: int,
        *,
        counter: int = 0,
        place: int | None = None,
        held_back: Reason = Reason.NONE,
    ) -> int:
        """The eye compares `counter`, the photo-eye's, with that of a camera which the same wire triggers."""
        return self._birth(
            born_ns, born_err_ns, token=counter, recipe=self._recipe, place=place, held_back=held_back
        )

    def _birth(
        self,
        born_ns: int,
        born_err_ns: int,
        *,
        token: int = 0,
        recipe: int = 0,
        place: int | None = None,
        held_back: Reason = Reason.NONE,
    ) -> int:
        """Book a part and return its id; 0 after a stop is finished: the next start's purge rejects what comes then."""
        if self._ended or (self._stop_id is not None and not self._finishing()):
            return 0
        touching = self._tracker.touching
        part = self._tracker.birth(
            born_ns,
            born_err_ns,
            held_back or self._held_back(),
            recipe=recipe,
            token=token,
            bypassed=self.state is LineState.BYPASSED,
            place=place,
        )
        if self._tracker.touching > touching:
            self._say(f"part {part.part_id} touches its neighbour (or the trigger bounces): both are rejected")
        self._send(Birth.of(part))
        return part.part_id

    def _held_back(self) -> Reason:
        """Why a part born now may not be released."""
        state = self.state
        if state in (LineState.READY, LineState.BYPASSED):
            return Reason.NONE
        if state is LineState.STOPPING:
            return Reason.STOPPING
        if state in (LineState.SUSPENDED, LineState.HELD):
            return Reason.INTERLOCK
        return Reason.STATION_STOPPED if state in (LineState.STOPPED, LineState.FAULT) else Reason.PURGE

    def _birth_asked(self, message: Birth, now_ns: int) -> None:
        born_ns = message.born_ns
        if not self._settings.eye_births or message.part_id != 0 or born_ns > now_ns + _FUTURE_NS:
            self._ack(message.token, AckStatus.REFUSED, now_ns)
        elif self._zone.slot_start(self._axis.place(born_ns)) < self._axis.here(now_ns):
            self._came_too_late(message, now_ns)
        elif not self._birth(born_ns, message.born_err_ns, token=message.token, recipe=message.recipe):
            self._ack(message.token, AckStatus.REFUSED, now_ns)

    def _came_too_late(self, message: Birth, now_ns: int) -> None:
        """The part was at the gate before its birth was told: it went where the resting gate sent it."""
        self._ack(message.token, AckStatus.LATE, now_ns)
        words = "a part was reported only after it had reached the gate"
        if self._zone.rest_rejects:
            self._say(f"{words}; the resting gate rejected it; lengthen travel.trigger_to_gate_ms")
        else:
            self._trip(Trip(LimitAction.STOP, 1, words))

    def _end_parts(self, now_ns: int, wall_ns: int) -> None:
        here = self._axis.here(now_ns)
        if self._told:
            self._keep(self._told.ended(here, now_ns, wall_ns), now_ns)
            return
        self._keep(self._tracker.ended(here, self._drive.levels, wall_ns, self._settings.shadow), now_ns)
        self._drive.levels.forget_before(self._tracker.lost_from(here) - self._zone.transit)

    def _keep(self, events: Iterable[GateEvent], now_ns: int) -> None:
        """Number the events and tell them, those that wait for the confirm sensor later."""
        if self._confirm is not None:
            for event in events:
                self._confirm.ended(event)
            events = self._confirm.settled(now_ns)
        for event in events:
            numbered = replace(event, ring_seq=self._next_seq)
            self._next_seq += 1
            self._act(Keep(numbered))
            self._send(Outcome.of(numbered))
            trip = self._limits.count(numbered)
            if trip is not None:
                self._trip(trip)

    def _trip(self, trip: Trip) -> None:
        if trip.action is LimitAction.STOP:
            if self._readiness.stop(trip.cause):
                self._say(f"stopped: {trip.cause}; look at the line, then acknowledge")
        elif trip.action is LimitAction.WARN:
            self._say(f"warning: {trip.cause}")

    # --- the eye ---

    def _look_at_eye(self, now_ns: int) -> None:
        if self._heard_ns is not None and now_ns - self._heard_ns >= EYE_SILENT_NS:
            self._heard_ns = None
            self._say("the eye is silent: nothing is released until it speaks again")
        live = self._heard_ns is not None
        self._readiness.eye = Eye(live, live and self._eye_ready and not self._eye_left)
        if self._bypass_until_ns and (not live or now_ns >= self._bypass_until_ns):
            self._end_bypass("its time is over" if live else "the eye is silent")

    def _eye_connected(self, event: EyeConnected, now_ns: int) -> None:
        self._epoch = event.epoch
        self._heard_ns = None
        self._eye_ready = self._eye_left = False
        self._tracker.connect(event.epoch)
        self._report_ns = now_ns

    def _eye_gone(self, _event: EyeGone, _now_ns: int) -> None:
        self._epoch = 0
        self._heard_ns = None
        self._tracker.connect(0)
        self._say("the eye is gone: every part is rejected until one connects")

    def _heard(self, event: Heard, now_ns: int) -> None:
        """A message of the eye; one of another epoch changes nothing."""
        message = event.message
        if event.epoch != self._epoch or self._epoch == 0:
            self._refuse(message, now_ns)
        elif isinstance(message, Keepalive):
            self._heard_ns, self._eye_ready, self._recipe = now_ns, message.ready, message.recipe
        elif isinstance(message, Release | Reject):
            self._ack(message.part_id, self._word(message, now_ns), now_ns)
        elif isinstance(message, Birth):
            self._birth_asked(message, now_ns)
        elif isinstance(message, Limit):
            self._limit(message, now_ns)
        elif isinstance(message, Bypass):
            self._bypass(message, now_ns)
        elif isinstance(message, Stop):
            self._eye_left = True
            self._stop_asked(StopAsked("the eye asked to stop", self._settings.child), now_ns)

    def _refuse(self, message: Message, now_ns: int) -> None:
        if isinstance(message, Release | Reject):
            self._ack(message.part_id, AckStatus.REFUSED, now_ns)
        elif isinstance(message, Birth):
            self._ack(message.token, AckStatus.REFUSED, now_ns)
        self._say(f"refused a {type(message).__name__} of another connection; restart the eye if this goes on")

    def _word(self, message: Release | Reject, now_ns: int) -> AckStatus:
        part_id, place = message.part_id, self._axis.place(now_ns)
        if not self._tracker.names(part_id, message.born_ns):
            return AckStatus.UNKNOWN_PART
        if isinstance(message, Reject):
            return self._tracker.reject(part_id, place, message.kind, message.reason)
        runs = self.state in (LineState.READY, LineState.BYPASSED) or self._finishing()
        open_for_release = runs and self._readiness.zone_known
        return self._tracker.release(part_id, place, open_for_release and self._readiness.eye.live)

    def _limit(self, message: Limit, now_ns: int) -> None:
        words = message.cause.rstrip(b"\0").decode("utf-8", "replace")
        if message.action is not LimitAction.CLEAR:
            self._trip(Trip(message.action, message.count, words))
            return
        self._say("acknowledged: the limits begin again")
        self._limits.clear()
        self._readiness.clear()
        self._drive.acknowledged(now_ns)
        self._senses.acknowledged(now_ns)

    def _bypass(self, message: Bypass, now_ns: int) -> None:
        for_ns = min(message.for_ns, self._settings.bypass_max_ns)
        if for_ns <= 0:
            self._end_bypass("asked to end" if message.for_ns <= 0 else "the station file allows none")
            return
        self._bypass_until_ns = now_ns + for_ns
        self._readiness.bypassed = True
        self._say(f"BYPASS for {for_ns // SECOND} s: parts pass uninspected")

    def _end_bypass(self, words: str) -> None:
        """Parts born before the end pass still, unless they lie in a zone that the gate purges."""
        if not self._bypass_until_ns:
            return
        self._bypass_until_ns = 0
        self._readiness.bypassed = False
        if not self._readiness.zone_known:
            self._tracker.end_bypass(Reason.PURGE)
        self._say(f"the bypass ended: {words}")

    # --- stopping ---

    def _stop_asked(self, event: StopAsked, _now_ns: int) -> None:
        self._end_when_stopped = self._end_when_stopped or event.end
        if self._stop_id is None:
            self._stop_id = self._tracker.last_id
            self._readiness.stopping(event.words)
            self._say(f"stopping: {event.words}; parts in the zone are finished first")

    def _finishing(self) -> bool:
        """The parts that were in the zone when the stop was asked for are not all through yet."""
        return self._stop_id is not None and self._tracker.holds_up_to(self._stop_id)

    def _finish_stop(self, now_ns: int, wall_ns: int) -> None:
        if self._stop_id is None or self._ended:
            return
        if self._axis.measured and not self._axis.moves(now_ns):
            self._keep(self._tracker.abandoned(self._axis.here(now_ns), wall_ns, self._settings.shadow), now_ns)
        unconfirmed = self._confirm is not None and self._confirm.waits
        if len(self._tracker) or unconfirmed or self._readiness.permit or self._drive.coasts(now_ns):
            return
        if self._end_when_stopped:
            self._ended = True
            self._drive.end()
            self._act(End())
        else:
            self._stop_id = None
            self._readiness.resume(now_ns)

    # --- the inputs ---

    def _edge_seen(self, event: EdgeSeen, now_ns: int) -> None:
        self._senses.edge_seen(event, now_ns)

    def _counted(self, event: Counted, now_ns: int) -> None:
        self._senses.counted(event, now_ns)

    def _input_lost(self, event: InputLost, now_ns: int) -> None:
        if self._told and event.source == PLC_GATE:
            self._told.lost()
        self._senses.lost(event, now_ns)

    def _input_back(self, event: InputBack, now_ns: int) -> None:
        if self._told and event.source == PLC_GATE:
            self._told.back(now_ns)
        self._senses.back(event, now_ns)

    def _plc_saw(self, event: PlcSaw, now_ns: int) -> None:
        if self._told:
            self._told.saw(event, now_ns)

    def _plc_did(self, event: PlcDid, now_ns: int) -> None:
        if self._told:
            self._told.did(event, now_ns)

    # --- telling ---

    def _say(self, words: str) -> None:
        self._act(Say(words))

    def _send(self, message: Message) -> None:
        if self._epoch:
            self._act(Send(message))

    def _ack(self, number: int, status: AckStatus, now_ns: int) -> None:
        self._send(Ack(number, status, now_ns))

    def _report(self, now_ns: int) -> None:
        """State when it changed, and every second with the inputs, and how far the limits are; a change of state also
        goes to the log."""
        readiness = self._readiness
        logged = (readiness.state, readiness.permit, readiness.cause)
        current = (*logged, self._recipe)
        if current == self._reported and now_ns < self._report_ns:
            return
        if logged != self._reported[:3]:
            permit = "on" if readiness.permit else "off"
            self._say(f"{readiness.state.name}, permit {permit}; {readiness.cause or 'no fault'}")
        self._reported = current
        self._send(self._state_message())
        self._send(self._limits.counts())
        if now_ns >= self._report_ns:
            self._report_ns = now_ns + _REPORT_NS
            self._send(self._senses.inputs())

    def _state_message(self) -> State:
        return State(
            state=self.state,
            permit=self._readiness.permit,
            pid=self._settings.pid,
            station=self._settings.digest,
            session=self._session,
            next_ring_seq=self._next_seq,
            cause=cause_of(self._readiness.cause or self._settings.note),
            bypass_until_ns=self._bypass_until_ns,
            recipe=self._recipe,
        )

    _HANDLERS: ClassVar[dict[type[Any], Callable[[LineCore, Any, int], None]]] = {
        EdgeSeen: _edge_seen,
        Counted: _counted,
        InputLost: _input_lost,
        InputBack: _input_back,
        PlcSaw: _plc_saw,
        PlcDid: _plc_did,
        EyeConnected: _eye_connected,
        EyeGone: _eye_gone,
        Heard: _heard,
        StopAsked: _stop_asked,
    }
