"""Every input keeps the same promises, whatever stands behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pytest

from edge import options
from edge.clock import MS, SystemClock
from edge.errors import ConfigError, InputError
from edge.kinds import find
from edge.line.inputs import TABLE, Input
from edge.line.inputs.simulated import SimulatedInput
from edge.records import Edge, TimeSource
from tests.peers import ModbusServer, punctual

ADDRESS = 4
PITCH_MS = 60.0


class Rig(Protocol):
    """An input's peer; `part_passes` returns when it has, or will soon have, raised and dropped the input."""

    def input(self) -> Input: ...

    def part_passes(self) -> None: ...


class SimulatedRig:
    def input(self) -> Input:
        made: Input = find(TABLE, "simulated", "trigger")(
            options.SimulatedInput(kind="simulated", pitch_ms=PITCH_MS, jitter_ms=2), SystemClock()
        )
        return made

    def part_passes(self) -> None:
        """The belt runs by itself."""


class ModbusRig:
    def __init__(self, server: ModbusServer) -> None:
        self.server = server
        self._belts: list[threading.Thread] = []
        self._made: list[Input] = []

    def input(self, **keys: Any) -> Input:
        values = {"poll_ms": 20, "debounce_ms": 0, "timeout_ms": 150} | keys
        chosen = options.ModbusInput(
            kind="modbus", host="127.0.0.1", port=self.server.port, input=ADDRESS, **values
        )
        self._made.append(find(TABLE, "modbus", "trigger")(chosen, SystemClock()))
        return self._made[-1]

    def part_passes(self) -> None:
        def pass_by() -> None:
            for level in (True, False):
                time.sleep(0.05)
                self.server.set_input(ADDRESS, level)

        self._belts.append(threading.Thread(target=pass_by))
        self._belts[-1].start()

    def __enter__(self) -> ModbusRig:
        return self

    def __exit__(self, *_: object) -> None:
        for belt in self._belts:
            belt.join()
        for device in self._made:
            device.close()


@contextmanager
def _simulated() -> Iterator[Rig]:
    yield SimulatedRig()


@contextmanager
def _modbus() -> Iterator[Rig]:
    with ModbusServer() as server, ModbusRig(server) as rig:
        yield rig


RIGS: dict[str, Callable[[], Any]] = {"simulated": _simulated, "modbus": _modbus}


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """A busy test machine must not look like polls that came late."""
    with punctual():
        yield


@pytest.fixture(params=sorted(RIGS))
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with RIGS[request.param]() as wired:
        yield wired


@pytest.fixture
def wired() -> Iterator[ModbusRig]:
    with ModbusServer() as server, ModbusRig(server) as rig:
        yield rig


def next_edge(device: Input, within_s: float = 5.0) -> Edge:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        edge = device.wait(0.2)
        if edge is not None:
            return edge
    pytest.fail("no edge came")


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
    assert device.wait(0.001) is None
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


# --- modbus ----------------------------------------------------------------------------------------------------------


def test_a_poll_states_the_window_of_its_edge(wired: ModbusRig) -> None:
    device = wired.input()
    device.open()
    wired.part_passes()
    rise = next_edge(device)
    assert rise.source is TimeSource.POLL
    assert rise.err_ns >= 10 * MS
    device.close()


def test_invert_and_a_level_that_stood_before_opening_give_no_edge(wired: ModbusRig) -> None:
    device = wired.input(invert=True)
    device.open()
    assert device.level() is True
    assert device.wait(0.1) is None
    wired.server.set_input(ADDRESS, True)
    assert next_edge(device).level is False
    device.close()


def test_bounces_within_the_debounce_are_one_edge(wired: ModbusRig) -> None:
    device = wired.input(debounce_ms=60)
    device.open()
    for level in (True, False, True):
        wired.server.set_input(ADDRESS, level)
        assert device.wait(0.02) is None
    rise = next_edge(device)
    assert (rise.level, rise.counter) == (True, 1)
    assert device.wait(0.1) is None
    device.close()


MISBEHAVIOURS = ["late", "garbage", "close", "silent", "exception", "wrong_unit", "wrong_transaction", "twice"]


@pytest.mark.parametrize("kind", MISBEHAVIOURS)
def test_a_device_that_answers_wrong_is_lost_in_bounded_time_and_comes_back(wired: ModbusRig, kind: str) -> None:
    device = wired.input()
    device.open()
    assert device.wait(0.05) is None
    wired.server.misbehave(kind, 0, 400)
    began = time.monotonic()
    with pytest.raises(InputError, match=r"127\.0\.0\.1"):
        for _ in range(20):
            device.wait(0.1)
    assert time.monotonic() - began < 3.0
    with pytest.raises(InputError):
        device.wait(0.1)  # it has to be opened again
    device.close()
    wired.server.behave()
    device.open()
    wired.part_passes()
    assert next_edge(device).level is True
    device.close()


def test_a_device_that_was_not_asked_for_long_is_lost_because_parts_may_have_passed(wired: ModbusRig) -> None:
    device = wired.input()
    device.open()
    assert device.wait(0.05) is None
    time.sleep(0.5)
    with pytest.raises(InputError, match="parts may have passed unseen"):
        device.wait(0.1)
    device.close()


def test_a_device_that_is_away_is_named(wired: ModbusRig) -> None:
    device = wired.input()
    wired.server.stop()
    with pytest.raises(InputError, match="check power, cable"):
        device.open()
    device.close()


# --- simulated -------------------------------------------------------------------------------------------------------


def test_a_belt_too_dense_for_its_debounce_is_refused() -> None:
    with pytest.raises(ConfigError, match="too near to each other"):
        SimulatedInput(
            options.SimulatedInput(kind="simulated", pitch_ms=30, jitter_ms=4, debounce_ms=8), SystemClock()
        )


def test_two_photo_eyes_of_one_belt_see_the_same_parts_at_the_same_times() -> None:
    one, other = SimulatedRig().input(), SimulatedRig().input()
    one.open()
    other.open()
    assert next_edge(one).at_ns == next_edge(other).at_ns
    one.close()
    other.close()
