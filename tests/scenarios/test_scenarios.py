"""Plays the text scenarios of this folder on a manual clock through the line's real core.

A scenario has three sections. `station`: times in ms and limits. `script`: `MS what`, in order. `expect`: every gate
change with its time, every outcome; permit, state and ack lines too where the file has any of that sort.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.clock import MS, SECOND, ManualClock
from edge.line.axis import EncoderScale
from edge.line.core import LineCore
from edge.line.events import (
    CONFIRM,
    INTERLOCK,
    MOTOR,
    SECOND_EYE,
    Action,
    Arm,
    Armed,
    ArmFailed,
    Counted,
    EdgeSeen,
    End,
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
    StopAsked,
    Which,
    WriteGate,
    WritePermit,
)
from edge.line.limits import Bounds
from edge.line.messages import (
    Ack,
    Birth,
    Bypass,
    Keepalive,
    Limit,
    LimitAction,
    LineState,
    Message,
    Reject,
    Release,
    State,
    Stop,
)
from edge.line.senses import Interlock, SecondEye, Sensors
from edge.line.settings import Settings
from edge.line.zone import Zone
from edge.records import Edge, Kind, Reason, Sensed, TimeSource

FOLDER = Path(__file__).parent
SESSION = 7
KEEPALIVE_MS = 50
DEFAULTS = {
    "trigger_to_gate": "200",
    "decide_before": "30",
    "lead": "10",
    "pulse": "40",
    "pitch": "60",
    "tolerance": "5",
    "rest": "reject",
    "permit": "no",
    "eye_births": "no",
    "child": "no",
    "consecutive_rejects": "0",
    "unknown_in_a_row": "0",
    "missed_deadlines": "0",
    "gate_heartbeat": "0",
    "permit_heartbeat": "0",
    "gate_heartbeat_takes": "0",
    "permit_heartbeat_takes": "0",
    "first_edge_counter": "1",
    "bypass_max": "0",
    "encoder": "no",  # yes: the places above are counts, and the lead is a time
    "max_per_s": "2000",
    "bits": "32",
    "reverse": "10",
    "stale": "60",
    "length_min": "0",
    "length_max": "0",
    "second_eye": "none",  # where it is, its window, the largest drift
    "confirm": "none",  # after, window
    "interlocks": "",
    "motor": "no",
    "dead": "100",
    "unconfirmed_rejects": "0",
    "window_rejects": "0",
    "window_parts": "100",
    "warns": "",
}

SORTS = ("gate", "permit", "outcome", "ack", "state", "writes", "end", "beat", "recipe", "born")


@dataclass(frozen=True)
class Scenario:
    station: dict[str, str]
    script: list[tuple[float, list[str]]]
    expect: dict[str, list[str]]


def read(path: Path) -> Scenario:
    station, script, expect = dict(DEFAULTS), [], {"gate": [], "outcome": []}
    section = ""
    for raw in path.read_text().splitlines():
        line = raw.split("#")[0].strip()
        if line in ("station", "script", "expect"):
            section = line
        elif line and section == "station":
            key, _, value = (word.strip() for word in line.partition("="))
            assert key in DEFAULTS, f"{path.name}: unknown key {key}"
            station[key] = value
        elif line and section == "script":
            at, *words = line.split()
            script.append((float(at), words))
        elif line and section == "expect":
            sort, _, rest = line.partition(" ")
            expect.setdefault(sort, [])
            if rest.strip() != "none":
                expect[sort].append(" ".join(rest.split()))
    return Scenario(station, script, expect)


def settings_of(station: dict[str, str]) -> Settings:
    counts = station["encoder"] == "yes"

    def ns(key: str) -> int:
        return round(float(station[key]) * MS)

    def place(text: str) -> int:
        return int(text) if counts else round(float(text) * MS)

    zone = Zone(
        place(station["trigger_to_gate"]),
        place(station["decide_before"]),
        0 if counts else ns("lead"),
        place(station["pulse"]),
        place(station["pitch"]),
        place(station["tolerance"]),
        station["rest"] == "reject",
        valve=10 * int(station["max_per_s"]) // 1_000 if counts else 10 * MS,
        margin=round(float(station["lead"]) * int(station["max_per_s"]) / 1_000) if counts else 0,
    )
    second = None if station["second_eye"] == "none" else SecondEye(*map(place, station["second_eye"].split()))
    confirm = None if station["confirm"] == "none" else station["confirm"].split()
    bounds = Bounds(
        int(station["consecutive_rejects"]),
        int(station["unknown_in_a_row"]),
        int(station["missed_deadlines"]),
        escapes=station["rest"] == "pass",
        unconfirmed_rejects=int(station["unconfirmed_rejects"]),
        window_rejects=int(station["window_rejects"]),
        window_parts=int(station["window_parts"]),
        warns=frozenset(station["warns"].split()),
    )
    return Settings(
        zone,
        bounds,
        permits=station["permit"] == "yes",
        eye_births=station["eye_births"] == "yes",
        child=station["child"] == "yes",
        gate_heartbeat_ns=ns("gate_heartbeat") or None,
        permit_heartbeat_ns=ns("permit_heartbeat") or None,
        gate_heartbeat_takes_ns=ns("gate_heartbeat_takes"),
        permit_heartbeat_takes_ns=ns("permit_heartbeat_takes"),
        bypass_max_ns=ns("bypass_max"),
        encoder=EncoderScale(
            int(station["bits"]), int(station["max_per_s"]), ns("lead"), int(station["reverse"]), ns("stale")
        )
        if counts
        else None,
        sensors=Sensors(
            place(station["length_min"]),
            place(station["length_max"]),
            second,
            tuple(Interlock(name, True, LineState.HELD) for name in station["interlocks"].split()),
            station["motor"] == "yes",
            ns("dead"),
        ),
        confirm=None if confirm is None else (round(float(confirm[0]) * MS), round(float(confirm[1]) * MS)),
    )


@dataclass
class Player:
    """The world around the core: outputs that can fail, an eye that keeps itself alive, a process that can stall."""

    core: LineCore
    clock: ManualClock
    permits: bool
    counter: int
    seen: dict[str, list[str]] = field(default_factory=lambda: {sort: [] for sort in SORTS})
    broken: set[Which] = field(default_factory=set)
    gate: bool | None = None
    permit: bool | None = None
    epoch: int = 0
    alive: bool = False
    ready: bool = True
    recipe: int = 0
    told_recipe: int = 0
    births: dict[int, int] = field(default_factory=dict)
    state: str = ""
    ended: bool = False
    queue: list[Event] = field(default_factory=list)
    belt: Belt | None = None
    counters: Counter[str] = field(default_factory=Counter)

    def ms(self) -> str:
        return f"{self.clock.now_ns() / MS:g}"

    def step(self, events: list[Event]) -> None:
        while True:
            actions = self.core.step(self.clock.now_ns(), self.clock.wall_ns(), events)
            events = [event for action in actions for event in self.do(action)]
            self.note_state()
            if not events:
                return

    def note_state(self) -> None:
        if self.core.state.name != self.state:
            self.state = self.core.state.name
            self.seen["state"].append(f"{self.state} {self.ms()}")

    def do(self, action: Action) -> list[Event]:
        now = self.clock.now_ns()
        match action:
            case Arm():
                if self.broken:
                    return [ArmFailed("broken")]
                self.gate = self.permit = False
                return [Armed()]
            case WriteGate(edge):
                self.seen["writes"].append(f"{'on' if edge.active else 'off'} {self.ms()}")
                if Which.GATE in self.broken:
                    return [OutputFailed(Which.GATE, now, "broken")]
                self.set_gate(edge.active)
                return [GateWritten(edge, now, 0)]
            case WritePermit(on):
                if Which.PERMIT in self.broken:
                    return [OutputFailed(Which.PERMIT, now, "broken")]
                self.seen["beat"] += [self.ms()] if on is self.permit else []
                self.set_permit(on)
                return [PermitWritten(on)]
            case Rest(which):
                return self.rest(which)
            case Send(message):
                self.take(message)
            case Keep(event):
                assert event.ring_seq == len(self.seen["outcome"]) + 1
                sensed = "" if event.sensed is Sensed.UNWATCHED else f" {event.sensed.name}"
                number = event.part_id & 0xFFFF_FFFF
                self.seen["outcome"].append(
                    f"{number} {event.outcome.name} {event.verdict.name} {event.reason.name}{sensed}"
                )
            case End():
                self.ended = True
                self.seen["end"].append(self.ms())
                self.rest(Which.PERMIT)
                self.rest(Which.GATE)
        return []

    def rest(self, which: Which) -> list[Event]:
        if which in self.broken:
            return [OutputFailed(which, self.clock.now_ns(), "broken")]
        if which is Which.GATE:
            self.set_gate(False)
        else:
            self.set_permit(False)
        return [OutputRested(which)]

    def set_gate(self, active: bool) -> None:
        if active is not self.gate:
            self.seen["gate"].append(f"{'on' if active else 'off'} {self.ms()}")
        self.gate = active

    def set_permit(self, on: bool) -> None:
        if self.permits and on is not self.permit:
            self.seen["permit"].append(f"{'on' if on else 'off'} {self.ms()}")
        self.permit = on

    def take(self, message: Message) -> None:
        if isinstance(message, Ack):
            self.seen["ack"].append(f"{message.number & 0xFFFF_FFFF} {message.status.name}")
        if isinstance(message, Birth):
            self.births[message.part_id] = message.born_ns
            self.seen["born"].append(f"{message.part_id & 0xFFFF_FFFF} {message.recipe}")
        if isinstance(message, State):
            assert len(message.cause) <= 56
            if message.recipe != self.told_recipe:
                self.told_recipe = message.recipe
                self.seen["recipe"].append(f"{message.recipe} {self.ms()}")

    def heard(self, message: Message, epoch: int | None = None) -> list[Event]:
        return [Heard(message, self.epoch if epoch is None else epoch)]

    def part(self, number: str) -> tuple[int, int]:
        """Id and time of birth, which the eye does not know of a part that it was not told of."""
        return (part_id := SESSION << 32 | int(number)), self.births.get(part_id, 0)

    # --- the script's words ---

    def play(self, words: list[str]) -> list[Event]:
        known: dict[str, Callable[..., list[Event]]] = {
            "eye": self.eye,
            "edge": self.edge,
            "falls": self.falls,
            "sees": self.sees,
            "belt": self.moves,
            "release": self.release,
            "reject": self.reject,
            "unknown": self.unknown,
            "birth": self.birth,
            "break": self.break_output,
            "repair": self.repair_output,
            "trigger": self.trigger,
            "clear": lambda: self.heard(Limit(LimitAction.CLEAR, 0, b"")),
            "limit": lambda: self.heard(Limit(LimitAction.STOP, 1, b"the eye's limit")),
            "bypass": lambda ms: self.heard(Bypass(round(float(ms) * MS))),
            "stop": lambda: self.heard(Stop(0)),
            "sigterm": lambda: [StopAsked("SIGTERM", end=True)],
            "stall": lambda *_: [],
            "until": list,
        }
        return known[words[0]](*words[1:])

    def eye(self, what: str, *more: str) -> list[Event]:
        if what == "connects":
            self.epoch += 1
            self.alive = self.ready = True
            return [EyeConnected(self.epoch), *self.keepalive()]
        if what == "gone":
            self.alive = False
            return [EyeGone()]
        if what == "silent":
            self.alive = False
            return []
        assert what in ("ready", "unready", "speaks", "selects"), what
        self.alive = True
        self.ready = what != "unready"
        self.recipe = int(more[0]) if what == "selects" else self.recipe
        return self.keepalive()

    def keepalive(self) -> list[Event]:
        return self.heard(Keepalive(self.clock.now_ns(), self.ready, self.recipe))

    def sees(self, source: str, level: str, *more: str) -> list[Event]:
        """Another input than the trigger: second_eye, confirm, motor or an interlock's name."""
        name = source if source in (SECOND_EYE, CONFIRM, MOTOR) else INTERLOCK + source
        self.counters[name] += level == "high"
        edge = Edge(level == "high", self.clock.now_ns(), 0, TimeSource.KERNEL, self.counters[name])
        return [EdgeSeen(edge, name)]

    def falls(self, *more: str) -> list[Event]:
        self.counter += int(more[more.index("lost") - 1]) if "lost" in more else 0
        at_ns = self.clock.now_ns() - _ago_ns(more)
        return [EdgeSeen(Edge(False, at_ns, 0, TimeSource.KERNEL, self.counter - 1))]

    def moves(self, what: str, per_s: str = "0") -> list[Event]:
        assert self.belt is not None
        if what == "at":
            self.belt.turn(self.clock.now_ns(), int(per_s))
        elif what == "silent":
            self.belt.silent = True
        else:
            self.belt.silent = False
            self.belt.offset = int(per_s) - self.belt.place(self.clock.now_ns())  # the counter begins anew there
        return []

    def edge(self, *more: str) -> list[Event]:
        self.counter += int(more[more.index("lost") - 1]) if "lost" in more else 0
        edge = Edge(True, self.clock.now_ns() - _ago_ns(more), 0, TimeSource.KERNEL, self.counter)
        self.counter += 1
        return [EdgeSeen(edge)]

    def release(self, number: str, *more: str) -> list[Event]:
        epoch = self.epoch - 1 if more == ("old", "epoch") else None
        return self.heard(Release(*self.part(number)), epoch)

    def reject(self, number: str) -> list[Event]:
        return self.heard(Reject(*self.part(number), Kind.REJECT, Reason.DEFECT))

    def unknown(self, number: str, reason: str) -> list[Event]:
        return self.heard(Reject(*self.part(number), Kind.UNKNOWN, Reason[reason]))

    def birth(self, token: str, born: str) -> list[Event]:
        return self.heard(Birth(0, int(token), round(float(born) * MS), 0, 0, 0, 0, 0, True))

    def break_output(self, which: str) -> list[Event]:
        self.broken.add(Which.GATE if which == "gate" else Which.PERMIT)
        return []

    def repair_output(self, which: str) -> list[Event]:
        self.broken.remove(Which.GATE if which == "gate" else Which.PERMIT)
        return []

    def trigger(self, what: str) -> list[Event]:
        return [InputBack()] if what == "back" else [InputLost("unplugged")]

    def opened(self, settings: Settings) -> list[Event]:
        """Every input is read; interlocks are well, the motor runs."""
        return [InputBack(name, name == MOTOR or name.startswith(INTERLOCK)) for name in sorted(settings.inputs)]


