"""Carries Modbus requests over one TCP connection for one job, so that no slow read can hold up a write."""

from __future__ import annotations

import socket
import struct
from contextlib import AbstractContextManager, nullcontext, suppress

from pymodbus.client import ModbusTcpClient

from edge.clock import Clock
from edge.errors import DeviceError
from edge.line.modbus_link import Exchange, ModbusLink, Request

# Closing discards what the kernel still holds: a command that waits for a cable must not arrive after it is back.
_DISCARD = struct.pack("ii", 1, 0)  # struct linger: on, 0 s
# A dead peer is noticed by the next timeout; keepalive drops a connection that no request uses for a while.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 2), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3))


def tcp_link(
    host: str, port: int, device_id: int, timeout_ms: float, clock: Clock, error: type[DeviceError]
) -> ModbusLink:
    """A link to a unit behind this address, on a connection of its own."""
    return ModbusLink(TcpCarrier(host, port, timeout_ms, error), device_id, clock, error)


class TcpCarrier:
    """See the Protocol in modbus_link.py."""

    def __init__(self, host: str, port: int, timeout_ms: float, error: type[DeviceError]) -> None:
        self.timeout_s = timeout_ms / 1_000
        self._host = host
        self._port = port
        self._error = error
        self._address: str | None = None
        self._client: ModbusTcpClient | None = None
        self._sent = b""
        self._received = b""

    def __str__(self) -> str:
        return f"{self._host}:{self._port}"

    def open(self) -> None:
        """Open a fresh connection within the timeout. A host name is resolved the first time only, within the
        resolver's own limit; give an address where that matters."""
        client = ModbusTcpClient(
            self._resolved(), port=self._port, timeout=self.timeout_s, retries=0, trace_packet=self._trace
        )
        if not client.connect() or client.socket is None:  # type: ignore[no-untyped-call]
            raise self._error(
                f"Modbus device {self} does not accept a connection within {self.timeout_s * 1_000:g} ms: check "
                f"power, cable, address, and that it allows one more client"
            )
        client.socket.setblocking(False)  # as pymodbus does from its first reply on; it waits with select
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            client.socket.setsockopt(socket.IPPROTO_TCP, option, value)
        self._client = client

    def turn(self) -> AbstractContextManager[None]:
        return nullcontext()

    def exchange(self, request: Request) -> Exchange:
        client = self._client
        if client is None or client.socket is None:
            raise ConnectionError("the connection is closed")
        self._must_be_quiet(client.socket)
        return Exchange(request(client), self._sent, self._received)

    def frame(self, data: bytes) -> tuple[bytes, bytes]:
        """The header is transaction, protocol, length, unit."""
        return data[:4] + data[6:7], data[7:]

    def interrupt(self) -> None:
        client = self._client
        connection = client.socket if client is not None else None
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def fail(self) -> None:
        self.close()

    def close(self) -> None:
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

    def _must_be_quiet(self, connection: socket.socket) -> None:
        """Between requests a connection holds no bytes; an end of file means that the device left."""
        try:
            waiting = connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        raise ConnectionError("bytes that nobody asked for" if waiting else "the device closed the connection")
