"""Every input keeps the same promises, whatever stands behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from edge import options
from edge.clock import SystemClock
from edge.errors import ConfigError, InputError
from edge.line.inputs import TABLE, Input
from edge.line.inputs.simulated import SimulatedInput
from edge.records import TimeSource
from tests.line_devices.input_rigs import PITCH_MS, RIGS, Rig, built, next_edge

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(params=sorted(RIGS))
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with RIGS[request.param]() as wired:
        yield wired


def test_every_kind_in_the_table_is_under_contract() -> None:
    assert set(RIGS) == set(TABLE)


def test_an_input_is_not_usable_before_open_nor_after_close(rig: Rig) -> None:
    device = rig.input()
    with pytest.raises(InputError, match="open"):
        device.wait(0.01)
    device.open()
    device.close()
    device.close()
    with pytest.raises(InputError, match="open"):
        device.wait(0.01)


def test_a_part_is_a_rising_and_a_falling_edge_with_times_of_this_clock(rig: Rig) -> None:
    device = rig.input()
    device.open()
    before_ns = time.monotonic_ns()
    rig.part_passes()
    rise, fall = next_edge(device), next_edge(device)
    assert (rise.level, fall.level) == (True, False)
    assert (rise.counter, fall.counter) == (1, 1)
    assert before_ns - rise.err_ns <= rise.at_ns < fall.at_ns <= time.monotonic_ns()
    assert rise.err_ns >= 0 and isinstance(rise.source, TimeSource)
    assert device.level() is False
    device.close()


def test_rising_edges_are_counted_and_levels_alternate(rig: Rig) -> None:
    device = rig.input()
    device.open()
    edges = []
    for _ in range(3):
        rig.part_passes()
        edges += [next_edge(device), next_edge(device)]
    assert [edge.level for edge in edges] == [True, False] * 3
    assert [edge.counter for edge in edges] == [1, 1, 2, 2, 3, 3]
    assert sorted(edge.at_ns for edge in edges) == [edge.at_ns for edge in edges]
    device.close()


def test_waiting_ends_in_time_when_nothing_comes(rig: Rig) -> None:
    device = rig.input()
    device.open()
    began = time.monotonic()
    assert any(device.wait(0.001) is None for _ in range(10))  # a simulated part may have come while we stood still
    assert time.monotonic() - began < 1.0
    device.close()


def test_close_wakes_a_waiting_thread(rig: Rig) -> None:
    device = rig.input()
    device.open()
    heard: list[object] = []

    def wait() -> None:
        try:
            while device.wait(30.0) is not None:
                pass
            heard.append(None)
        except InputError as error:  # closed between two waits
            heard.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    device.close()
    thread.join(3.0)
    assert not thread.is_alive() and len(heard) == 1


def test_it_can_be_opened_again_and_counts_on(rig: Rig) -> None:
    device = rig.input()
    for expected in (1, 2):
        device.open()
        rig.part_passes()
        assert next_edge(device).counter == expected
        next_edge(device)
        device.close()


# --- simulated -------------------------------------------------------------------------------------------------------


def test_a_belt_too_dense_for_its_debounce_is_refused() -> None:
    with pytest.raises(ConfigError, match="too near to each other"):
        SimulatedInput(
            options.SimulatedInput(kind="simulated", pitch_ms=30, jitter_ms=4, debounce_ms=8), SystemClock()
        )


def _simulated() -> Input:
    return built(options.SimulatedInput(kind="simulated", pitch_ms=PITCH_MS, jitter_ms=2))


def test_two_photo_eyes_of_one_belt_see_the_same_parts_at_the_same_times() -> None:
    one, other = _simulated(), _simulated()
    one.open()
    other.open()
    assert next_edge(one).at_ns == next_edge(other).at_ns
    one.close()
    other.close()
