"""A coil's guards: the device's watchdog is armed and proven, its owner is marked, its registers are read strictly."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.clock import SystemClock
from edge.errors import InputError, OutputError
from edge.line.modbus_link import ModbusLink
from edge.line.modbus_rtu import rtu_link
from edge.line.modbus_tcp import tcp_link
from edge.line.outputs.modbus import ModbusOutput
from edge.options import ModbusOutput as Options
from edge.options import RtuUnit
from tests.peers import ModbusServer, PtyPair

ROOT = Path(__file__).parents[2]
COIL = 7
TIME, CHECK, OWNER = 40, 41, 60


pytestmark = pytest.mark.usefixtures("quick")


def coil(server: ModbusServer, address: int = COIL, **keys: Any) -> ModbusOutput:
    options = Options(kind="modbus", host="127.0.0.1", port=server.port, coil=address, timeout_ms=250, **keys)
    return ModbusOutput(options, SystemClock())


# --- watchdog ---------------------------------------------------------------------------------------------------------


def test_arming_writes_the_watchdog_and_reads_it_back(server: ModbusServer) -> None:
    gate = coil(server, watchdog_register=TIME, watchdog_value=600)
    gate.arm()
    assert server.register(TIME) == 600
    gate.close()


def test_a_device_that_does_not_hold_its_watchdog_is_refused_and_its_coil_stays_at_rest(
    server: ModbusServer,
) -> None:
    server.keep_register(TIME)
    gate = coil(server, watchdog_register=TIME, watchdog_value=600)
    with pytest.raises(OutputError, match="register 40 says 0, should be 600"):
        gate.arm()
    with pytest.raises(OutputError, match="arm"):
        gate.write(True)
    assert server.coil(COIL) is False
    gate.close()


def test_the_time_may_show_in_another_register_or_be_set_in_the_device_alone(server: ModbusServer) -> None:
    shown_elsewhere = coil(server, watchdog_register=TIME, watchdog_value=600, watchdog_check_register=CHECK)
    with pytest.raises(OutputError, match="register 41 says 0"):
        shown_elsewhere.arm()
    server.set_register(CHECK, 600)
    shown_elsewhere.arm()
    shown_elsewhere.close()
    set_elsewhere = coil(server, watchdog_value=600, watchdog_check_register=CHECK)
    before = server.register(TIME)
    set_elsewhere.arm()
    assert server.register(TIME) == before
    server.set_register(CHECK, 0)
    with pytest.raises(OutputError, match="register 41 says 0"):
        set_elsewhere.arm()
    set_elsewhere.close()


def test_a_watchdog_that_holds_its_time_is_not_told_again_for_it_may_refuse_while_it_runs(
    server: ModbusServer,
) -> None:
    server.set_register(TIME, 600)
    gate = coil(server, watchdog_register=TIME, watchdog_value=600)
    before = server.requests()
    gate.arm()
    assert server.requests() == before + 4  # two looks at the watchdog, the coil and its reading back
    gate.close()


def test_a_device_that_lost_its_power_gets_its_watchdog_again_before_its_coil(server: ModbusServer) -> None:
    gate = coil(server, watchdog_register=TIME, watchdog_value=600)
    gate.arm()
    server.stop()
    with pytest.raises(OutputError):
        gate.write(True)
    server.start(server.port)
    gate.rest()
    assert server.register(TIME) == 600
    gate.close()


# --- owner ------------------------------------------------------------------------------------------------------------


def test_the_outputs_of_one_process_share_the_owners_mark(server: ModbusServer) -> None:
    gate, permit = coil(server, owner_register=OWNER), coil(server, COIL + 1, owner_register=OWNER)
    gate.arm()
    mark = server.register(OWNER)
    permit.arm()
    assert mark != 0 and server.register(OWNER) == mark
    for output in (gate, permit):
        output.write(True)
        output.write(True)
        output.close()


def test_a_second_master_is_noticed_with_the_next_heartbeat_and_left_alone(server: ModbusServer) -> None:
    gate = coil(server, owner_register=OWNER)
    gate.arm()
    gate.write(True)
    server.set_register(OWNER, 7)
    with pytest.raises(OutputError, match="another master"):
        gate.write(True)
    edges = len(server.coil_log())
    with pytest.raises(OutputError, match="register 60 holds 7"):
        gate.rest()
    assert server.register(OWNER) == 7 and len(server.coil_log()) == edges
    server.set_register(OWNER, 0)  # the other one gave the device back, or it was restarted
    gate.rest()
    assert server.coil(COIL) is False and server.register(OWNER) not in (0, 7)
    gate.close()


def test_a_device_that_was_restarted_behind_its_bus_is_noticed_with_the_next_heartbeat(
    server: ModbusServer,
) -> None:
    gate = coil(server, owner_register=OWNER)
    gate.arm()
    gate.write(True)
    server.set_register(OWNER, 0)
    with pytest.raises(OutputError, match="restarted"):
        gate.write(True)
    gate.rest()
    gate.write(True)
    gate.close()


def test_whoever_starts_later_takes_the_device_over(server: ModbusServer) -> None:
    server.set_register(OWNER, 7)
    gate = coil(server, owner_register=OWNER)
    gate.arm()
    assert server.register(OWNER) not in (0, 7)
    gate.close()


def test_a_register_that_keeps_no_mark_is_refused(server: ModbusServer) -> None:
    server.keep_register(OWNER)
    with pytest.raises(OutputError, match="does not keep"):
        coil(server, owner_register=OWNER).arm()


# --- one process of this machine for one output -----------------------------------------------------------------------


def test_a_coil_that_another_process_of_this_machine_drives_is_refused_until_that_one_ends(
    server: ModbusServer,
) -> None:
    other = textwrap.dedent(f"""
        from edge.clock import SystemClock
        from edge.line.outputs.modbus import ModbusOutput
        from edge.options import ModbusOutput as Options
        gate = ModbusOutput(Options(kind="modbus", host="127.0.0.1", port={server.port}, coil={COIL}), SystemClock())
        gate.arm()
        print("armed", flush=True)
        input()
    """)
    gate = coil(server)
    command = [sys.executable, "-c", other]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"armed\n"
        with pytest.raises(OutputError, match="another process of this machine"):
            gate.arm()
        beside = coil(server, COIL + 1)
        beside.arm()
        beside.close()
        process.kill()
    gate.arm()
    gate.close()


# --- registers, for encoders and counters -----------------------------------------------------------------------------


@pytest.fixture(params=["tcp", "rtu"])
def linked(request: pytest.FixtureRequest) -> Iterator[tuple[ModbusServer, ModbusLink]]:
    with PtyPair() as pty, ModbusServer(pty.peer if request.param == "rtu" else "") as server:
        if request.param == "rtu":
            link = rtu_link(RtuUnit(port=pty.device), 250, SystemClock(), InputError, polls=True)
        else:
            link = tcp_link("127.0.0.1", server.port, 1, 250, SystemClock(), InputError)
        link.connect()
        yield server, link
        link.close()


def test_registers_are_written_and_read_as_whole_words(linked: tuple[ModbusServer, ModbusLink]) -> None:
    server, link = linked
    for offset, value in enumerate((0x1234, 0xFFFF, 0)):
        assert link.write_register(TIME + offset, value) > 0
    assert link.read_holding(TIME, 3) == (0x1234, 0xFFFF, 0)
    assert server.register(TIME) == 0x1234
    assert link.read_input_registers(TIME, 2) == (0, 0)


def test_a_register_answer_of_another_length_unit_or_function_is_refused(
    linked: tuple[ModbusServer, ModbusLink],
) -> None:
    server, link = linked
    for kind in ("wrong_unit", "garbage", "exception", "unheard"):
        link.connect()
        server.misbehave(kind, 1)
        with pytest.raises(InputError, match="Modbus device"):
            link.read_holding(TIME, 2)
        with pytest.raises(InputError, match="connect again"):
            link.read_holding(TIME, 2)
    link.connect()
    server.misbehave("wrong_value", 1)
    with pytest.raises(InputError, match="echoed another command"):
        link.write_register(TIME, 5)
