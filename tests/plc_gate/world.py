"""A line whose gate a PLC owns, in virtual time: the real core, the real conversation, the PLC's program, and parts.

What every part's gate did is known here, whatever the PLC says it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from edge.clock import MS, SECOND, ManualClock
from edge.errors import InputError
from edge.line.axis import EncoderScale
from edge.line.core import LineCore
from edge.line.events import (
    ENCODER,
    PLC_GATE,
    Action,
    Arm,
    Armed,
    BeatPlc,
    Counted,
    EdgeSeen,
    Event,
    EyeConnected,
    Heard,
    InputBack,
    InputLost,
    Keep,
    PermitWritten,
    Say,
    Send,
    StopAsked,
    TellPlc,
    WriteGate,
    WritePermit,
)
from edge.line.limits import Bounds
from edge.line.messages import Birth, Bypass, Keepalive, Limit, LimitAction, LineState, Message, Reject, Release
from edge.line.plc_gate.conversation import Conversation
from edge.line.plc_gate.table import LINE_SIZE
from edge.line.plc_gate.told import PlcTerms
from edge.line.settings import Settings
from edge.line.zone import Zone
from edge.options import PlcGate
from edge.records import Edge, GateEvent, GateOutcome, Kind, Reason, TimeSource
from tests.plc_gate.program import Mistake, Program

SCAN_MS = 10
TO_GATE_MS, LEAD_MS, PULSE_MS, PITCH_MS, TOLERANCE_MS = 300, 10, 40, 60, 10
ZONE = Zone(
    TO_GATE_MS * MS, 60 * MS, LEAD_MS * MS, PULSE_MS * MS, PITCH_MS * MS, TOLERANCE_MS * MS, rest_rejects=True
)
COUNTED = Zone(3_000, 600, 0, 400, 600, 100, rest_rejects=True, valve=100, margin=100)
SCALE = EncoderScale(32, 10_000, LEAD_MS * MS, 50, 100 * MS)
OPTIONS = PlcGate(kind="plc", host="none", scan_ms=SCAN_MS, window_ms=15, poll_ms=10)
ERR_NS = 5 * MS  # the trigger's
EPOCH, SESSION = 7, 3
BEGIN_NS = 1_000 * SECOND


@dataclass
class Item:
    """A part on the belt, born at this position; `passed` once it has come by the gate. `good`: what the eye says."""

    born_ns: int
    born_at: int
    good: bool
    passed: bool | None = None


@dataclass
class Wire:
    """The PLC's registers as the conversation reaches them; a request takes `rtt_ms` and can be held up or cut."""

    world: World = field(repr=False)
    rtt_ms: int = 2
    cut: bool = False
    torn: int = 0

    def connect(self) -> None:
        self._pass()

    def write(self, first: int, values: Sequence[int]) -> None:
        self._pass()
        assert first == 0 and len(values) == LINE_SIZE
        self.world.program.registers[first : first + len(values)] = values

    def read(self, first: int, count: int) -> Sequence[int]:
        self._pass()
        found = self.world.program.registers[first : first + count]
        if self.torn:
            self.torn -= 1
            found[-1] ^= 1
        return found

    def close(self) -> None:
        """Nothing to release."""

    def _pass(self) -> None:
        self.world.advance(self.rtt_ms)
        if self.cut:
            raise InputError("no answer")


