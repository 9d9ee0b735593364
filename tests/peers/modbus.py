"""The libmodbus device of modbus_server.c, compiled once a test run and driven over its standard streams."""

from __future__ import annotations

import atexit
import functools
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.peers.waiting import hurry, missing

_SOURCE = Path(__file__).with_name("modbus_server.c")
_NEEDED = "install gcc, pkg-config and libmodbus-dev"


class CoilEdge(NamedTuple):
    """A coil changed its level at `at_ns` (CLOCK_MONOTONIC of the device process, the same clock as ours)."""

    at_ns: int
    address: int
    level: bool


class ModbusServer:
    """A Modbus TCP device on 127.0.0.1, or unit 1 on the serial port `bus` (RTU). A stopped one may start again on
    its port. `program` is another device that speaks over its standard streams as modbus_server.c does."""

    def __init__(self, bus: str = "", program: tuple[str, ...] = ()) -> None:
        self.port = 0
        self._bus = bus
        self._program = program or (_binary(),)
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._answers: queue.Queue[str] = queue.Queue()
        self._coil_log: list[CoilEdge] = []

    def __enter__(self) -> ModbusServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, port: int = 0) -> None:
        """Start listening; all coils and inputs are low. The log of an earlier run is kept."""
        self._process = subprocess.Popen(
            [*self._program, self._bus or str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        hurry(self._process.pid)
        self._reader = threading.Thread(target=self._read, args=(self._process,), name="modbus-server-log")
        self._reader.start()
        try:
            self.port = int(self._answer())
        except BaseException:
            self.stop()
            raise

    def coil_log(self) -> list[CoilEdge]:
        """Every coil change so far, oldest first; complete up to all requests that were answered, or up to `stop`."""
        if self._process is not None:
            self._ask("count")
        return list(self._coil_log)

    def set_input(self, address: int, level: bool) -> None:
        """Set a discrete input; it stands when this returns."""
        self._ask(f"input {address} {int(level)}")

    def set_coil(self, address: int, level: bool) -> None:
        """Set a coil as a second master would."""
        self._ask(f"coil {address} {int(level)}")

    def coil(self, address: int) -> bool:
        """The level of a coil now."""
        return bool(self._ask(f"read {address}")[0])

    def register(self, address: int) -> int:
        """The value of a holding register now."""
        return self._ask(f"held {address}")[0]

    def set_register(self, address: int, value: int) -> None:
        """Set a holding register as a second master would."""
        self._ask(f"register {address} {value}")

    def keep_register(self, address: int) -> None:
        """From now on writes to this holding register are echoed, and do nothing."""
        self._ask(f"keep {address}")

    def watch(self, address: int) -> None:
        """The device's watchdog: this holding register says after how many ms all coils fall when none is written."""
        self._ask(f"watch {address}")

    def mirror(self) -> None:
        """From now on a coil that is written sets the discrete input of the same number."""
        self._ask("mirror")

    def misbehave(self, kind: str, count: int = 0, ms: int = 0) -> None:
        """Let the next `count` requests (0 = all) go wrong: late, wrong_value, wrong_address, wrong_unit,
        wrong_transaction (TCP), bad_checksum (RTU), exception, silent (obeys), unheard (does not), close (TCP),
        garbage, twice, dribble or stuck (echoes a write without doing it); `ms` delays late and each byte of
        dribble."""
        self._ask(f"misbehave {kind} {count} {ms}")

    def behave(self) -> None:
        """End every misbehaviour."""
        self._ask("normal")

    def drop_connections(self) -> None:
        """Close all connections from this side and go on listening."""
        self._ask("drop")

    def requests(self) -> int:
        """How many requests came in since start."""
        return self._ask("count")[0]

    def clients(self) -> int:
        """How many connections are open."""
        return self._ask("count")[1]

    def freeze(self) -> None:
        """Stop the process (SIGSTOP): the kernel still accepts and buffers, nobody answers."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        self._running().send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End the process; its connections are closed and its port is refused. May be called twice."""
        process, self._process = self._process, None
        if process is None or process.stdin is None or process.stdout is None or self._reader is None:
            return
        process.kill()
        process.wait()
        self._reader.join()
        process.stdin.close()
        process.stdout.close()

    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, "start the server first"
        return self._process

    def _ask(self, command: str) -> tuple[int, int]:
        stdin = self._running().stdin
        assert stdin is not None
        stdin.write(command + "\n")
        requests, clients = self._answer().split()
        return int(requests), int(clients)

    def _answer(self) -> str:
        try:
            return self._answers.get(timeout=10)
        except queue.Empty:
            pytest.fail("the Modbus server does not answer")

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "coil":
                at_ns, address, level = (int(number) for number in rest.split())
                self._coil_log.append(CoilEdge(at_ns, address, bool(level)))
            else:
                self._answers.put(rest)


@functools.cache
def _compiled() -> tuple[str, str]:
    """(path of the program, "") or ("", why there is none)."""
    for tool in ("cc", "pkg-config"):
        if shutil.which(tool) is None:
            return "", f"no {tool}: {_NEEDED}"
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libmodbus"], capture_output=True, text=True)
    if flags.returncode:
        return "", f"no libmodbus: {_NEEDED} ({flags.stderr.strip()})"
    folder = tempfile.mkdtemp(prefix="kenpin-peer-")
    atexit.register(_remove, folder, os.getpid())
    program = str(Path(folder) / "modbus_server")
    built = subprocess.run(
        ["cc", "-O2", "-Wall", "-o", program, str(_SOURCE), *flags.stdout.split()], capture_output=True, text=True
    )
    return (program, "") if built.returncode == 0 else ("", f"modbus_server.c does not compile: {built.stderr}")


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # not in a forked child
        shutil.rmtree(folder, ignore_errors=True)


def _binary() -> str:
    program, reason = _compiled()
    if not program:
        missing(reason)
    return program
