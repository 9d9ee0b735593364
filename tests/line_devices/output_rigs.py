"""Every output kind wired to a peer, so that one test body can run over all of them."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pytest
import serial.serialposix

from edge.clock import SystemClock
from edge.kinds import find
from edge.line.outputs import TABLE
from edge.line.outputs.level import LevelOutput
from edge.options import (
    GpioOutput,
    MemoryOutput,
    ModbusOutput,
    ModbusRtuOutput,
    SerialBytesOutput,
    SerialLineOutput,
)
from tests.peers import GpioChip, ModbusServer, PtyPair, RelayBoard, RelayEdge, eventually, gpio_chip

COIL = 7
CHANNEL = 2
PIN = 1


class Rig(Protocol):
    """An output's peer. `confirms`: a write returns when it was confirmed. `losable`: the peer can go away."""

    confirms: bool
    losable: bool

    def output(self, invert: bool = False) -> LevelOutput: ...

    def level(self) -> bool:
        """The raw level at the peer, once everything that was sent arrived."""
        ...

    def unplug(self) -> None: ...

    def plug(self) -> None:
        """Bring the peer back with the output active, as a device that kept its level or woke up wrong."""
        ...


def _built(kind: str, options: object) -> LevelOutput:
    output = find(TABLE, kind, "output")(options, SystemClock())
    assert isinstance(output, LevelOutput)
    return output


class MemoryRig:
    confirms = True
    losable = False

    def __init__(self) -> None:
        self._output: Any = None

    def output(self, invert: bool = False) -> LevelOutput:
        self._output = _built("memory", MemoryOutput(kind="memory", invert=invert))
        return self._output  # type: ignore[no-any-return]

    def level(self) -> bool:
        return bool(self._output.changes[-1][0])

    def unplug(self) -> None: ...

    def plug(self) -> None: ...


class ModbusRig:
    confirms = True
    losable = True

    def __init__(self, server: ModbusServer) -> None:
        self.server = server

    def output(self, invert: bool = False) -> LevelOutput:
        options = ModbusOutput(kind="modbus", host="127.0.0.1", port=self.server.port, coil=COIL, invert=invert)
        return _built("modbus", options)

    def level(self) -> bool:
        return self.server.coil(COIL)

    def unplug(self) -> None:
        self.server.stop()

    def plug(self) -> None:
        self.server.start(self.server.port)
        self.server.set_coil(COIL, True)


class RtuRig:
    confirms = True
    losable = True

    def __init__(self, pty: PtyPair, server: ModbusServer) -> None:
        self._pty = pty
        self.server = server

    def output(self, invert: bool = False) -> LevelOutput:
        # a pseudo-terminal of a busy machine may take long to pass bytes on
        options = ModbusRtuOutput(
            kind="modbus_rtu", port=self._pty.device, coil=COIL, invert=invert, timeout_ms=1_000
        )
        return _built("modbus_rtu", options)

    def level(self) -> bool:
        return self.server.coil(COIL)

    def unplug(self) -> None:
        self._pty.unplug()
        self.server.stop()

    def plug(self) -> None:
        self._pty.plug()
        self.server.start()
        self.server.set_coil(COIL, True)


class GpioRig:
    confirms = True
    losable = True

    def __init__(self, chip: GpioChip) -> None:
        self._chip = chip

    def output(self, invert: bool = False) -> LevelOutput:
        return _built("gpio", GpioOutput(kind="gpio", chip=self._chip.path, line=PIN, invert=invert))

    def level(self) -> bool:
        return self._chip.level(PIN)

    def unplug(self) -> None:
        self._chip.unplug()

    def plug(self) -> None:
        self._chip.plug()
        self._chip.pull(PIN, True)


