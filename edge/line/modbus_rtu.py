"""Carries Modbus requests over a serial bus (RTU) that several devices of this process may share.

RTU has no transaction numbers. What makes a late answer harmless: an echo counts only when it is what was sent, a
failure closes the port for all its users with what it holds, and who only reads lets late answers pass by first.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import serial
from pymodbus.client import ModbusSerialClient

from edge.clock import SECOND, Clock
from edge.errors import DeviceError
from edge.line.modbus_link import Exchange, ModbusLink, Request
from edge.line.serial_port import PortSettings, SerialPort, acquire, release
from edge.options import RtuUnit

_BITS_PER_BYTE = 11  # start, eight, parity or a second stop bit, stop
_FAST_BAUD = 19_200  # above, the standard fixes the silence between two frames
_FAST_SILENCE_NS = 1_750_000
_SHORTEST_FRAME = 4  # unit, function, checksum; less is the noise of drivers that switch


def rtu_link(
    unit: RtuUnit, timeout_ms: float, clock: Clock, error: type[DeviceError], *, polls: bool
) -> ModbusLink:
    """A link to this unit. One that `polls` lets go first whoever commands an output."""
    settings = PortSettings(unit.baud, parity=unit.parity[0].upper(), stop_bits=unit.stop_bits)
    carrier = RtuCarrier(unit.port, settings, timeout_ms, clock, error, polls)
    return ModbusLink(carrier, unit.device_id, clock, error)


class PromptClient(ModbusSerialClient):
    """pymodbus looks for bytes and sleeps for milliseconds in between; this one waits for the first byte.

    `sent` is the last request, `heard` all that came after it.
    """

    def __init__(self, timeout_s: float) -> None:
        super().__init__("", timeout=timeout_s, retries=0)
        self.sent = b""
        self.heard = b""

    def send(self, request: bytes, addr: tuple[str, int] | None = None) -> int:
        self.sent, self.heard = request, b""
        return super().send(request, addr)

    def recv(self, size: int | None) -> bytes:  # noqa: ARG002 - pymodbus passes None, it cannot know the size
        """What is there, at once; nothing after the timeout. The framer asks again until a frame is whole."""
        assert self.socket is not None
        data = self.socket.read(1)
        if data:
            data += self.socket.read(self.socket.in_waiting)
        self.heard += data
        return data


class RtuCarrier:
    """See the Protocol in modbus_link.py."""

    def __init__(
        self,
        port: str,
        settings: PortSettings,
        timeout_ms: float,
        clock: Clock,
        error: type[DeviceError],
        polls: bool,
    ) -> None:
        self.timeout_s = timeout_ms / 1_000
        self._path = port
        self._settings = settings
        self._clock = clock
        self._error = error
        self._polls = polls
        self._silence_ns = _FAST_SILENCE_NS
        if settings.baud <= _FAST_BAUD:
            self._silence_ns = 7 * _BITS_PER_BYTE * SECOND // (2 * settings.baud)
        self._client = PromptClient(self.timeout_s)
        self._port: SerialPort | None = None
        self._failed_ns: int | None = None

    def __str__(self) -> str:
        return f"at {self._path}"

    def open(self) -> None:
        """Open the port or join its users. A poller waits first for as long again as its last request had."""
        if self._polls and self._failed_ns is not None:
            self._clock.sleep_until(self._failed_ns + round(self.timeout_s * SECOND))
        self._port = acquire(self._path, self._settings, self._clock, self._error)

    def turn(self) -> AbstractContextManager[None]:
        assert self._port is not None
        return self._port.turns.take(not self._polls, self.timeout_s)

    def exchange(self, request: Request) -> Exchange:
        """One request on the bus after its silence, with the bytes sent and heard. Raises ConnectionError, and what the
        request raises."""
        port = self._port
        wire = port.lend() if port is not None else None
        if port is None or wire is None:
            raise ConnectionError("another user of the port lost it")
        wire.timeout = wire.write_timeout = self.timeout_s
        self._forget_noise(wire)
        self._clock.sleep_until(port.heard_ns + self._silence_ns)
        self._client.socket = wire
        try:
            reply = request(self._client)
        finally:
            self._client.socket = None
            port.heard_ns = self._clock.now_ns()
        return Exchange(reply, self._client.sent, self._client.heard)

    def frame(self, data: bytes) -> tuple[bytes, bytes]:
        """The unit stands before the function, the checksum behind the data."""
        return data[:1], data[1:-2]

    def interrupt(self) -> None:
        """A request on a bus that others use too ends by its timeout only."""

    def fail(self) -> None:
        if self._port is not None:
            self._port.close()
        self._failed_ns = self._clock.now_ns()
        self.close()

    def close(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            release(port)

    def _forget_noise(self, wire: serial.Serial) -> None:
        """Between requests a bus is silent, but for a stray byte. A whole frame is somebody else's."""
        waiting = wire.in_waiting
        if waiting >= _SHORTEST_FRAME:
            raise ConnectionError("bytes that nobody asked for: is there a second master?")
        if waiting:
            wire.read(waiting)
