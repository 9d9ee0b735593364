"""Whatever is born, said, lost or delayed: no part without an in-time release passes, each ends once, none is hit.

The line's real core is driven by random histories on a manual clock, with its world (gate, permit) around it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.clock import MS, ManualClock
from edge.line.core import LineCore
from edge.line.drive import Drive
from edge.line.events import (
    Action,
    Arm,
    Armed,
    EdgeSeen,
    Event,
    EyeConnected,
    EyeGone,
    GateWritten,
    Heard,
    InputBack,
    InputLost,
    Keep,
    OutputFailed,
    OutputRested,
    PermitWritten,
    Rest,
    Send,
    Which,
    WriteGate,
    WritePermit,
)
from edge.line.limits import Bounds
from edge.line.messages import AckStatus, Birth, Keepalive, LineState, Reject, Release, State
from edge.line.settings import Settings
from edge.line.tracker import Tracker
from edge.line.zone import Zone
from edge.records import Edge, GateEvent, GateOutcome, Kind, Part, Reason, TimeSource

SESSION = 3
TO_GATE, BEFORE, LEAD, PULSE, PITCH, TOLERANCE = 200, 30, 10, 40, 60, 5


def zone(rest_rejects: bool) -> Zone:
    return Zone(TO_GATE * MS, BEFORE * MS, LEAD * MS, PULSE * MS, PITCH * MS, TOLERANCE * MS, rest_rejects)


@dataclass(frozen=True)
class Step:
    """After `wait` ms: what happens to the line. `which` picks a part for words, 0 is the youngest."""

    wait: float
    what: str
    which: int


WHATS = (
    ["edge"] * 8
    + ["release"] * 8
    + ["reject"] * 2
    + ["stale", "gone", "connect", "unready", "ready", "lose", "back", "skip", "stall", "break gate", "clear"]
)
STEPS = st.lists(
    st.builds(
        Step,
        wait=st.sampled_from([0.0, 1.0, 7.0, 20.0, 39.0, 61.0, 61.0, 66.0, 80.0, 130.0]),
        what=st.sampled_from(WHATS),
        which=st.integers(0, 3),
    ),
    min_size=5,
    max_size=60,
)


@dataclass
class World:
    """Gate, permit, trigger and eye around a core; keeps what would be seen from outside."""

    rest_rejects: bool
    clock: ManualClock = field(default_factory=ManualClock)
    core: LineCore = field(init=False)
    parts: dict[int, Part] = field(default_factory=dict)
    events: list[GateEvent] = field(default_factory=list)
    levels: list[tuple[int, bool]] = field(default_factory=list)
    unknown: list[tuple[int, int]] = field(default_factory=list)
    released_in_time: set[int] = field(default_factory=set)
    accepted: set[int] = field(default_factory=set)
    epoch: int = 0
    heard_epoch: dict[int, int] = field(default_factory=dict)
    counter: int = 0
    ready: bool = True
    alive: bool = True
    broken_once: bool = False
    failed_ns: int = 0
    state: LineState = LineState.STARTING

    def __post_init__(self) -> None:
        bounds = Bounds(0, 0, 0, escapes=not self.rest_rejects)
        self.core = LineCore(Settings(zone(self.rest_rejects), bounds, permits=True), SESSION, 1, 0)

    def step(self, events: list[Event]) -> None:
        while True:
            actions = self.core.step(self.clock.now_ns(), 0, events)
            events = [event for action in actions for event in self.do(action)]
            if not events:
                return

    def do(self, action: Action) -> list[Event]:
        now = self.clock.now_ns()
        match action:
            case Arm():
                self.set(False)
                return [Armed()]
            case WriteGate(edge):
                if self.broken_once:
                    self.broken_once = False
                    self.failed_ns = now
                    return [OutputFailed(Which.GATE, now, "broken")]
                self.set(edge.active)
                return [GateWritten(edge, now, 0)]
            case WritePermit(on):
                return [PermitWritten(on)]
            case Rest(which):
                if which is Which.GATE:
                    self.unknown.append((self.failed_ns, now))
                    self.set(False)
                return [OutputRested(which)]
            case Keep(event):
                self.events.append(event)
            case Send(message):
                self.hear(message)
        return []

    def hear(self, message: object) -> None:
        if isinstance(message, Birth):
            self.parts[message.part_id] = message.part()
            self.heard_epoch[message.part_id] = self.epoch
        elif isinstance(message, State):
            self.state = message.state

    def set(self, active: bool) -> None:
        if not self.levels or self.levels[-1][1] is not active:
            self.levels.append((self.clock.now_ns(), active))

    def run_to(self, at_ns: int) -> None:
        """Step the core whenever it is due, and keep the eye alive, up to this time."""
        while True:
            due = min(self.core.due_ns(self.clock.now_ns()), at_ns)
            self.clock.sleep_until(due)
            self.step([])
            if due >= at_ns:
                return
            if self.alive and due % (50 * MS) < 10 * MS:
                self.step([Heard(Keepalive(due, self.ready), self.epoch)])

    def keepalive(self) -> None:
        if self.alive and self.epoch:
            self.step([Heard(Keepalive(self.clock.now_ns(), self.ready), self.epoch)])

    def play(self, step: Step) -> None:
        if step.what == "stall":
            self.clock.advance(round(step.wait * MS))  # nobody steps the core
        else:
            self.run_to(self.clock.now_ns() + round(step.wait * MS))
        self.keepalive()
        self.step(self.happening(step))

    def happening(self, step: Step) -> list[Event]:
        now = self.clock.now_ns()
        if step.what in ("edge", "skip"):
            self.counter += 1 + (step.what == "skip")
            return [EdgeSeen(Edge(True, now, 0, TimeSource.KERNEL, self.counter))]
        if step.what in ("release", "stale", "reject"):
            return self.word(step)
        if step.what == "connect":
            self.epoch += 1
            self.alive = self.ready = True
            return [EyeConnected(self.epoch), Heard(Keepalive(now, True), self.epoch)]
        if step.what == "gone":
            self.epoch, self.alive = self.epoch + 1, False
            return [EyeGone()]
        if step.what == "break gate":
            self.broken_once = True
        if step.what == "ready" or step.what == "unready":
            self.ready = step.what == "ready"
        if step.what == "lose":
            return [InputLost("x")]
        return [InputBack()] if step.what == "back" else []

    def word(self, step: Step) -> list[Event]:
        ids = sorted(self.parts)
        if not ids:
            return []
        part = self.parts[ids[max(0, len(ids) - 1 - step.which)]]
        now = self.clock.now_ns()
        epoch = self.epoch - 1 if step.what == "stale" else self.epoch
        if step.what == "reject":
            return [Heard(Reject(part.part_id, part.born_ns, Kind.REJECT, Reason.DEFECT), epoch)]
        if step.what == "release" and self.alive and now < part.deadline_ns and self.state is LineState.READY:
            self.released_in_time.add(part.part_id)
        return [Heard(Release(part.part_id, part.born_ns), epoch)]

    def active_during(self, start_ns: int, end_ns: int) -> bool:
        """Whether the gate was energised at any time in [start, end)."""
        spans = zip(self.levels, [*self.levels[1:], (1 << 62, False)], strict=True)
        return any(active and since < end_ns and start_ns < until for (since, active), (until, _) in spans)

    def inactive_during(self, start_ns: int, end_ns: int) -> bool:
        """Whether the gate was at rest at any time in [start, end)."""
        spans = zip(self.levels, [*self.levels[1:], (1 << 62, False)], strict=True)
        return any(not active and since < end_ns and start_ns < until for (since, active), (until, _) in spans)


def play(steps: list[Step], rest_rejects: bool) -> World:
    world = World(rest_rejects)
    world.step([])
    world.step([InputBack()])
    world.play(Step(0, "connect", 0))
    world.run_to(260 * MS)  # purged: READY
    for step in steps:
        world.play(step)
    world.run_to(world.clock.now_ns() + 1_000 * MS)
    return world


def violation(world: World) -> str:
    """What the world saw that must not be, or an empty string."""
    ended = [event.part_id for event in world.events]
    if sorted(ended) != sorted(world.parts.keys() | set(ended)) or len(set(ended)) != len(ended):
        return f"parts {sorted(world.parts)} ended as {ended}"
    if [event.ring_seq for event in world.events] != list(range(1, len(ended) + 1)):
        return "outcomes are not numbered without gaps"
    return next((words for event in world.events if (words := _wronged(world, event))), "")


def _wronged(world: World, event: GateEvent) -> str:
    start = zone(world.rest_rejects).slot_start(event.born_ns)
    end = start + PULSE * MS
    number = event.part_id & 0xFFFF_FFFF
    if event.outcome is GateOutcome.RELEASED and event.part_id not in world.released_in_time:
        return f"part {number} was released without an in-time PASS in READY"
    if event.outcome is GateOutcome.RELEASED:
        middle = (start + end) // 2
        wrong = world.inactive_during if world.rest_rejects else world.active_during
        return f"part {number} counts as released but was hit" if wrong(middle, middle + 1) else ""
    if event.outcome is GateOutcome.LATE:
        return ""
    wrong = world.active_during if world.rest_rejects else world.inactive_during
    late_ns = start + TOLERANCE * MS
    return f"part {number} counts as rejected but the gate let it pass" if wrong(late_ns, end) else ""


@pytest.mark.parametrize("rest_rejects", [True, False])
@settings(max_examples=800, deadline=None)
@given(steps=STEPS)
def test_no_part_passes_without_an_in_time_release_and_each_ends_once(
    rest_rejects: bool, steps: list[Step]
) -> None:
    assert violation(play(steps, rest_rejects)) == ""


@settings(max_examples=800, deadline=None)
@given(steps=STEPS)
def test_a_gate_that_rests_closed_opens_for_released_parts_only(steps: list[Step]) -> None:
    """No gate edge touches the slot of a neighbour that is not released, but for edges that came late by a stall."""
    world = play([step for step in steps if step.what not in ("stall", "break gate")], True)
    for event in world.events:
        if event.part_id not in world.released_in_time:
            start = zone(True).slot_start(event.born_ns)
            assert event.outcome is GateOutcome.FIRED
            assert not world.active_during(start, start + PULSE * MS)


GOOD_LIFE = [Step(61.0, "edge", 0), Step(7.0, "release", 0)] * 6


def test_the_random_world_does_release_parts() -> None:
    """The property would hold for a line that releases nothing."""
    for rest_rejects in (True, False):
        world = play(GOOD_LIFE, rest_rejects)
        assert [event.outcome for event in world.events] == [GateOutcome.RELEASED] * 6


def _late_words_count(tracker: Tracker, part_id: int, now_ns: int, line_ready: bool) -> AckStatus:
    flight = tracker._flights.get(part_id)
    if flight is None:
        return AckStatus.UNKNOWN_PART
    flight.spoken = flight.released = True
    flight.verdict, flight.reason = Kind.PASS, Reason.NONE
    return AckStatus.ACCEPTED


def _next_part_instead(tracker: Tracker, part_id: int, now_ns: int, line_ready: bool) -> AckStatus:
    return _late_words_count(tracker, part_id + 1, now_ns, line_ready)


@pytest.mark.parametrize("mutant", [_late_words_count, _next_part_instead])
def test_the_property_catches_a_tracker_that_releases_wrongly(
    mutant: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = [Step(61.0, "edge", 0), Step(61.0, "edge", 0), Step(130.0, "release", 1), Step(80.0, "edge", 0)]
    assert violation(play(late, True)) == ""
    monkeypatch.setattr(Tracker, "release", mutant)
    assert violation(play(late, True)) != ""


def test_the_property_catches_a_drive_that_kicks_late(monkeypatch: pytest.MonkeyPatch) -> None:
    def kicks(drive: Drive, now_ns: int) -> bool:
        edge = drive._edge
        if edge is None or edge.at > now_ns:
            return False
        drive._act(WriteGate(edge))
        drive._edge, drive._writing = None, True
        return True

    hung = [Step(61.0, "edge", 0), Step(7.0, "release", 0), Step(39.0, "edge", 0), Step(130.0, "stall", 0)]
    hung += [Step(20.0, "stall", 0), Step(7.0, "stall", 0)]
    assert not play(hung, True).active_during(0, 1 << 61)
    monkeypatch.setattr(Drive, "take_edge", kicks)
    assert play(hung, True).active_during(0, 1 << 61)


def test_a_release_that_the_device_confirmed_too_late_does_not_count_as_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    life = [Step(61.0, "edge", 0), Step(7.0, "release", 0), Step(130.0, "ready", 0)]
    do = World.do
    for late_ms, outcome in ((PULSE // 2 - 1, GateOutcome.RELEASED), (PULSE // 2 + 1, GateOutcome.LATE)):

        def confirmed_late(world: World, action: Action, late_ms: int = late_ms) -> list[Event]:
            events = do(world, action)
            written = [event for event in events if isinstance(event, GateWritten)]
            return [GateWritten(e.edge, e.issued_ns, e.issued_ns + late_ms * MS) for e in written] or events

        monkeypatch.setattr(World, "do", confirmed_late)
        assert [event.outcome for event in play(life, True).events] == [outcome]
        monkeypatch.undo()
