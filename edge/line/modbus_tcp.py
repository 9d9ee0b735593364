"""One Modbus TCP connection for one job: no retries, bounded in time, and no reply is trusted that does not answer
the request just sent. The only file in the line process that knows pymodbus."""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from edge.clock import Clock
from edge.errors import DeviceError

# Closing discards what the kernel still holds: a command that waits for a cable must not arrive after it is back.
_DISCARD = struct.pack("ii", 1, 0)  # struct linger: on, 0 s
# A dead peer is noticed by the next timeout; keepalive drops a connection that no request uses for a while.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 2), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3))

_ONE_BIT_REPLY = 10  # header 7, function, byte count, one byte of bits: a longer answer holds something else too

# Every failure is raised as a typed error with its cause; the library's own lines would say it twice.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


class ModbusLink:
    """A client of one device. A call takes at most `timeout_ms`, twice that where the peer dribbles bytes.

    After any failure the connection is closed: its late bytes can never answer a later request. It stays closed
    until `connect`. All failures are raised as `error`, the room's class. For one thread, but for `interrupt`.
    """

    def __init__(
        self, host: str, port: int, device_id: int, timeout_ms: float, clock: Clock, error: type[DeviceError]
    ) -> None:
        self._host = host
        self._port = port
        self._device_id = device_id
        self._timeout_s = timeout_ms / 1_000
        self._clock = clock
        self._error = error
        self._address: str | None = None
        self._client: ModbusTcpClient | None = None
        self._sent = b""
        self._received = b""

    def __str__(self) -> str:
        return f"Modbus device {self._host}:{self._port} unit {self._device_id}"

    def connect(self) -> None:
        """Open a fresh connection within the timeout. A host name is resolved the first time only, within the
        resolver's own limit; give an address where that matters."""
        self.close()
        client = ModbusTcpClient(
            self._resolved(), port=self._port, timeout=self._timeout_s, retries=0, trace_packet=self._trace
        )
        if not client.connect() or client.socket is None:  # type: ignore[no-untyped-call]
            raise self._error(
                f"{self} does not accept a connection within {self._timeout_s * 1_000:g} ms: check power, cable, "
                f"address, and that it allows one more client"
            )
        client.socket.setblocking(False)  # as pymodbus does from its first reply on; it waits with select
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            client.socket.setsockopt(socket.IPPROTO_TCP, option, value)
        self._client = client

    def write_coil(self, address: int, level: bool) -> int:
        """Write one coil; returns when its echo arrived (CLOCK_MONOTONIC ns)."""
        self._ask(f"coil {address}", lambda client: client.write_coil(address, level, device_id=self._device_id))
        confirmed_ns = self._clock.now_ns()
        # The reply to a coil write is the request, byte for byte: transaction, unit, address and value.
        if self._received != self._sent:
            self.close()
            raise self._error(
                f"{self} echoed another command than it was sent (sent {self._sent.hex()}, got "
                f"{self._received.hex()}), coil {address} is unknown: look for a gateway or a second master"
            )
        return confirmed_ns

    def read_coil(self, address: int) -> bool:
        """The level of one coil as the device reports it."""
        reply = self._ask(f"coil {address}", lambda client: client.read_coils(address, device_id=self._device_id))
        return self._one_bit(reply, 0x01)

    def read_input(self, address: int) -> bool:
        """The level of one discrete input."""
        reply = self._ask(
            f"input {address}", lambda client: client.read_discrete_inputs(address, device_id=self._device_id)
        )
        return self._one_bit(reply, 0x02)

    def interrupt(self) -> None:
        """Make a call that waits in another thread fail at once; `close` still has to follow."""
        client = self._client
        connection = client.socket if client is not None else None
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Drop the connection and whatever it still holds; never raises."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(OSError):
                client.close()  # type: ignore[no-untyped-call]

    def _resolved(self) -> str:
        if self._address is None:
            try:
                found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            except OSError as error:
                raise self._error(f"cannot resolve {self._host}: {error}; write the device's IP address") from error
            self._address = str(found[0][4][0])
        return self._address

    def _trace(self, sending: bool, data: bytes) -> bytes:
        """Called by pymodbus with each request, and with all bytes received since it."""
        if sending:
            self._sent, self._received = data, b""
        else:
            self._received = data
        return data

    def _ask(self, what: str, request: Callable[[ModbusTcpClient], ModbusPDU]) -> ModbusPDU:
        client = self._client
        if client is None:
            raise self._error(f"{self} is not connected: connect again before using it")
        try:
            self._must_be_quiet(client)
            reply = request(client)
        except (ModbusException, OSError) as error:
            self.close()
            raise self._error(
                f"{self} gave no valid answer for {what} within {self._timeout_s * 1_000:g} ms ({error}): "
                f"check power, cable and unit number"
            ) from error
        if reply.isError():
            self.close()
            raise self._error(f"{self} refuses {what} ({reply}): check the address and the unit number")
        return reply

    def _must_be_quiet(self, client: ModbusTcpClient) -> None:
        """Between requests a connection holds no bytes; an end of file means that the device left."""
        if client.socket is None:
            raise ConnectionError("the connection is closed")
        try:
            waiting = client.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        raise ConnectionError("bytes that nobody asked for" if waiting else "the device closed the connection")

    def _one_bit(self, reply: ModbusPDU, function: int) -> bool:
        """The bit of a reply that carries exactly one byte of bits for the request just sent."""
        whole = len(self._received) == _ONE_BIT_REPLY and self._received[:4] == self._sent[:4]
        if reply.function_code != function or len(reply.bits) != 8 or not whole:
            self.close()
            raise self._error(
                f"{self} answered something else than it was asked ({self._received.hex()}): check the device"
            )
        return bool(reply.bits[0])
