"""PLCs of other makes, each with its own protocol stack, and the station's link options that lead to them.

ModbusServerPlc   libmodbus (C): registers that the station writes
ModbusClientPlc   modbus-serial (JavaScript): polls the station
SiemensPlc        the original Snap7 server (C++)
LogixPlc          cpppo (Python), an EtherNet/IP simulator
"""

from __future__ import annotations

import atexit
import functools
import queue
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import pytest

from edge import options
from edge.errors import ConfigError
from edge.kinds import find
from edge.plc import TABLE
from edge.plc.table import BASES, Orders, Result, Status, size, to_bytes, to_registers, words
from tests.peers.node import node_peer
from tests.peers.waiting import missing

_HERE = Path(__file__).with_name("plc")
_C_NEEDED = "install gcc, pkg-config and libmodbus-dev"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def needs(kind: str) -> None:
    """The kind's library."""
    try:
        find(TABLE, kind, "plc")
    except ConfigError as error:
        missing(str(error))


class Peer:
    """A process that answers each line with one line; lines that begin with "event " come at any time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._answers: queue.Queue[str] = queue.Queue()
        self.events: queue.Queue[str] = queue.Queue()

    def start(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            bufsize=1,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, args=(self._process,), name="peer-output")
        self._reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            known = self.events if line.startswith("event ") else self._answers
            known.put(line.strip().removeprefix("event "))

    def answer(self, within_s: float = 20.0) -> str:
        try:
            return self._answers.get(timeout=within_s)
        except queue.Empty:
            pytest.fail(f"{type(self).__name__} does not answer")

    def ask(self, line: str) -> str:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        return self.answer()

    def stop(self) -> None:
        """End the process; may be called twice."""
        process, self._process = self._process, None
        if process is None or self._reader is None:
            return
        process.kill()
        process.wait()
        self._reader.join()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


class PlcSide(Protocol):
    """What the tests need of any PLC; `port` is where it listens, or where it looks for the station."""

    port: int

    def start(self) -> None: ...

    def arrive(self) -> None:
        """The station's link is connected: a PLC that is a client connects now."""
        ...

    def leave(self) -> None:
        """A PLC that is a client goes; others stay."""
        ...

    def options(self, **keys: object) -> options.PlcOptions: ...

    def status(self) -> Status: ...

    def result(self) -> Result: ...

    def memory(self) -> dict[type, str]:
        """Status and Result as the PLC's memory holds them: hex, word by word."""
        ...

    def write(self, orders: Orders) -> None: ...

    def stop(self) -> None: ...


class _Addressed(Peer):
    """A PLC whose memory is registers of 16 bits, with the map at `base`."""

    base = 0
    port = 0

    def registers(self) -> list[int]:
        raise NotImplementedError

    def memory(self) -> dict[type, str]:
        registers = self.registers()
        return {
            kind: " ".join(f"{word:04x}" for word in registers[self.base + BASES[kind] :][: size(kind)])
            for kind in (Status, Result)
        }

    def status(self) -> Status:
        return _parsed(Status, self.memory()[Status])

    def result(self) -> Result:
        return _parsed(Result, self.memory()[Result])

    def arrive(self) -> None:
        pass

    def leave(self) -> None:
        pass


def _parsed(kind: type, memory: str):  # type: ignore[no-untyped-def]
    """The PLC program's own reading of its memory: word by word, the high one first."""
    registers = [int(word, 16) for word in memory.split()]
    values = []
    for word in words(kind):
        value = 0
        for _ in range(word.registers):
            value = value << 16 | registers.pop(0)
        values.append(value)
    return kind(*values)


class ModbusServerPlc(_Addressed):
    """libmodbus: holding registers from 10 on belong to the station's map."""

    base = 10

    def start(self) -> None:
        super().start([_compiled_plc()])
        self.port = int(self.answer().split()[1])

    def options(self, **keys: object) -> options.PlcOptions:
        given = {"kind": "modbus_client", "host": "127.0.0.1", "port": self.port, "address": self.base}
        return options.ModbusClientPlc.model_validate(given | keys)

    def registers(self) -> list[int]:
        return [int(word) for word in self.ask("read").split()]

    def write(self, orders: Orders) -> None:
        self.ask(f"write {self.base + BASES[Orders]} {' '.join(map(str, to_registers(orders)))}")