class RelayRig:
    losable = True

    def __init__(self, pty: PtyPair, board: str) -> None:
        self.confirms = board == "numato"
        self._pty = pty
        self._kind = board
        self._board: RelayBoard | None = None
        self._sent = 0

    def count_writes(self, patch: pytest.MonkeyPatch) -> None:
        """Know how many bytes are under way: a mute board confirms nothing, and a busy machine is slow."""
        write = serial.serialposix.Serial.write

        def counted(port: serial.serialposix.Serial, data: Any) -> int | None:
            written = write(port, data)
            self._sent += written or 0
            return written

        patch.setattr(serial.serialposix.Serial, "write", counted)

    def output(self, invert: bool = False) -> LevelOutput:
        options = SerialBytesOutput.model_validate(
            {
                "kind": "serial_bytes",
                "port": self._pty.device,
                "board": self._kind,
                "channel": CHANNEL,
                "invert": invert,
                "timeout_ms": 1_000,
            }
        )
        return _built("serial_bytes", options)

    def level(self) -> bool:
        board = self._board
        assert board is not None
        eventually(lambda: board.heard_bytes >= self._sent, "the board has heard all that was sent")
        return board.level(CHANNEL)

    def unplug(self) -> None:
        if self._board is not None:
            self._pty.unplug()
            self._board.__exit__()
            self._board = None

    def plug(self) -> None:
        self._pty.plug()
        self.attach().commands.append(RelayEdge(0, CHANNEL, True))

    def attach(self) -> RelayBoard:
        self._sent = 0
        self._board = RelayBoard(self._pty.peer, self._kind)
        return self._board.__enter__()


class ModemLines:
    """The ioctls of RTS and DTR in place of the kernel's, at pyserial's border: a test machine has no such port."""

    def __init__(self) -> None:
        self.bits = 0
        self.gone = False
        self.stuck_bytes = 0

    def ioctl(self, descriptor: int, request: int, argument: Any = 0, *rest: Any) -> Any:
        if request not in (termios.TIOCMBIS, termios.TIOCMBIC, termios.TIOCOUTQ):
            return fcntl.ioctl(descriptor, request, argument, *rest)
        if self.gone:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if request == termios.TIOCOUTQ:
            return struct.pack("I", self.stuck_bytes)
        mask = struct.unpack("I", argument)[0]
        self.bits = self.bits | mask if request == termios.TIOCMBIS else self.bits & ~mask
        return argument

    def install(self, patch: pytest.MonkeyPatch) -> None:
        names = {name: getattr(fcntl, name) for name in dir(fcntl) if not name.startswith("__")}
        patch.setattr(serial.serialposix, "fcntl", types.SimpleNamespace(**names | {"ioctl": self.ioctl}))


class LineRig:
    confirms = False
    losable = True

    def __init__(self, pty: PtyPair, lines: ModemLines) -> None:
        self._pty = pty
        self._lines = lines

    def output(self, invert: bool = False) -> LevelOutput:
        return _built("serial_line", SerialLineOutput(kind="serial_line", port=self._pty.device, invert=invert))

    def level(self) -> bool:
        return bool(self._lines.bits & termios.TIOCM_RTS)

    def unplug(self) -> None:
        self._pty.unplug()
        self._lines.gone = True

    def plug(self) -> None:
        self._pty.plug()
        self._lines.gone = False
        self._lines.bits = termios.TIOCM_RTS


@contextmanager
def _memory(_: pytest.MonkeyPatch) -> Iterator[Rig]:
    yield MemoryRig()


@contextmanager
def _modbus(_: pytest.MonkeyPatch) -> Iterator[Rig]:
    with ModbusServer() as server:
        yield ModbusRig(server)


@contextmanager
def _modbus_rtu(_: pytest.MonkeyPatch) -> Iterator[Rig]:
    with PtyPair() as pty, ModbusServer(pty.peer) as server:
        yield RtuRig(pty, server)


@contextmanager
def _gpio(_: pytest.MonkeyPatch) -> Iterator[Rig]:
    with gpio_chip() as chip:
        yield GpioRig(chip)


def _relay(board: str) -> Callable[[pytest.MonkeyPatch], Any]:
    @contextmanager
    def wired(patch: pytest.MonkeyPatch) -> Iterator[Rig]:
        with PtyPair() as pty:
            rig = RelayRig(pty, board)
            rig.count_writes(patch)
            rig.attach()
            try:
                yield rig
            finally:
                rig.unplug()

    return wired


@contextmanager
def _line(patch: pytest.MonkeyPatch) -> Iterator[Rig]:
    lines = ModemLines()
    lines.install(patch)
    with PtyPair() as pty:
        yield LineRig(pty, lines)


RIGS: dict[str, Callable[[pytest.MonkeyPatch], Any]] = {
    "memory": _memory,
    "modbus": _modbus,
    "modbus_rtu": _modbus_rtu,
    "gpio": _gpio,
    "serial_bytes lcus": _relay("lcus"),
    "serial_bytes kmtronic": _relay("kmtronic"),
    "serial_bytes numato": _relay("numato"),
    "serial_line": _line,
}

__all__ = ["RIGS", "ModemLines", "Rig"]
