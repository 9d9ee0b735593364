"""Every output keeps the same promises, whatever stands behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.errors import OutputError
from edge.line.outputs import TABLE
from tests.line_devices.output_rigs import RIGS, Rig

BOUND_S = 1.5  # options say 100 ms a step and rest has up to six; a library's defaults would take 12 s


pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(params=sorted(RIGS))
def rig(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    with RIGS[request.param](monkeypatch) as wired:
        yield wired


@pytest.fixture(params=[name for name in sorted(RIGS) if name != "memory"])
def losable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    with RIGS[request.param](monkeypatch) as wired:
        yield wired


def _within_bound(act: Callable[[], object]) -> None:
    began = time.monotonic()
    act()
    assert time.monotonic() - began < BOUND_S


def _fails(act: Callable[[], object]) -> str:
    """The words of the OutputError that `act` raises in bounded time."""
    began = time.monotonic()
    with pytest.raises(OutputError) as caught:
        act()
    assert time.monotonic() - began < BOUND_S
    return str(caught.value)


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_every_kind_in_the_table_is_under_contract() -> None:
    assert {name.partition(" ")[0] for name in RIGS} == set(TABLE)


def test_an_output_is_not_usable_before_arm(rig: Rig) -> None:
    output = rig.output()
    for use in (lambda: output.write(True), output.rest, output.read_back):
        assert "arm" in _fails(use)
    output.close()


@pytest.mark.parametrize("invert", [False, True])
def test_arm_commands_rest_and_active_is_the_sense_after_invert(rig: Rig, invert: bool) -> None:
    output = rig.output(invert)
    output.arm()
    assert rig.level() is invert
    output.write(True)
    assert rig.level() is not invert
    output.rest()
    assert rig.level() is invert
    output.close()


def test_a_write_is_a_level_and_not_a_toggle(rig: Rig) -> None:
    output = rig.output()
    output.arm()
    for active in (True, True, True, False, False, True, True):
        output.write(active)
        assert rig.level() is active
    output.close()


def test_a_write_is_confirmed_when_the_wire_can_and_zero_when_it_cannot(rig: Rig) -> None:
    output = rig.output()
    output.arm()
    before_ns = time.monotonic_ns()
    confirmed_ns = output.write(True)
    after_ns = time.monotonic_ns()
    if rig.confirms:
        assert before_ns <= confirmed_ns <= after_ns
        assert output.read_back() is True
    else:
        assert confirmed_ns == 0
        assert output.read_back() is None
    output.close()


def test_close_rests_releases_everything_and_may_be_called_twice(rig: Rig) -> None:
    open_before = _descriptors()
    output = rig.output()
    output.arm()
    output.write(True)
    output.close()
    assert rig.level() is False
    output.close()
    assert _descriptors() == open_before
    assert "arm" in _fails(lambda: output.write(True))


def test_a_closed_output_can_be_armed_again(rig: Rig) -> None:
    output = rig.output()
    for _ in range(3):
        output.arm()
        output.arm()
        output.write(True)
        assert rig.level() is True
        output.close()


def test_a_lost_device_fails_the_write_and_every_later_one_at_once(losable: Rig) -> None:
    output = losable.output()
    output.arm()
    output.write(True)
    losable.unplug()
    _fails(lambda: output.write(False))
    began = time.monotonic()
    assert "lost" in _fails(lambda: output.write(True))
    assert time.monotonic() - began < 0.05
    losable.plug()
    assert "lost" in _fails(lambda: output.write(False))
    assert losable.level() is True  # as the device woke up: nothing was sent
    output.close()


def test_rest_opens_a_lost_device_again_at_rest(losable: Rig) -> None:
    output = losable.output()
    output.arm()
    output.write(True)
    losable.unplug()
    _fails(output.rest)
    _fails(output.rest)
    losable.plug()
    output.rest()
    assert losable.level() is False
    output.write(True)
    assert losable.level() is True
    output.close()


def test_rest_alone_survives_a_loss_that_nobody_noticed(losable: Rig) -> None:
    output = losable.output()
    output.arm()
    output.write(True)
    losable.unplug()
    losable.plug()
    output.rest()
    assert losable.level() is False
    output.close()


def test_close_of_a_lost_device_is_quiet_bounded_and_leaves_nothing_open(losable: Rig) -> None:
    open_before = _descriptors()
    output = losable.output()
    output.arm()
    open_armed = _descriptors()
    losable.unplug()
    _within_bound(output.close)
    losable.plug()
    assert _descriptors() <= open_before < open_armed


def test_arm_names_a_device_that_is_away_and_works_when_it_is_back(losable: Rig) -> None:
    output = losable.output()
    losable.unplug()
    assert ": " in _fails(output.arm)
    losable.plug()
    output.arm()
    assert losable.level() is False
    output.close()


def test_an_output_that_is_away_when_it_is_armed_again_still_goes_to_rest_later(losable: Rig) -> None:
    output = losable.output()
    output.arm()
    output.write(True)
    losable.unplug()
    _fails(output.arm)
    losable.plug()
    output.rest()
    assert losable.level() is False
    output.close()
