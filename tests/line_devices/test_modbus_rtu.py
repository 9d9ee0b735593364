"""A serial bus has no transaction numbers: no late answer may confirm another command, whoever shares the bus."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from edge import options
from edge.clock import SystemClock
from edge.errors import InputError, OutputError
from edge.line.inputs.modbus_rtu import ModbusRtuInput
from edge.line.outputs.modbus_rtu import ModbusRtuOutput
from tests.peers import ModbusServer, PtyPair, RawSlave, eventually, sealed

GATE, PERMIT, EYE = 7, 8, 4
TIMEOUT_MS = 400


pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def pty() -> Iterator[PtyPair]:
    with PtyPair() as pair:
        yield pair


@pytest.fixture
def server(pty: PtyPair) -> Iterator[ModbusServer]:
    with ModbusServer(pty.peer) as running:
        yield running


def coil(pty: PtyPair, address: int = GATE, **keys: Any) -> ModbusRtuOutput:
    values = {"timeout_ms": TIMEOUT_MS} | keys
    return ModbusRtuOutput(
        options.ModbusRtuOutput(kind="modbus_rtu", port=pty.device, coil=address, **values), SystemClock()
    )


def photo_eye(pty: PtyPair, **keys: Any) -> ModbusRtuInput:
    values = {"poll_ms": 50, "debounce_ms": 0, "timeout_ms": TIMEOUT_MS} | keys
    return ModbusRtuInput(
        options.ModbusRtuInput(kind="modbus_rtu", port=pty.device, input=EYE, **values), SystemClock()
    )


def arrive(output: Any, count: int) -> None:
    """Return when so many bytes wait at this end of the bus."""
    port = output._wire._link._carrier._port
    eventually(lambda: port.lend().in_waiting >= count, f"{count} bytes")


class Coils:
    """A raw unit that obeys and echoes coil writes and answers coil reads, until a test says otherwise."""

    def __init__(self) -> None:
        self.levels: dict[int, bool] = {}

    def obey(self, frame: bytes) -> bytes:
        address = int.from_bytes(frame[2:4], "big")
        if frame[1] == 5:
            self.levels[address] = frame[4] == 0xFF
            return frame
        return sealed(frame[:1] + bytes((frame[1], 1, self.levels.get(address, False))))


# --- late answers -----------------------------------------------------------------------------------------------------


def test_the_late_echo_of_on_does_not_confirm_an_off_that_was_lost(pty: PtyPair) -> None:
    """The unit obeys ON and keeps silent; OFF gets lost on the wire while the echo of ON comes at last."""
    unit = Coils()
    with RawSlave(pty.peer, unit.obey) as slave:
        gate = coil(pty)
        gate.arm()
        kept: list[bytes] = []

        def obeys_silently(frame: bytes) -> bytes:
            kept.append(unit.obey(frame))
            return b""

        slave.answer = obeys_silently
        with pytest.raises(OutputError, match="no valid answer"):
            gate.write(True)
        slave.answer = lambda _: kept.pop() if kept else b""  # the old echo, and none for what is lost
        with pytest.raises(OutputError, match="echoed another command"):
            gate.rest()
        assert unit.levels[GATE] is True
        with pytest.raises(OutputError, match="lost"):
            gate.write(False)
        slave.answer = unit.obey
        gate.rest()
        assert unit.levels[GATE] is False
        gate.close()


def test_an_echo_that_comes_while_the_port_is_closed_confirms_nothing(server: ModbusServer, pty: PtyPair) -> None:
    gate = coil(pty)
    gate.arm()
    server.misbehave("late", 1, TIMEOUT_MS + 50)
    with pytest.raises(OutputError, match="no valid answer"):
        gate.write(True)
    server.misbehave("unheard", 0)
    time.sleep(0.1)
    with pytest.raises(OutputError, match=r"no valid answer|echoed another command"):  # where the machine is slow
        gate.rest()
    server.behave()
    gate.rest()
    assert server.coil(GATE) is False
    gate.close()


def test_the_late_answer_to_a_read_is_not_the_level_of_another_coil(pty: PtyPair) -> None:
    unit = Coils()
    with RawSlave(pty.peer, unit.obey) as slave:
        gate, permit = coil(pty), coil(pty, PERMIT)
        gate.arm()
        permit.arm()
        permit.write(True)
        slave.answer = lambda frame: b""
        with pytest.raises(OutputError, match="no valid answer"):
            permit.read_back()
        slave.answer = lambda frame: sealed(frame[:1] + b"\x01\x01\x01")  # what permit's coil was asked for
        with pytest.raises(OutputError, match="echoed another command"):
            gate.rest()
        slave.answer = unit.obey
        gate.close()
        permit.close()


@pytest.mark.parametrize(
    "kind",
    [
        "wrong_value",
        "wrong_address",
        "wrong_unit",
        "bad_checksum",
        "exception",
        "garbage",
        "silent",
        "unheard",
        "dribble",
    ],
)
def test_a_reply_that_is_not_the_echo_fails_the_write_once_and_for_all(
    server: ModbusServer, pty: PtyPair, kind: str
) -> None:
    gate = coil(pty)
    gate.arm()
    server.misbehave(kind, 1, 100)
    began = time.monotonic()
    with pytest.raises(OutputError, match=pty.device):
        gate.write(True)
    assert time.monotonic() - began < 2.0
    with pytest.raises(OutputError, match="lost"):
        gate.write(True)
    if kind == "dribble":
        time.sleep(0.9)  # the rest of the dribbled answer must not end in the next one
    gate.rest()
    assert gate.read_back() is False
    gate.close()


def test_a_command_is_sent_once_and_never_again_by_itself(pty: PtyPair) -> None:
    unit = Coils()
    with RawSlave(pty.peer, unit.obey) as slave:
        gate = coil(pty)
        gate.arm()
        before = len(slave.heard)
        slave.answer = lambda frame: b""
        with pytest.raises(OutputError):
            gate.write(True)
        time.sleep(2 * TIMEOUT_MS / 1_000)
        assert len(slave.heard) == before + 1
        slave.answer = unit.obey
        gate.close()


# --- what else is on the wire -----------------------------------------------------------------------------------------


def test_a_stray_byte_between_requests_is_noise_and_a_whole_frame_is_a_second_master(pty: PtyPair) -> None:
    unit = Coils()
    with RawSlave(pty.peer, unit.obey) as slave:
        gate = coil(pty)
        gate.arm()
        slave.say(b"\x00")
        arrive(gate, 1)
        gate.write(True)
        assert unit.levels[GATE] is True
        slave.say(sealed(b"\x02\x05\x00\x01\xff\x00"))
        arrive(gate, 8)
        with pytest.raises(OutputError, match="second master"):
            gate.write(False)
        gate.rest()
        gate.close()


def test_requests_keep_the_silence_between_frames(pty: PtyPair) -> None:
    unit = Coils()
    with RawSlave(pty.peer, unit.obey) as slave:
        gate = coil(pty)
        gate.arm()
        for level in (True, False, True, False):
            gate.write(level)
        gaps = [late - early for (early, _), (late, _) in zip(slave.heard, slave.heard[1:], strict=False)]
        assert min(gaps) >= 3.5 * 11 / 9_600 * 1e9
        gate.close()


# --- several devices on one bus ---------------------------------------------------------------------------------------


def test_gate_and_permit_are_two_coils_of_one_bus(server: ModbusServer, pty: PtyPair) -> None:
    gate, permit = coil(pty), coil(pty, PERMIT)
    gate.arm()
    permit.arm()
    for level in (True, False, True):
        assert gate.write(level) > 0 and permit.write(not level) > 0
        assert (server.coil(GATE), server.coil(PERMIT)) == (level, not level)
    gate.close()
    assert permit.write(True) > 0
    assert (server.coil(GATE), server.coil(PERMIT)) == (False, True)
    permit.close()


def test_a_failure_loses_both_and_each_comes_back_at_rest(server: ModbusServer, pty: PtyPair) -> None:
    gate, permit = coil(pty), coil(pty, PERMIT)
    gate.arm()
    permit.arm()
    permit.write(True)
    server.misbehave("unheard", 1)
    with pytest.raises(OutputError, match="no valid answer"):
        gate.write(True)
    with pytest.raises(OutputError, match="another user of the port lost it"):
        permit.write(True)
    permit.rest()
    gate.rest()
    assert (server.coil(GATE), server.coil(PERMIT)) == (False, False)
    gate.close()
    permit.close()


def test_devices_that_disagree_about_the_bus_are_refused(server: ModbusServer, pty: PtyPair) -> None:
    gate = coil(pty)
    gate.arm()
    with pytest.raises(OutputError, match="different settings"):
        coil(pty, PERMIT, baud=19_200).arm()
    gate.close()


def test_a_photo_eye_on_the_bus_holds_up_the_gate_for_one_poll_at_most(server: ModbusServer, pty: PtyPair) -> None:
    gate, eye = coil(pty), photo_eye(pty)
    gate.arm()
    eye.open()
    heard: list[object] = []

    def poll() -> None:
        try:
            while eye.wait(5.0):
                pass
        except InputError as error:
            heard.append(error)

    thread = threading.Thread(target=poll)
    thread.start()
    waits = []
    for number in range(40):
        began = time.monotonic()
        gate.write(number % 2 == 0)
        waits.append(time.monotonic() - began)
    eye.close()
    thread.join()
    assert heard == []
    assert sorted(waits)[20] < 0.2  # one poll under way, at most
    gate.close()


def test_an_eye_that_fails_on_a_shared_bus_is_reported_by_both(server: ModbusServer, pty: PtyPair) -> None:
    gate, eye = coil(pty), photo_eye(pty)
    gate.arm()
    eye.open()
    server.misbehave("unheard", 1)
    with pytest.raises(InputError, match="no valid answer"):
        eye.wait(2.0)
    with pytest.raises(OutputError, match="another user of the port lost it"):
        gate.write(True)
    gate.rest()
    eye.close()
    eye.open()
    assert eye.wait(0.05) is None
    gate.write(True)
    assert server.coil(GATE) is True
    eye.close()
    gate.close()
