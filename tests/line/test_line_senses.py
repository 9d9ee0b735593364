"""A real line process with an encoder, an interlock and a confirm sensor on real peers."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.clock import MS
from edge.conveyor import first_after, passes_ns
from edge.line.messages import LineState
from edge.records import GateEvent, GateOutcome, Sensed
from tests.line.lines import (
    COUNTED_SLOT,
    COUNTED_TRAVEL,
    ENCODER,
    PITCH_MS,
    Bench,
    Eye,
    LineProcess,
    eye_of,
    level_at,
    modbus_bench,
)

AIR = '[[interlock]]\nname = "air"\nDEVICEinput = 1'
SENSOR = "[confirm]\nafter_ms = 60\nwindow_ms = 50\nDEVICEinput = 2"


def middle_ns(event: GateEvent) -> int:
    """When the part of the counted station is in the middle of its slot: 3,000 counts behind the trigger, 10 per ms."""
    return event.born_ns + (300 - 10 + 40) * MS


def test_a_line_that_counts_the_belt_serves_each_part_at_its_place(tmp_path: Path) -> None:
    counted = {"travel": COUNTED_TRAVEL, "slot": COUNTED_SLOT, "more": ENCODER}
    with (
        modbus_bench(tmp_path, **counted) as bench,
        LineProcess(bench.station) as line,
        eye_of(bench.station) as eye,
    ):
        eye.until(lambda: eye.released() >= 4, "four parts are released")
        line.signal(signal.SIGTERM)
        eye.until(lambda: line.process.poll() is not None, "the line ends")
        events = bench.outcomes()
        gate = bench.gate()
    assert {event.outcome for event in events} == {GateOutcome.RELEASED, GateOutcome.FIRED}, line.words
    for event in events:
        assert level_at(gate, middle_ns(event)) is (event.outcome is GateOutcome.RELEASED)
        if event.written_ns:
            assert abs(event.planned_ns - (event.born_ns + 290 * MS)) < 5 * MS, "planned where the belt was to be"
    positions = [part.position for part in eye.parts]
    assert all(1_300 < after - before < 1_700 for before, after in itertools.pairwise(positions))


def test_air_that_fails_holds_the_line_and_its_return_purges(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, more=AIR) as bench, LineProcess(bench.station), eye_of(bench.station) as eye:
        assert bench.modbus is not None
        eye.until(lambda: eye.state() is LineState.HELD, "without air the line is held")
        assert "air" in eye.states[-1].words() and not level_at(bench.permit(), time.monotonic_ns())
        bench.modbus.set_input(1, True)
        eye.until(lambda: eye.released() >= 1, "with air parts are released")
        bench.modbus.set_input(1, False)
        eye.until(lambda: eye.state() is LineState.HELD, "it is held again")
        eye.until(lambda: not level_at(bench.permit(), time.monotonic_ns()), "the belt is stopped")
        released = eye.released()
        eye.run_for(0.8)
        assert eye.released() == released


@contextmanager
def chute(bench: Bench) -> Iterator[None]:
    """Each part that finds the gate at reject falls through the light barrier of input 2, 60 ms behind its edge."""
    stop = threading.Event()

    def watch() -> None:
        assert bench.modbus is not None
        number = first_after(1, PITCH_MS * MS, 4 * MS, time.monotonic_ns() - 300 * MS)
        while not stop.is_set():
            edge_ns = passes_ns(1, PITCH_MS * MS, 4 * MS, number) + 290 * MS
            number += 1
            stop.wait(max(0.0, (edge_ns + 60 * MS - time.monotonic_ns()) / 1e9))
            if level_at(bench.gate(), edge_ns + 40 * MS):
                bench.modbus.set_input(2, True)
                stop.wait(0.03)
                bench.modbus.set_input(2, False)

    thread = threading.Thread(target=watch, name="chute")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def fallen(eye: Eye) -> list[GateEvent]:
    return [event for event in eye.events if event.sensed is Sensed.SEEN]


def test_the_sensor_behind_the_gate_confirms_each_reject(tmp_path: Path) -> None:
    confirmed = {"rest": "pass", "more": SENSOR}
    with modbus_bench(tmp_path, **confirmed) as bench, LineProcess(bench.station), eye_of(bench.station) as eye:
        with chute(bench):
            while eye.released() < 2 or len(fallen(eye)) < 3:
                eye.until(
                    lambda: eye.released() >= 2 or eye.state() is LineState.STOPPED, "parts are released"
                )  # a part that came before the gate was armed passed: that is a stop too
                eye.link.clear_stop()
                eye.run_for(0.2)
        seen = fallen(eye)
        assert all(event.outcome is GateOutcome.FIRED for event in seen)
        assert all(10 * MS < event.sensed_ns - event.planned_ns < 110 * MS for event in seen)
        eye.until(lambda: eye.state() is LineState.STOPPED, "nobody falls through any more: the line stops")
        missed = next(event for event in eye.events if event.sensed is Sensed.MISSED)
        assert missed.outcome is GateOutcome.FIRED and "confirm sensor" in eye.states[-1].words()
