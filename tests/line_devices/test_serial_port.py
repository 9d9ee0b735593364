"""A serial port has one owner, is made quick at each opening, and is found again when it is plugged in again."""

from __future__ import annotations

import array
import fcntl
import os
import subprocess
import sys
import termios
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import serial.serialposix

from edge.clock import SystemClock
from edge.errors import InputError, OutputError
from edge.line.outputs.level import LevelOutput
from edge.line.outputs.modbus_rtu import ModbusRtuOutput
from edge.line.outputs.serial_bytes import SerialBytesOutput
from edge.line.serial_port import PortSettings, acquire, release
from edge.options import ModbusRtuOutput as RtuOptions
from edge.options import SerialBytesOutput as BytesOptions
from tests.peers import PtyPair, RelayBoard

ROOT = Path(__file__).parents[2]
# As any program opens a port, without asking for a lock; without the right of an administrator to do so anyway.
OPENS = [
    "setpriv",
    "--bounding-set=-sys_admin",
    sys.executable,
    "-c",
    "import os, sys; os.open(sys.argv[1], os.O_RDWR)",
]


@pytest.fixture
def pty() -> Iterator[PtyPair]:
    with PtyPair() as pair:
        yield pair


def relay(path: str) -> LevelOutput:
    return SerialBytesOutput(BytesOptions(kind="serial_bytes", port=path), SystemClock())


def another_opens(path: str) -> int:
    return subprocess.run([*OPENS, path], stderr=subprocess.DEVNULL).returncode


def test_no_other_program_can_open_a_port_that_is_ours_until_we_give_it_back(pty: PtyPair) -> None:
    assert another_opens(pty.device) == 0
    port = acquire(pty.device, PortSettings(9_600), SystemClock())
    assert another_opens(pty.device) != 0
    release(port)
    assert another_opens(pty.device) == 0


@pytest.mark.parametrize("kind", ["serial_bytes", "modbus_rtu"])
def test_two_line_processes_on_one_port_are_refused_whatever_they_want_with_it(pty: PtyPair, kind: str) -> None:
    owner = f"""
from edge.clock import SystemClock
from edge.line.serial_port import PortSettings, acquire
acquire({pty.device!r}, PortSettings(9600), SystemClock())
print("open", flush=True)
input()
"""
    coil = RtuOptions(kind="modbus_rtu", port=pty.device, coil=0)
    output = relay(pty.device) if kind == "serial_bytes" else ModbusRtuOutput(coil, SystemClock())
    command = [sys.executable, "-c", owner]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"open\n"
        with pytest.raises(OutputError, match=r"in use by another process: stop that one \(try: fuser"):
            output.arm()
        with pytest.raises(InputError, match="in use by another process"):
            acquire(pty.device, PortSettings(9_600), SystemClock(), InputError)
        process.kill()
    if kind == "serial_bytes":
        output.arm()
    output.close()


class Adapter:
    """Answers for a driver that has the low-latency flag, at pyserial's ioctl border."""

    def __init__(self) -> None:
        self.flags: list[int] = []

    def ioctl(self, descriptor: int, request: int, argument: Any = 0, *rest: Any) -> Any:
        if request == termios.TIOCGSERIAL:
            return 0
        if request == termios.TIOCSSERIAL:
            assert isinstance(argument, array.array)
            self.flags.append(argument[4])
            return 0
        return fcntl.ioctl(descriptor, request, argument, *rest)


def test_an_adapter_is_made_quick_again_when_it_is_plugged_in_again(
    pty: PtyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = Adapter()
    names = {name: getattr(fcntl, name) for name in dir(fcntl) if not name.startswith("__")}
    border = types.SimpleNamespace(**names | {"ioctl": adapter.ioctl})
    monkeypatch.setattr(serial.serialposix, "fcntl", border)
    output = relay(pty.device)
    output.arm()
    asked = len(adapter.flags)
    assert asked > 0 and all(flags & 0x2000 for flags in adapter.flags)  # ASYNC_LOW_LATENCY
    pty.unplug()
    with pytest.raises(OutputError):
        output.rest()
    pty.plug()
    with RelayBoard(pty.peer):
        output.rest()
    assert len(adapter.flags) > asked
    output.close()


def test_a_port_is_found_by_its_lasting_name_though_its_number_has_changed(pty: PtyPair, tmp_path: Path) -> None:
    """As under /dev/serial/by-id: a link that the system points at whatever number the adapter got."""
    by_id = tmp_path / "usb-relay-board"
    by_id.symlink_to(os.path.realpath(pty.device))
    output = relay(str(by_id))
    output.arm()
    output.write(True)
    pty.unplug()
    by_id.unlink()
    with pytest.raises(OutputError):
        output.rest()
    with PtyPair() as again, RelayBoard(again.peer) as board:
        by_id.symlink_to(os.path.realpath(again.device))
        output.rest()
        board.settle()
        assert [edge.on for edge in board.commands] == [False]
        output.write(True)
        board.settle()
        assert board.level(1) is True
        output.close()