@dataclass
class Belt:
    """A belt with an encoder that is read every 5 ms."""

    bits: int
    per_s: int = 0
    turned_ns: int = 0
    before: int = 0
    offset: int = 0
    silent: bool = False
    next_ns: int = 0

    def place(self, now_ns: int) -> int:
        return self.before + (now_ns - self.turned_ns) * self.per_s // SECOND

    def turn(self, now_ns: int, per_s: int) -> None:
        self.before, self.turned_ns, self.per_s = self.place(now_ns), now_ns, per_s

    def sample(self, now_ns: int) -> list[Event]:
        self.next_ns = now_ns + 5 * MS
        counter = (self.place(now_ns) + self.offset) % (1 << self.bits)
        return [] if self.silent else [Counted(counter, now_ns)]


def run(scenario: Scenario) -> Player:
    clock = ManualClock()
    settings = settings_of(scenario.station)
    core = LineCore(settings, SESSION, 1, 0)
    player = Player(core, clock, settings.permits, int(scenario.station["first_edge_counter"]))
    player.belt = Belt(settings.encoder.bits) if settings.encoder else None
    player.step([])
    player.step([*player.opened(settings), *(player.belt.sample(0) if player.belt else [])])
    script = list(scenario.script)
    keepalive_ns = KEEPALIVE_MS * MS
    stalled_ns = 0
    while script and not player.ended:
        times = [round(script[0][0] * MS), core.due_ns(clock.now_ns()), keepalive_ns]
        times += [player.belt.next_ns] if player.belt else []
        clock.sleep_until(max(min(times), stalled_ns))
        events: list[Event] = []
        if player.belt and player.belt.next_ns <= clock.now_ns():
            events += player.belt.sample(clock.now_ns())
        while script and script[0][0] * MS <= clock.now_ns():
            _, words = script.pop(0)
            if words[0] == "stall":
                stalled_ns = round(float(words[2]) * MS)  # stall until MS
            events += player.play(words)
        if keepalive_ns <= clock.now_ns():
            keepalive_ns += KEEPALIVE_MS * MS
            events += player.keepalive() if player.alive else []
        if stalled_ns > clock.now_ns():
            player.queue += events
            continue
        player.step(player.queue + events)
        player.queue = []
        assert core.due_ns(clock.now_ns()) > clock.now_ns(), f"the line spins at {player.ms()} ms"
    return player


def _ago_ns(more: tuple[str, ...]) -> int:
    return round(float(more[more.index("ago") - 1]) * MS) if "ago" in more else 0


PATHS = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
def test_the_line_does_what_the_scenario_says(path: Path) -> None:
    scenario = read(path)
    player = run(scenario)
    for sort, expected in scenario.expect.items():
        assert player.seen[sort] == expected, f"{sort} lines of {path.name}"


def test_there_are_scenarios_and_each_expects_outcomes() -> None:
    assert len(PATHS) >= 15
    for path in PATHS:
        expect = read(path).expect
        assert expect["outcome"] or expect.get("end"), f"{path.name} proves nothing"
