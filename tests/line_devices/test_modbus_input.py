"""A polled input over TCP and over a serial bus: windows, bounces, and devices that answer wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from edge.clock import MS
from edge.errors import InputError
from edge.records import TimeSource
from tests.line_devices.input_rigs import ADDRESS, ModbusRig, modbus, modbus_rtu, next_edge

CARRIERS = {"modbus": modbus, "modbus_rtu": modbus_rtu}


pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(params=sorted(CARRIERS))
def wired(request: pytest.FixtureRequest) -> Iterator[ModbusRig]:
    with CARRIERS[request.param]() as rig:
        yield rig


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


MISBEHAVIOURS = ["late", "garbage", "silent", "exception", "wrong_unit", "twice"]


@pytest.mark.parametrize("kind", [*MISBEHAVIOURS, "close", "wrong_transaction"])
def test_a_tcp_device_that_answers_wrong_is_lost_in_bounded_time_and_comes_back(kind: str) -> None:
    with modbus() as wired:
        _answers_wrong(wired, kind)


@pytest.mark.parametrize("kind", [*MISBEHAVIOURS, "bad_checksum"])
def test_a_device_on_a_bus_that_answers_wrong_is_lost_in_bounded_time_and_comes_back(kind: str) -> None:
    with modbus_rtu() as wired:
        _answers_wrong(wired, kind)


def _answers_wrong(wired: ModbusRig, kind: str) -> None:
    device = wired.input()
    device.open()
    assert device.wait(0.05) is None
    wired.server.misbehave(kind, 0, 500)
    began = time.monotonic()
    with pytest.raises(InputError, match=wired.lost_words):
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
    device = wired.input(poll_ms=20)
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
