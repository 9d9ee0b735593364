"""A counter of parts: short parts count, two at once are lost ones, and a counter that begins anew is a lost input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.check import input_error_ms, mistakes
from edge.errors import InputError
from edge.options import ModbusCounterInput
from edge.records import TimeSource
from edge.station import Station, parse
from tests.line_devices.input_rigs import ADDRESS, CounterRig, modbus_counter, next_edge
from tests.peers import punctual

STATION = """
[station]
name = "line-3"
product = "cap-a"
[[camera]]
name = "top"
kind = "belt"
[trigger]
{trigger}
[travel]
mode = "time"
trigger_to_gate_ms = 400
decide_before_ms = 30
pitch_ms = 90
{travel}
[gate]
kind = "memory"
pulse_ms = 40
rest = "reject"
{more}
"""
COUNTER = 'kind = "modbus_counter"\nhost = "127.0.0.1"\ncounter = 4\n'


def station(trigger: str = COUNTER, travel: str = "", more: str = "") -> Station:
    return parse(STATION.format(trigger=trigger, travel=travel, more=more).encode(), Path("s.toml"))


@pytest.fixture
def rig() -> Iterator[CounterRig]:
    with punctual(), modbus_counter() as rig:
        yield rig


def test_each_count_is_a_part_that_came_between_two_polls_over_the_end_of_the_register(rig: CounterRig) -> None:
    rig.parts = 65_534
    rig.count(0)
    device = rig.input()
    device.open()
    for expected in (1, 2, 3):
        rig.count(1)
        rise, fall = next_edge(device), next_edge(device)
        assert (rise.level, fall.level, rise.counter, fall.counter) == (True, False, expected, expected)
        assert rise.source is TimeSource.POLL and rise.err_ns > 0
        assert fall.at_ns - rise.at_ns <= rise.err_ns
    assert device.wait(0.1) is None
    device.close()


def test_two_parts_between_two_polls_are_one_edge_whose_count_jumps(rig: CounterRig) -> None:
    device = rig.input()
    device.open()
    rig.count(1)
    first = [next_edge(device) for _ in range(2)][1]
    rig.count(2)
    rise = next_edge(device)
    assert rise.counter - rise.level > first.counter, "so the line knows that an edge was lost"
    device.close()


def test_a_counter_that_began_anew_is_a_lost_input(rig: CounterRig) -> None:
    rig.parts = 40
    rig.count(0)
    device = rig.input()
    device.open()
    rig.server.set_register(ADDRESS, 0)
    with pytest.raises(InputError, match="counted 40 parts and now 0: its counter began anew"):
        next_edge(device)
    device.open()
    rig.server.set_register(ADDRESS, 1)
    assert next_edge(device).level
    device.close()


def test_its_error_is_a_poll_and_no_debounce() -> None:
    trigger = station(COUNTER + "poll_ms = 7").trigger
    assert isinstance(trigger, ModbusCounterInput)
    assert input_error_ms(trigger) == 7


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"travel": "length_max_ms = 60"}, "travel.length_max_ms: a counter does not say how long a part is"),
        ({"more": f"[motor]\n{COUNTER}"}, "motor: a counter has no level"),
        ({"more": f'[[interlock]]\nname = "air"\n{COUNTER}'}, "interlock air: a counter has no level"),
        ({}, ""),
    ],
)
def test_what_a_counter_cannot_tell_is_refused(chosen: dict[str, str], words: str) -> None:
    found = [each for each in mistakes(station(**chosen)) if "counter" in each]
    assert words in "".join(found) and len(found) == bool(words)