class ModbusClientPlc(_Addressed):
    """modbus-serial: polls the station's server and writes into it."""

    def start(self) -> None:
        self.port = self.port or free_port()

    def arrive(self) -> None:
        super().start([*node_peer("plc-modbus", "client.js"), str(self.port)])
        assert self.answer() == "connected"

    def leave(self) -> None:
        super().stop()

    def options(self, **keys: object) -> options.PlcOptions:
        return options.ModbusServerPlc.model_validate({"kind": "modbus_server", "port": self.port} | keys)

    def registers(self) -> list[int]:
        return [int(word) for word in self.ask("inputs 0 64").split()]

    def write(self, orders: Orders) -> None:
        assert self.ask(f"write {BASES[Orders]} {' '.join(map(str, to_registers(orders)))}") == "5"


class SiemensPlc(_Addressed):
    """Snap7: the map begins at byte 20 of data block 7."""

    base = 10

    def start(self) -> None:
        self.port = self.port or free_port()
        super().start([*node_peer("plc-s7", compiles=True), str(self.port), "7"])
        assert self.answer() == "listening"

    def options(self, **keys: object) -> options.PlcOptions:
        given = {"kind": "s7", "host": "127.0.0.1", "port": self.port, "db": 7, "start": 2 * self.base}
        return options.S7Plc.model_validate(given | keys)

    def registers(self) -> list[int]:
        return list(struct.unpack(">128H", bytes.fromhex(self.ask("read"))))

    def write(self, orders: Orders) -> None:
        self.ask(f"write {2 * (self.base + BASES[Orders])} {to_bytes(orders).hex()}")


class LogixPlc(Peer):
    """cpppo: three tags, arrays of DINT."""

    port = 0

    def start(self) -> None:
        if find_spec("cpppo") is None:
            missing("no cpppo: pip install cpppo")
        self.port = self.port or free_port()
        tags = [f"Kenpin_{kind.__name__}=DINT[{len(words(kind))}]" for kind in (Status, Result, Orders)]
        super().start([sys.executable, str(_HERE / "enip_plc.py"), str(self.port), *tags])
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        pytest.fail("cpppo does not listen")

    def arrive(self) -> None:
        pass

    def leave(self) -> None:
        pass

    def options(self, **keys: object) -> options.PlcOptions:
        return options.EnipPlc.model_validate({"kind": "enip", "host": "127.0.0.1", "port": self.port} | keys)

    def _elements(self) -> list[int]:
        return [int(element) for element in self.ask("read").split()]

    def memory(self) -> dict[type, str]:
        """Each element is a whole word of the map, so the golden words appear in it one by one."""
        elements = self._elements()
        found: dict[type, str] = {}
        for kind in (Status, Result):
            own, elements = elements[: len(words(kind))], elements[len(words(kind)) :]
            cells = [
                f"{value & 0xFFFF_FFFF:0{4 * word.registers}x}"
                for value, word in zip(own, words(kind), strict=True)
            ]
            found[kind] = " ".join(cell[at : at + 4] for cell in cells for at in range(0, len(cell), 4))
        return found

    def status(self) -> Status:
        return _parsed(Status, self.memory()[Status])

    def result(self) -> Result:
        return _parsed(Result, self.memory()[Result])

    def write(self, orders: Orders) -> None:
        values = (orders.heartbeat, orders.session, orders.ack, orders.recipe, orders.command)
        self.ask(f"write Kenpin_Orders {' '.join(map(str, values))}")


@functools.cache
def _compiled_plc() -> str:
    for tool in ("cc", "pkg-config"):
        if shutil.which(tool) is None:
            missing(f"no {tool}: {_C_NEEDED}")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libmodbus"], capture_output=True, text=True)
    if flags.returncode:
        missing(f"no libmodbus: {_C_NEEDED}")
    folder = tempfile.mkdtemp(prefix="kenpin-plc-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    program = f"{folder}/modbus_plc"
    built = subprocess.run(
        ["cc", "-O2", "-Wall", "-o", program, str(_HERE / "modbus_plc.c"), *flags.stdout.split()],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return program
