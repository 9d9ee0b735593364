"""No reply is taken for the answer to another command: the coil is confirmed by its own echo or not at all."""

from __future__ import annotations

import time

import pytest

from edge.clock import SystemClock
from edge.errors import OutputError
from edge.line.outputs.modbus import ModbusOutput
from edge.options import ModbusOutput as Options
from tests.peers import ModbusServer, eventually

COIL = 7


pytestmark = pytest.mark.usefixtures("quick")


def coil(server: ModbusServer, timeout_ms: float = 100, address: int = COIL) -> ModbusOutput:
    options = Options(kind="modbus", host="127.0.0.1", port=server.port, coil=address, timeout_ms=timeout_ms)
    return ModbusOutput(options, SystemClock())


def test_a_late_echo_never_confirms_the_next_command(server: ModbusServer) -> None:
    """The device obeys ON, answers late; OFF is then sent and must not be confirmed by the echo of ON."""
    output = coil(server)
    output.arm()
    server.misbehave("late", 1, 250)
    with pytest.raises(OutputError, match="no valid answer"):
        output.write(True)
    server.misbehave("silent", 1)
    with pytest.raises(OutputError):
        output.rest()  # opened again; the device ignores this one, and the late echo of ON arrives meanwhile
    time.sleep(0.3)
    with pytest.raises(OutputError, match="lost"):
        output.write(False)
    server.behave()
    output.rest()
    assert server.coil(COIL) is False
    output.close()


@pytest.mark.parametrize(
    "kind",
    ["wrong_value", "wrong_address", "wrong_unit", "wrong_transaction", "exception", "garbage", "silent", "close"],
)
def test_a_reply_that_is_not_the_echo_fails_the_write_once_and_for_all(server: ModbusServer, kind: str) -> None:
    output = coil(server)
    output.arm()
    server.misbehave(kind, 1)
    began = time.monotonic()
    with pytest.raises(OutputError, match=r"127\.0\.0\.1"):
        output.write(True)
    assert time.monotonic() - began < 1.0
    with pytest.raises(OutputError, match="lost"):
        output.write(True)
    output.rest()
    assert output.read_back() is False
    output.close()


def test_a_second_echo_fails_the_next_command_and_not_silently(server: ModbusServer) -> None:
    output = coil(server)
    output.arm()
    server.misbehave("twice", 1)
    try:
        output.write(True)
    except OutputError:
        pass  # both copies were there already
    else:
        time.sleep(0.05)
        with pytest.raises(OutputError, match="bytes that nobody asked for"):
            output.write(False)
    output.rest()
    assert server.coil(COIL) is False
    output.close()


def test_a_command_is_sent_once_and_never_again_by_itself(server: ModbusServer) -> None:
    output = coil(server)
    output.arm()
    before = server.requests()
    server.misbehave("silent", 0)
    with pytest.raises(OutputError):
        output.write(True)
    server.behave()
    time.sleep(0.25)
    assert server.requests() == before + 1
    output.close()


def test_a_command_to_a_frozen_device_is_discarded_when_we_give_up(server: ModbusServer) -> None:
    """What the kernel holds for a device that is away must not act when it is back."""
    output = coil(server)
    output.arm()
    server.freeze()
    with pytest.raises(OutputError):
        output.write(True)
    server.thaw()
    output.rest()
    assert server.coil(COIL) is False
    time.sleep(0.1)
    assert server.coil(COIL) is False
    output.close()


def test_arming_reads_the_coil_back_and_refuses_one_that_stays_on(server: ModbusServer) -> None:
    server.set_coil(COIL, True)
    server.misbehave("stuck", 0)
    output = coil(server)
    with pytest.raises(OutputError, match="reports the other level"):
        output.arm()
    server.behave()
    output.arm()
    assert server.coil(COIL) is False
    output.close()


def test_a_dribbling_device_is_bounded_by_twice_the_timeout(server: ModbusServer) -> None:
    output = coil(server)
    output.arm()
    server.misbehave("dribble", 1, 50)
    began = time.monotonic()
    with pytest.raises(OutputError):
        output.write(True)
    assert time.monotonic() - began < 1.0
    output.close()


def test_a_connection_the_device_dropped_is_noticed_before_a_command_is_lost_in_it(server: ModbusServer) -> None:
    output = coil(server)
    output.arm()
    server.drop_connections()
    time.sleep(0.05)
    with pytest.raises(OutputError, match="closed the connection"):
        output.write(True)
    output.rest()
    output.close()


def test_each_output_has_a_connection_of_its_own_and_a_slow_one_does_not_hold_up_the_other(
    server: ModbusServer,
) -> None:
    gate, permit = coil(server), coil(server, address=COIL + 1)
    gate.arm()
    permit.arm()
    assert server.clients() == 2
    server.misbehave("silent", 1)
    with pytest.raises(OutputError):
        permit.write(True)
    began = time.monotonic()
    assert gate.write(True) > 0
    assert time.monotonic() - began < 0.5
    eventually(lambda: server.clients() == 1, "the failed connection is given up")
    gate.close()
    permit.close()
