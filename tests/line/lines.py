"""A real line process on real peers, an eye in this process or its own, and what the gate did for each part."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.clock import MS, SystemClock
from edge.line.messages import Ack, Inputs, LimitCounts, LineState, State
from edge.line.ring import read_from
from edge.line.zone import Zone
from edge.line_link import LineLink
from edge.line_starter import Starter
from edge.records import GateEvent, GateOutcome, Kind, Part, Reason, RingPlace
from edge.relay_board import RelayBoard
from edge.station import Station, load
from tests.peers import ModbusServer, hurry, punctual

ROOT = Path(__file__).parents[2]
PITCH_MS = 150
Levels = list[tuple[int, bool]]

TEXT = """
[station]
name = "test"
product = "p"
mode = "{mode}"
state_dir = "state"
run_dir = "run"
[[camera]]
name = "top"
kind = "belt"
[trigger]
{trigger}
[travel]
{travel}
[gate]
{gate}
{slot}
rest = "{rest}"
[line_permit]
{permit}
[limits]
consecutive_rejects = 0
unknown_in_a_row = {unknown_in_a_row}
missed_deadlines = 0
{more}
"""
TRAVEL = "trigger_to_gate_ms = 300\ndecide_before_ms = 100\nlead_ms = 10\npitch_ms = {pitch}"
SLOT = "pulse_ms = {pulse}\nlate_tolerance_ms = {tolerance}"
# the same belt in counts of an encoder: 10 in a millisecond
COUNTED_TRAVEL = """mode = "encoder"
trigger_to_gate_counts = 3000
decide_before_counts = 1000
lead_ms = 10
pitch_counts = 1400
max_counts_per_s = 10000"""
COUNTED_SLOT = "pulse_counts = 800\nlate_tolerance_counts = 300"
ENCODER = '[encoder]\nkind = "simulated"\ncounts_per_s = 10000\nbits = 16'
SIMULATED = f'kind = "simulated"\npitch_ms = {PITCH_MS}\njitter_ms = 4'


@dataclass(frozen=True)
class Bench:
    """A station on a peer that logs: `gate` and `permit` are the levels the peer saw, with CLOCK_MONOTONIC ns."""

    station: Station
    gate: Callable[[], Levels]
    permit: Callable[[], Levels]
    watchdog: bool  # the peer lets its outputs fall when nobody speaks
    modbus: ModbusServer | None = None

    @property
    def zone(self) -> Zone:
        assert self.station.travel is not None and self.station.gate is not None
        return Zone.of(self.station.travel, self.station.gate)

    def outcomes(self) -> list[GateEvent]:
        """What the ring holds; every part has exactly one outcome, numbered without gaps."""
        ring = self.station.station.state_dir / "outcomes.ring"
        if not ring.exists():
            return []
        found = read_from(ring, 1)
        assert (found.overwritten, found.damaged) == (0, 0)
        assert [event.ring_seq for event in found.events] == list(range(1, found.next_seq))
        assert len({event.part_id for event in found.events}) == len(found.events)
        return list(found.events)

    def middle_ns(self, event: GateEvent) -> int:
        return self.zone.slot_start(event.born_ns) + self.zone.pulse // 2


def station_file(folder: Path, **keys: object) -> Station:
    """The station of `TEXT` with these parts, written to the folder and loaded."""
    values: dict[str, object] = {"trigger": SIMULATED, "pitch": 140, "pulse": 80, "tolerance": 30}
    values |= {"rest": "reject", "unknown_in_a_row": 0, "mode": "inspect", "more": ""}
    values |= keys
    values = {"travel": TRAVEL.format(**values), "slot": SLOT.format(**values)} | values
    path = folder / "station.toml"
    path.write_text(TEXT.format(**values))
    return load(path)


@contextmanager
def relay_bench(folder: Path, **keys: object) -> Iterator[Bench]:
    """Gate and permit are two relays of a board with a watchdog of 400 ms, on a pseudo-terminal."""
    with punctual(), RelayBoard(SystemClock(), silence_ms=400) as board:
        hurry(board._thread.native_id or 0)

        def output(channel: int) -> str:
            return (
                f'kind = "serial_bytes"\nport = "{board.port}"\nchannel = {channel}\n'
                "external_watchdog = true\nheartbeat_ms = 100"
            )

        def levels(channel: int) -> Callable[[], Levels]:
            return lambda: [(edge.at_ns, edge.on) for edge in list(board.edges) if edge.channel == channel]

        station = station_file(folder, gate=output(1), permit=output(2), **keys)
        yield Bench(station, levels(1), levels(2), watchdog=True)


@contextmanager
def modbus_bench(folder: Path, *, wired_trigger: bool = False, **keys: object) -> Iterator[Bench]:
    """Gate and permit are coils 0 and 1 of a libmodbus device without a watchdog; input 0 may be the trigger.
    In `more`, DEVICE stands for the keys that address it."""
    with ModbusServer() as server:
        device = f'kind = "modbus"\nhost = "127.0.0.1"\nport = {server.port}\n'

        def output(coil: int) -> str:
            return f"{device}coil = {coil}\ntimeout_ms = 200\nexternal_watchdog = true\nheartbeat_ms = 100"

        def levels(coil: int) -> Callable[[], Levels]:
            return lambda: [(edge.at_ns, edge.level) for edge in server.coil_log() if edge.address == coil]

        if wired_trigger:
            keys["trigger"] = f"{device}input = 0\npoll_ms = 10\ntimeout_ms = 500"
        keys["more"] = str(keys.get("more", "")).replace("DEVICE", f"{device}timeout_ms = 500\npoll_ms = 10\n")
        station = station_file(folder, gate=output(0), permit=output(1), **keys)
        yield Bench(station, levels(0), levels(1), watchdog=False, modbus=server)


BENCHES = {"relay board": relay_bench, "modbus": modbus_bench}


class LineProcess:
    """`python -m edge.line station.toml`, with its words in `words`; killed at the end when it still runs."""

    def __init__(self, station: Station, *flags: str) -> None:
        self._log = station.source.with_suffix(".log")
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edge.line", str(station.source), *flags], stderr=log, cwd=ROOT
            )

    def __enter__(self) -> LineProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def words(self) -> str:
        return self._log.read_text()

    def signal(self, number: signal.Signals) -> int:
        """Send it; returns when (ns)."""
        at_ns = time.monotonic_ns()
        self.process.send_signal(number)
        return at_ns

    def ends(self, within_s: float = 60.0) -> int:
        """The exit code."""
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the line did not end within {within_s:g} s: {self.words}")


def judged(part: Part) -> Kind:
    """What the eyes of these tests say: every second part is good."""
    return Kind.PASS if part.part_id % 2 else Kind.REJECT


@dataclass
class Eye:
    """An eye in this process: answers every birth by `judge` and keeps all that the line said."""

    link: LineLink
    judge: Callable[[Part], Kind | None] = judged
    parts: list[Part] = field(default_factory=list)
    events: list[GateEvent] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    inputs: list[Inputs] = field(default_factory=list)
    limits: list[LimitCounts] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    away: list[str] = field(default_factory=list)
    lost: int = 0

    def born(self, part: Part) -> None:
        self.parts.append(part)
        kind = self.judge(part)
        if kind is Kind.PASS:
            self.link.release(part)
        elif kind is not None:
            self.link.reject(part, kind, Reason.DEFECT if kind is Kind.REJECT else Reason.NONE)

    def birth_refused(self, token: int) -> None:
        self.refused.append(token)

    def ended(self, event: GateEvent) -> None:
        self.events.append(event)

    def outcomes_lost(self, count: int) -> None:
        self.lost += count

    def line_state(self, state: State) -> None:
        self.states.append(state)

    def line_inputs(self, inputs: Inputs) -> None:
        self.inputs.append(inputs)

    def line_limits(self, counts: LimitCounts) -> None:
        self.limits.append(counts)

    def word_acked(self, ack: Ack) -> None:
        self.acks.append(ack)

    def line_away(self, words: str) -> None:
        self.away.append(words)

    def state(self) -> LineState | None:
        return self.states[-1].state if self.states else None

    def newest(self) -> RingPlace:
        """The last outcome that it heard of."""
        return RingPlace(self.events[-1].ring_seq, self.events[-1].part_id) if self.events else RingPlace()

    def released(self) -> int:
        return sum(event.outcome is GateOutcome.RELEASED for event in self.events)

    def until(self, holds: Callable[[], bool], what: str, within_s: float = 60.0) -> None:
        """Poll the line until this holds."""
        ends = time.monotonic() + within_s
        while not holds():
            if time.monotonic() > ends:
                pytest.fail(f"not within {within_s:g} s: {what}; states {self.states[-3:]}, away {self.away[-3:]}")
            self.link.poll(0.01, self)

    def run_for(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.link.poll(0.01, self)


@contextmanager
def eye_of(station: Station, newest: RingPlace | None = None, *, starts_line: bool = False) -> Iterator[Eye]:
    """A connected-soon eye that says it can inspect."""
    starter = Starter(station.source, SystemClock()) if starts_line else None
    link = LineLink(station, SystemClock(), newest or RingPlace(), starter)
    link.say_ready(True)
    try:
        yield Eye(link)
    finally:
        if starts_line:
            end_child(station)
            link.finish(10_000 * MS)
        link.close()


def end_child(station: Station) -> None:
    """Kill the line that holds this station's lock file, if any."""
    try:
        pid = int((station.station.state_dir / "line.lock").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    if str(station.source).encode() in words:
        os.kill(pid, signal.SIGKILL)


class EyeProcess:
    """An eye of its own process (eye_stand_in.py) that can be killed; it never starts a line."""

    def __init__(self, station: Station) -> None:
        command = [sys.executable, "-m", "tests.line.eye_stand_in", str(station.source)]
        self.process = subprocess.Popen(command, cwd=ROOT)

    def __enter__(self) -> EyeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> int:
        """Send it; returns when (ns)."""
        at_ns = time.monotonic_ns()
        self.process.send_signal(number)
        return at_ns


def level_at(levels: Levels, at_ns: int) -> bool:
    """What the peer saw at this time; outputs start at rest."""
    return next((on for since_ns, on in reversed(levels) if since_ns <= at_ns), False)


def check_gate(bench: Bench, events: list[GateEvent]) -> None:
    """In the middle of each part's slot the peer's gate stood as the outcome says."""
    gate = bench.gate()
    for event in events:
        active = level_at(gate, bench.middle_ns(event))
        if event.outcome is GateOutcome.RELEASED:
            assert active is bench.zone.rest_rejects, f"a released part was hit: {event}"
        elif event.outcome is GateOutcome.FIRED:
            assert active is not bench.zone.rest_rejects, f"a rejected part was let pass: {event}"


def outcomes_reach(bench: Bench, holds: Callable[[list[GateEvent]], bool], what: str) -> None:
    """Return soon after the ring's outcomes fulfil this."""
    ends = time.monotonic() + 60.0
    while not holds(bench.outcomes()):
        if time.monotonic() > ends:
            pytest.fail(f"not within 60 s: {what}")
        time.sleep(0.05)  # a ring is some megabytes
