"""The real line process and a PLC in a process of its own, with its conveyor: what the gate did to each part."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.clock import MS, SystemClock
from edge.errors import DeviceError, InputError
from edge.line.messages import LineState
from edge.line.modbus_tcp import tcp_link
from edge.line.outputs.trial import read_back
from edge.line.plc_gate.table import LINE_SIZE, Greeting, LineFlag
from edge.records import GateEvent, GateOutcome, Kind
from edge.registers import numbers, size
from edge.station import Station
from tests.line.lines import Bench as LineBench
from tests.line.lines import Eye, EyeProcess, LineProcess, eye_of, outcomes_reach, station_file
from tests.peers import eventually
from tests.plc_gate.program import BASE, GatePlc, Mistake

PITCH_MS = 150
PATIENT = "timeout_ms = 300\nsilence_ms = 400"


@dataclass
class Bench:
    """A station on a PLC, and what came of the parts; the trigger tells a birth so near to it."""

    station: Station
    plc: GatePlc
    near_ns: int = 60 * MS
    passed: dict[int, bool] = field(default_factory=dict)

    def truth(self) -> dict[int, bool]:
        """When each part was born, and whether it passed."""
        self.passed |= self.plc.parts()
        return self.passed

    def outcomes(self) -> list[GateEvent]:
        return LineBench(self.station, list, list, watchdog=False).outcomes()

    def near(self, born_ns: int, events: list[GateEvent]) -> list[GateEvent]:
        """The records of the part that was born then."""
        return [event for event in events if -5 * MS <= event.born_ns - born_ns <= self.near_ns]

    def compare_heard(self, eye: Eye) -> int:
        """The same of what an eye heard, once it has heard of all that had passed when it was asked."""
        known = dict(self.truth())
        born = [born_ns for born_ns, passed in known.items() if passed]
        eye.until(lambda: all(self.near(born_ns, eye.events) for born_ns in born), "a record of each that passed")
        return self.compare(eye.events, known)

    def compare(self, events: list[GateEvent], known: dict[int, bool] | None = None) -> int:
        """How many parts were what the record says of them; fails where one was not. LATE says nothing. Fails too for a
        part that passed without a PASS of its own."""
        right = 0
        for born_ns, passed in (self.truth() if known is None else known).items():
            near = self.near(born_ns, events)
            assert len(near) <= 1
            assert not passed or [event.verdict for event in near] == [Kind.PASS], f"{near} passed"
            if near and near[0].outcome is not GateOutcome.LATE:
                assert passed is (near[0].outcome is GateOutcome.RELEASED), f"{near[0]} passed: {passed}"
                right += 1
        return right


def station_on(folder: Path, port: int, **keys: object) -> Station:
    device = f'host = "127.0.0.1"\nport = {port}\n'
    return station_file(
        folder,
        trigger=f'kind = "modbus"\n{device}input = 0\npoll_ms = 5\ntimeout_ms = 500',
        gate=f'kind = "plc"\n{device}address = {BASE}\nscan_ms = 12\nwindow_ms = 35\n{PATIENT}',
        permit='kind = "memory"',
        tolerance=20,
        **keys,
    )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with GatePlc(scan_ms=10, travel_ms=280, pulse_ms=80, pitch_ms=PITCH_MS) as plc:
        yield Bench(station_on(tmp_path, plc.port), plc)


def inspecting(bench: Bench, eye: Eye, parts: int = 1_000) -> None:
    """The line is ready and parts pass."""
    eye.until(lambda: eye.state() is LineState.READY, "the line is ready")
    bench.plc.ask(f"parts {parts}")
    eye.until(lambda: eye.released() >= 2, "parts pass")


def passes_of(bench: Bench, since_ns: int) -> list[bool]:
    return [passed for born_ns, passed in bench.truth().items() if born_ns > since_ns]


def test_each_part_is_let_pass_or_rejected_as_the_eye_said_and_the_plc_says_so(bench: Bench) -> None:
    with LineProcess(bench.station) as line, eye_of(bench.station) as eye:
        inspecting(bench, eye, 30)
        eye.until(lambda: bench.plc.ended() == 30, "all parts are through")
        line.signal(signal.SIGTERM)
        eye.until(lambda: line.process.poll() is not None, "the line ends")
        assert line.ends() == 0
        eye.until(lambda: eye.events == bench.outcomes(), "every outcome came to the eye, once and in order")
    events = bench.outcomes()
    assert len(events) == 30, line.words
    assert bench.compare(events) >= 20  # on a busy machine an answer or a word may come late
    assert all(event.confirmed_ns for event in events)
    assert {event.outcome for event in events} >= {GateOutcome.RELEASED, GateOutcome.FIRED}


def test_without_an_eye_every_part_is_rejected(bench: Bench) -> None:
    with LineProcess(bench.station) as line:
        with EyeProcess(bench.station) as eye:
            bench.plc.ask("parts 1000")
            outcomes_reach(bench, _releases(2), "parts pass")  # type: ignore[arg-type]
            killed_ns = eye.signal(signal.SIGKILL)
        eventually(lambda: len(passes_of(bench, killed_ns)) >= 5, "parts come by")
        assert not any(passes_of(bench, killed_ns + 20 * MS))
        assert line.process.poll() is None
    assert bench.compare(bench.outcomes()) > 5


def _releases(count: int) -> Callable[[list[GateEvent]], bool]:
    return lambda events: sum(event.outcome is GateOutcome.RELEASED for event in events) >= count


def test_a_line_that_is_killed_leaves_a_gate_that_rejects_and_the_next_line_purges(bench: Bench) -> None:
    with eye_of(bench.station) as eye:
        with LineProcess(bench.station) as line:
            inspecting(bench, eye)
            killed_ns = line.signal(signal.SIGKILL)
            line.ends()
        eventually(lambda: len(passes_of(bench, killed_ns)) >= 5, "parts come by")
        assert not any(passes_of(bench, killed_ns + 20 * MS))
        with LineProcess(bench.station):
            count = eye.released()
            eye.until(lambda: eye.released() >= count + 2, "parts pass again")
            assert bench.compare_heard(eye) > 5


@pytest.mark.parametrize(
    ("fails", "returns", "words"),
    [
        (lambda plc: plc.ask("stop"), lambda plc: plc.ask("run"), "stood still"),
        (lambda plc: plc.ask("restart"), lambda plc: None, "ended the conversation"),
        (lambda plc: plc.ask("cut"), lambda plc: plc.ask("mend"), "no valid answer"),
    ],
    ids=["stops", "restarts", "is cut off"],
)
def test_a_plc_that_fails_is_noticed_and_its_return_purges(
    bench: Bench,
    fails: Callable[[GatePlc], object],
    returns: Callable[[GatePlc], object],
    words: str,
) -> None:
    with LineProcess(bench.station) as line, eye_of(bench.station) as eye:
        inspecting(bench, eye)
        fails(bench.plc)
        eye.until(lambda: "plc gate lost" in line.words, "the line notices")
        assert words in line.words
        returns(bench.plc)
        count = eye.released()
        states = len(eye.states)
        eye.until(lambda: eye.released() >= count + 2 or eye.state() is LineState.STOPPED, "it comes back")
        if eye.state() is LineState.STOPPED:  # the trigger saw a part that a standing PLC did not
            eye.link.clear_stop()
            eye.until(lambda: eye.released() >= count + 2, "parts pass again")
        assert LineState.PURGING in {state.state for state in eye.states[states:]}
        bench.compare_heard(eye)


def test_a_program_that_takes_the_neighbour_s_word_is_caught(bench: Bench) -> None:
    with LineProcess(bench.station), eye_of(bench.station) as eye:
        inspecting(bench, eye)
        bench.plc.ask(f"mistake {int(Mistake.TAKES_THE_NEXT_WORD)}")
        eye.until(lambda: eye.state() is LineState.STOPPED, "the line stops")
        assert "took the word for part" in eye.states[-1].words()
        eye.until(lambda: not eye.states[-1].permit, "the belt is stopped")
        assert eye.state() is LineState.STOPPED
        bench.compare_heard(eye)


def test_in_shadow_mode_the_plc_hears_a_heartbeat_and_no_word(tmp_path: Path) -> None:
    with GatePlc(scan_ms=10, travel_ms=280, pulse_ms=80, pitch_ms=PITCH_MS) as plc:
        station = station_on(tmp_path, plc.port, mode="shadow")
        with LineProcess(station), eye_of(station) as eye:
            eye.until(lambda: eye.state() is LineState.READY, "the line is ready")
            plc.ask("parts 1000")
            eye.until(lambda: eye.released() >= 3, "parts would pass")
            first, second = _line_block(plc), _line_block(plc)
        greeting = Greeting(*numbers(Greeting, first[: size(Greeting)]))
        assert greeting.flags == LineFlag.SHADOW and not any(first[size(Greeting) :])
        assert second[0] != first[0]
        assert not any(plc.parts().values())


def _line_block(plc: GatePlc) -> tuple[int, ...]:
    time.sleep(0.1)
    link = tcp_link("127.0.0.1", plc.port, 1, 1_000, SystemClock(), InputError)
    link.connect()
    try:
        return link.read_holding(BASE, LINE_SIZE)
    finally:
        link.close()


def test_a_plc_that_is_away_at_the_start_is_waited_for(tmp_path: Path) -> None:
    with GatePlc(scan_ms=10, travel_ms=280, pulse_ms=80, pitch_ms=PITCH_MS) as plc:
        station = station_on(tmp_path, plc.port)
        plc.ask("stop")
        with LineProcess(station) as line, eye_of(station) as eye:
            eye.until(lambda: "plc gate lost" in line.words, "the line says that it waits")
            assert eye.state() in (None, LineState.FAULT, LineState.STARTING)
            plc.ask("run")
            eye.until(lambda: eye.state() is LineState.READY, "the line is ready")


def test_two_lines_never_speak_to_one_gate(bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with LineProcess(bench.station), eye_of(bench.station) as eye:
        eye.until(lambda: eye.state() is LineState.READY, "the line is ready")
        with LineProcess(station_on(other, bench.plc.port)) as second:
            eventually(lambda: "driven by another process" in second.words, "the second is refused")
        assert eye.state() is LineState.READY


def test_check_greets_the_plc_and_says_no_word(bench: Bench) -> None:
    assert next(words for words, _ in read_back(bench.station, SystemClock())).startswith(
        "gate: the PLC's program runs"
    )
    bench.plc.ask("stop")
    words, error = next(iter(read_back(bench.station, SystemClock())))
    assert isinstance(error, DeviceError) and "does its program run" in words