@dataclass
class World:
    seed: int = 1
    spread_ms: int = 6
    release_ms: tuple[int, int] = (20, 120)  # how long the eye takes
    speaks: bool = True
    permits: bool = False
    encoder: bool = False  # both sides go by counts, 10 in a millisecond at full speed
    items: list[Item] = field(default_factory=list)
    events: list[GateEvent] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    told: list[TellPlc] = field(default_factory=list)
    permit_log: list[tuple[int, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = Random(self.seed)
        unit = self.unit = 10 if self.encoder else 1
        ahead = TO_GATE_MS - LEAD_MS - SCAN_MS
        self.program = Program(ahead * unit, PULSE_MS * unit, PITCH_MS * unit, 500)
        self.clock = ManualClock(BEGIN_NS)
        self.wire = Wire(self)
        self.talk = Conversation(OPTIONS, self.wire, self.clock, SESSION)
        bounds = Bounds(0, 0, 0, escapes=False)
        self.talk._poll_s = 0  # time passes in this world only
        terms = PlcTerms(round(1.5 * OPTIONS.silence_ms * MS), round(OPTIONS.heartbeat_ms * MS))
        settings = Settings(ZONE, bounds, permits=self.permits, bypass_max_ns=60 * SECOND, plc=terms)
        if self.encoder:
            terms = replace(terms, lead_ns=LEAD_MS * MS)
            settings = replace(settings, zone=COUNTED, plc=terms, encoder=SCALE)
        self.core = LineCore(settings, SESSION, 1, BEGIN_NS)
        self._queue: list[Event] = [InputBack(), EyeConnected(EPOCH)]
        self._queue += [InputBack(ENCODER)] if self.encoder else []
        self.position = 0
        self.speed = 1.0
        self._later: list[tuple[int, Event]] = []
        self._next_part_at: int | None = None
        self._next_scan_ns = BEGIN_NS
        self._next_beat_ns = BEGIN_NS
        self._next_talk_ns = BEGIN_NS
        self._covered_until = 0
        self._edges = 0
        self._open = False
        self.scans = True
        self.ready = True  # the eye can inspect
        self.line_lives = True
        self.eye_sees = True  # the trigger
        self.plc_sees = True
        self.loses_word = 0

    # --- what a test says ---

    def parts_come(self, come: bool = True) -> None:
        self._next_part_at = self.position if come else None

    def until_ready(self) -> None:
        self.run_until(lambda: self.core.state is LineState.READY)

    def run_until(self, holds, within_ms: int = 5_000) -> None:  # type: ignore[no-untyped-def]
        for _ in range(within_ms):
            if holds():
                return
            self.run(1)
        raise AssertionError(f"not within {within_ms} ms: {self.core.state}, {self.said[-5:]}")

    def run(self, ms: int) -> None:
        """Let time pass, the line's conversation included."""
        until_ns = self.clock.now_ns() + ms * MS
        while self.clock.now_ns() < until_ns:
            self.advance(1)
            if self.line_lives and self.clock.now_ns() >= self._next_talk_ns:
                self._converse()

    def hear(self, message: Message) -> None:
        self._queue.append(Heard(message, EPOCH))

    def acknowledge(self) -> None:
        self.hear(Limit(LimitAction.CLEAR, 0, b""))

    def bypass(self, seconds: int) -> None:
        self.hear(Bypass(seconds * SECOND))

    def stop(self) -> None:
        self._queue.append(StopAsked("asked", end=False))

    # --- the world goes on ---

    def advance(self, ms: int) -> None:
        for _ in range(ms):
            self.clock.advance(MS)
            now_ns = self.clock.now_ns()
            self._move_belt(now_ns)
            if self.scans and now_ns >= self._next_scan_ns:
                self._next_scan_ns += SCAN_MS * MS
                eye = self.plc_sees and self.position < self._covered_until
                self.program.scan((now_ns - BEGIN_NS) // MS, self.position, eye)
            self._gate()
            if self.line_lives:
                self._line(now_ns)

    def _move_belt(self, now_ns: int) -> None:
        self.position += round(self.speed * self.unit)
        if self.encoder and now_ns // MS % 5 == 0:
            self._later.append((now_ns, Counted(self.position, now_ns)))
        if self._next_part_at is None or self.position < self._next_part_at:
            return
        gap_ms = PITCH_MS + self.spread_ms + self.dice.randint(0, 2 * self.spread_ms)
        self._next_part_at = self.position + gap_ms * self.unit
        self._covered_until = self.position + 20 * self.unit
        item = Item(now_ns, self.position, self.dice.random() < 0.6)
        self.items.append(item)
        self._edges += 1
        if self.eye_sees:
            noticed_ns = now_ns + self.dice.randint(0, 4) * MS
            edge = Edge(True, noticed_ns, ERR_NS, TimeSource.POLL, self._edges)
            self._later.append((noticed_ns + self.dice.randint(0, 2) * MS, EdgeSeen(edge)))

    def _gate(self) -> None:
        for item in self.items[-20:]:
            if item.passed is None and self.position >= item.born_at + (TO_GATE_MS + PULSE_MS // 4) * self.unit:
                item.passed = self.program.passing

    def _line(self, now_ns: int) -> None:
        if self.speaks and now_ns >= self._next_beat_ns:
            self._next_beat_ns = now_ns + 50 * MS
            self.hear(Keepalive(now_ns, self.ready))
        due = [event for at_ns, event in self._later if at_ns <= now_ns]
        self._later = [(at_ns, event) for at_ns, event in self._later if at_ns > now_ns]
        events, self._queue = [*self._queue, *due], []
        if events or self.core.due_ns(now_ns) <= now_ns:
            self._step(events)

    def _step(self, events: list[Event]) -> None:
        while True:
            actions = self.core.step(self.clock.now_ns(), 0, events)
            events = [event for action in actions for event in self._do(action)]
            if not events:
                return

    def _do(self, action: Action) -> list[Event]:
        if isinstance(action, Arm):
            return [Armed()]
        if isinstance(action, WritePermit):
            self.permit_log.append((self.clock.now_ns(), action.on))
            return [PermitWritten(action.on)]
        assert not isinstance(action, WriteGate), "the line moves no gate that a PLC owns"
        if isinstance(action, TellPlc | BeatPlc):
            self._tell(action)
        elif isinstance(action, Keep):
            self.events.append(action.event)
        elif isinstance(action, Say):
            self.said.append(action.words)
        elif isinstance(action, Send) and isinstance(action.message, Birth):
            self._judge(action.message)
        return []

    def _tell(self, action: TellPlc | BeatPlc) -> None:
        if isinstance(action, TellPlc):
            self.told.append(action)
            if self.loses_word and action.release:
                self.loses_word -= 1
                return
        self.talk.tell(action)

    def _judge(self, birth: Birth) -> None:
        """The eye's word for a part that it got."""
        if not self.speaks:
            return
        item = min(self.items[-20:], key=lambda item: abs(item.born_ns - birth.born_ns))
        at_ns = self.clock.now_ns() + self.dice.randint(*self.release_ms) * MS
        word: Message = Release(birth.part_id, birth.born_ns)
        if not item.good:
            word = Reject(birth.part_id, birth.born_ns, Kind.REJECT, Reason.DEFECT)
        self._later.append((at_ns, Heard(word, EPOCH)))

    def _converse(self) -> None:
        """What the Watch of the conversation does, once."""
        now_ns = self.clock.now_ns()
        self._next_talk_ns = now_ns + round(OPTIONS.poll_ms) * MS
        try:
            if not self._open:
                self._mail(self.talk.open())
                self._open = True
            else:
                self.talk.pass_on(self._mail)
        except InputError as error:
            self._open = False
            self.talk.close()
            self._mail(InputLost(str(error), PLC_GATE))
            self._next_talk_ns = self.clock.now_ns() + 100 * MS

    def _mail(self, event: Event) -> None:
        self._queue.append(event)

    # --- what a test asks ---

    def event_of(self, item: Item) -> GateEvent | None:
        """The line's record of this part."""
        near = [event for event in self.events if 0 <= event.born_ns - item.born_ns <= ERR_NS]
        assert len(near) <= 1, "a part has more than one outcome"
        return near[0] if near else None

    def escapes(self) -> list[Item]:
        """Parts that passed though no verdict let them."""
        return [item for item in self.items if item.passed and not item.good]

    def lies(self) -> list[tuple[Item, GateEvent]]:
        """Records that say what was not so; LATE says nothing."""
        wrong = []
        for item in self.items:
            event = self.event_of(item)
            if event is None or item.passed is None or event.outcome is GateOutcome.LATE:
                continue
            if item.passed is not (event.outcome is GateOutcome.RELEASED):
                wrong.append((item, event))
        return wrong

    def make(self, mistake: Mistake) -> None:
        self.program.set(mistake)
