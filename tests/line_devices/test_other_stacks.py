"""Our Modbus devices beside stacks that other people wrote: mbpoll as a second master, modbus-serial as the device."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from edge import options
from edge.clock import SystemClock
from edge.kinds import find
from edge.line.inputs import Input
from edge.line.outputs import TABLE
from edge.line.outputs.level import LevelOutput
from tests.line_devices.input_rigs import built, next_edge
from tests.peers import ModbusServer, PtyPair, node_peer
from tests.peers.waiting import missing

COIL, EYE, TIME = 7, 4, 40


pytestmark = pytest.mark.usefixtures("quick")


class Wired:
    """A device of one stack over one carrier, and our inputs and outputs on it."""

    def __init__(self, server: ModbusServer, pty: PtyPair | None) -> None:
        self.server = server
        self._where: dict[str, Any] = {"kind": "modbus", "host": "127.0.0.1", "port": server.port}
        self.mbpoll = ["-m", "tcp", "-p", str(server.port), "127.0.0.1"]
        if pty is not None:
            self._where = {"kind": "modbus_rtu", "port": pty.device}
            self.mbpoll = ["-m", "rtu", "-b", "9600", "-d", "8", "-s", "1", "-P", "none", pty.device]

    def output(self, **keys: Any) -> LevelOutput:
        chosen = {"coil": COIL, "timeout_ms": 1_000} | self._where | keys
        model = options.ModbusOutput if chosen["kind"] == "modbus" else options.ModbusRtuOutput
        made: LevelOutput = find(TABLE, chosen["kind"], "gate")(model.model_validate(chosen), SystemClock())
        return made

    def input(self) -> Input:
        chosen = {"input": EYE, "timeout_ms": 1_000, "poll_ms": 100, "debounce_ms": 0} | self._where
        model = options.ModbusInput if chosen["kind"] == "modbus" else options.ModbusRtuInput
        return built(model.model_validate(chosen))


def wired(stack: str, carrier: str) -> Iterator[Wired]:
    program = node_peer("modbus_serial") if stack == "modbus-serial" else ()
    with ExitStack() as opened:
        pty = opened.enter_context(PtyPair()) if carrier == "rtu" else None
        server = opened.enter_context(ModbusServer("" if pty is None else pty.peer, program))
        yield Wired(server, pty)


@pytest.fixture(params=["tcp", "rtu"])
def node(request: pytest.FixtureRequest) -> Iterator[Wired]:
    yield from wired("modbus-serial", request.param)


@pytest.fixture(params=["tcp", "rtu"])
def device(request: pytest.FixtureRequest) -> Iterator[Wired]:
    if shutil.which("mbpoll") is None:
        missing("no mbpoll: install mbpoll")
    yield from wired("libmodbus", request.param)


def mbpoll(device: Wired, *arguments: str, value: str = "") -> str:
    """What it says; mbpoll numbers from 1, `-0` makes it number from 0 as the wire does."""
    command = ["mbpoll", "-0", "-1", "-q", *arguments, *device.mbpoll, *([value] if value else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- npm modbus-serial is the device ----------------------------------------------------------------------------------


def test_modbus_serial_confirms_our_writes_and_shows_what_we_wrote(node: Wired) -> None:
    output = node.output(watchdog_register=TIME, watchdog_value=600, owner_register=TIME + 1)
    output.arm()
    for level in (True, True, False, True):
        before_ns = time.monotonic_ns()
        assert output.write(level) >= before_ns
        assert node.server.coil(COIL) is level and output.read_back() is level
    assert node.server.register(TIME) == 600 and node.server.register(TIME + 1) != 0
    output.close()
    assert [edge.level for edge in node.server.coil_log() if edge.address == COIL] == [True, False, True, False]


def test_an_input_of_modbus_serial_is_seen_rising_and_falling(node: Wired) -> None:
    eye = node.input()
    eye.open()
    for level in (True, False, True):
        node.server.set_input(EYE, level)
        assert next_edge(eye).level is level
    eye.close()


# --- mbpoll is another master of a libmodbus device -------------------------------------------------------------------


def test_mbpoll_reads_back_what_we_wrote(device: Wired) -> None:
    output = device.output(watchdog_register=TIME, watchdog_value=600)
    for level in (True, False):
        output.arm()
        output.write(level)
        output._wire.drop()  # a bus has one master at a time; `close` would say a last word
        assert f"[{COIL}]: \t{int(level)}" in mbpoll(device, "-t", "0", "-r", str(COIL))
    assert f"[{TIME}]: \t600" in mbpoll(device, "-t", "4", "-r", str(TIME))
    output.close()


@pytest.mark.parametrize("device", ["tcp"], indirect=True)
def test_what_mbpoll_writes_is_seen_at_an_input_and_by_reading_back(device: Wired) -> None:
    device.server.mirror()  # the input of the same number follows
    eye, output = device.input(), device.output(coil=EYE)
    output.arm()
    eye.open()
    for level in (True, False):
        mbpoll(device, "-t", "0", "-r", str(EYE), value=str(int(level)))
        assert next_edge(eye).level is level and output.read_back() is level
    eye.close()
    output.close()
