"""Every input kind wired to a peer, so that one test body can run over all of them."""

from __future__ import annotations

import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import pytest

from edge import options
from edge.clock import SystemClock
from edge.kinds import find
from edge.line.inputs import TABLE, Input
from edge.records import Edge
from tests.peers import GpioChip, ModbusServer, ModemPort, PtyPair, gpio_chip

ADDRESS = 4
PIN = 0
PITCH_MS = 60.0


class Rig(Protocol):
    """An input's peer; `part_passes` returns when it has, or will soon have, raised and dropped the input."""

    def input(self) -> Input: ...

    def part_passes(self) -> None: ...


def built(chosen: Any) -> Input:
    """The input that these options describe."""
    made: Input = find(TABLE, chosen.kind, "trigger")(chosen, SystemClock())
    return made


def next_edge(device: Input, within_s: float = 5.0) -> Edge:
    """The edge that comes within the time; fails the test when none does."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        edge = device.wait(0.2)
        if edge is not None:
            return edge
    pytest.fail("no edge came")


class SimulatedRig:
    def input(self) -> Input:
        return built(options.SimulatedInput(kind="simulated", pitch_ms=PITCH_MS, jitter_ms=2))

    def part_passes(self) -> None:
        """The belt runs by itself."""


class DrivenRig:
    """An input that `drive` raises and drops, by a thread that takes its time as a part does."""

    def __init__(self, drive: Callable[[bool], None], make: Callable[..., Any]) -> None:
        self.drive = drive
        self._make = make
        self.left = threading.Event()
        self._belts: list[threading.Thread] = []
        self._made: list[Input] = []

    def input(self, **keys: Any) -> Input:
        self._made.append(built(self._make(**keys)))
        return self._made[-1]

    def part_passes(self) -> None:
        self._belts.append(threading.Thread(target=self._pass_by))
        self._belts[-1].start()

    def _pass_by(self) -> None:
        for level in (True, False):
            time.sleep(0.05)
            self.drive(level)

    def __enter__(self) -> DrivenRig:
        return self

    def __exit__(self, *_: object) -> None:
        self.left.set()
        for belt in self._belts:
            belt.join()
        for device in self._made:
            device.close()


class ModbusRig(DrivenRig):
    """`lost_words` are in every error that says that the device is lost."""

    def __init__(self, server: ModbusServer, lost_words: str, make: Callable[..., Any]) -> None:
        super().__init__(lambda level: server.set_input(ADDRESS, level), make)
        self.server = server
        self.lost_words = lost_words

    def _pass_by(self) -> None:
        """The part is there until it must have been seen, however slow this machine is."""
        for level in (True, False):
            self.drive(level)
            polls = self.server.requests()
            while self.server.requests() < polls + 2 and not self.left.wait(0.01):
                pass


@contextmanager
def _simulated() -> Iterator[Rig]:
    yield SimulatedRig()


@contextmanager
def modbus() -> Iterator[ModbusRig]:
    """Polled over TCP."""
    with ModbusServer() as server:

        def make(**keys: Any) -> options.ModbusInput:
            values = {"poll_ms": 40, "debounce_ms": 0, "timeout_ms": 150} | keys
            return options.ModbusInput(kind="modbus", host="127.0.0.1", port=server.port, input=ADDRESS, **values)

        with ModbusRig(server, r"127\.0\.0\.1", make) as rig:
            yield rig


class CounterRig(ModbusRig):
    """A counter that goes on by one for each part."""

    def __init__(self, server: ModbusServer, make: Callable[..., Any]) -> None:
        super().__init__(server, r"127\.0\.0\.1", make)
        self.parts = 0

    def count(self, parts: int) -> None:
        self.parts += parts
        self.server.set_register(ADDRESS, self.parts % 65_536)

    def _pass_by(self) -> None:
        time.sleep(0.05)
        self.count(1)


@contextmanager
def modbus_counter() -> Iterator[CounterRig]:
    """A holding register that counts, over TCP."""
    with ModbusServer() as server:

        def make(**keys: Any) -> options.ModbusCounterInput:
            values = {"poll_ms": 40, "timeout_ms": 150, "counter_kind": "holding"} | keys
            return options.ModbusCounterInput(
                kind="modbus_counter", host="127.0.0.1", port=server.port, counter=ADDRESS, **values
            )

        with CounterRig(server, make) as rig:
            yield rig


@contextmanager
def modbus_rtu() -> Iterator[ModbusRig]:
    """Polled over a serial bus."""
    with PtyPair() as pty, ModbusServer(pty.peer) as server:

        def make(**keys: Any) -> options.ModbusRtuInput:
            # a pseudo-terminal of a busy machine may take long to pass bytes on
            values = {"poll_ms": 50, "debounce_ms": 0, "timeout_ms": 350} | keys
            return options.ModbusRtuInput(kind="modbus_rtu", port=pty.device, input=ADDRESS, **values)

        with ModbusRig(server, pty.device, make) as rig:
            yield rig


class GpioRig(DrivenRig):
    def __init__(self, chip: GpioChip) -> None:
        super().__init__(lambda level: chip.pull(PIN, level), self._options)
        self.chip = chip

    def _options(self, **keys: Any) -> options.GpioInput:
        return options.GpioInput(kind="gpio", chip=self.chip.path, line=PIN, **{"debounce_ms": 0} | keys)


@contextmanager
def gpio() -> Iterator[GpioRig]:
    """A line of a GPIO chip."""
    with gpio_chip() as chip, GpioRig(chip) as rig:
        yield rig


class SerialLineRig(DrivenRig):
    def __init__(self, modem: ModemPort, port: str) -> None:
        super().__init__(lambda level: modem.set(termios.TIOCM_CTS, level), self._options)
        self.modem = modem
        self._port = port

    def _options(self, **keys: Any) -> options.SerialLineInput:
        values = {"debounce_ms": 0, "late_ms": 4} | keys
        return options.SerialLineInput(kind="serial_line", port=self._port, **values)


@contextmanager
def serial_line() -> Iterator[SerialLineRig]:
    """CTS of a port."""
    with ExitStack() as stack:
        pty = stack.enter_context(PtyPair())
        modem = ModemPort()
        stack.callback(modem.close)
        modem.install(stack.enter_context(pytest.MonkeyPatch.context()))
        yield stack.enter_context(SerialLineRig(modem, pty.device))


RIGS: dict[str, Callable[[], Any]] = {
    "simulated": _simulated,
    "modbus": modbus,
    "modbus_counter": modbus_counter,
    "modbus_rtu": modbus_rtu,
    "gpio": gpio,
    "serial_line": serial_line,
}
