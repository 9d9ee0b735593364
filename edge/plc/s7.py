"""Writes the station's words into a data block of a Siemens S7 controller, and reads the PLC's from it (PUT/GET)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from snap7 import Client
from snap7.connection import ISOTCPConnection
from snap7.error import S7ConnectionError, S7Error, S7TimeoutError

from edge.clock import SECOND, Clock
from edge.errors import PlcError
from edge.options import S7Plc
from edge.plc import Refused
from edge.plc.table import BASES, LENGTH, Orders, Result, Status, blocks_from_bytes, to_bytes
from edge.plc.written import Written

_Value = TypeVar("_Value")

# Every failure is raised as a typed error with its cause; the library's own lines would say it twice.
logging.getLogger("snap7").setLevel(logging.CRITICAL)


class S7Link:
    """Each block is one request. After any failure the connection is closed."""

    def __init__(self, options: S7Plc, clock: Clock, _refused: Refused) -> None:
        self._options = options
        self._clock = clock
        self._client: _BoundedClient | None = None
        self._written = Written()

    def __str__(self) -> str:
        return f"PLC {self._options.host}:{self._options.port} (S7, DB{self._options.db})"

    def connect(self) -> None:
        """Connect to the PLC anew. Raises PlcError."""
        self.close()
        options = self._options
        client = _BoundedClient(self._clock, options.timeout_ms / 1_000)
        try:
            client.connect(options.host, options.rack, options.slot, options.port)
        except (S7Error, OSError) as error:
            raise PlcError(
                f"{self} accepts no connection ({error}): check power, cable, address, rack and slot, and that "
                "PUT/GET is permitted"
            ) from error
        self._client = client
        self._written = Written()
        self.publish(Result())  # the last one of an earlier run goes

    def publish(self, result: Result) -> None:
        self._write(result)

    def heartbeat(self, status: Status) -> None:
        self._write(status)

    def poll(self) -> Orders:
        data = bytes(self._ask(lambda client: client.db_read(self._options.db, self._options.start, 2 * LENGTH)))
        try:
            status, result, orders = blocks_from_bytes(data)
            self._written.compare(str(self), status, result)
        except (ValueError, PlcError) as error:
            self.close()
            raise PlcError(f"{self} answered wrong: {error}") from error
        return orders

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(S7Error, OSError):
                client.disconnect()

    def _write(self, block: Status | Result) -> None:
        start = self._options.start + 2 * BASES[type(block)]
        data = bytearray(to_bytes(block))
        self._ask(lambda client: client.db_write(self._options.db, start, data))
        self._written.note(block)

    def _ask(self, request: Callable[[_BoundedClient], _Value]) -> _Value:
        if self._client is None:
            raise PlcError(f"{self} is not connected: connect first")
        try:
            return request(self._client)
        except (S7Error, OSError, ValueError, IndexError, KeyError) as error:  # the last three: a malformed answer
            self.close()
            raise PlcError(
                f"{self} gave no valid answer within {self._options.timeout_ms:g} ms ({error}): is it in RUN, is the "
                f"cable in, has DB{self._options.db} {self._options.start + 2 * LENGTH} bytes, not optimized, PUT/GET "
                "permitted?"
            ) from error


class _BoundedConnection(ISOTCPConnection):
    """The library bounds each piece of an answer; this one bounds the answer."""

    clock: Clock
    until_ns: int

    def bound(self, clock: Clock, timeout_s: float) -> None:
        """From now on, receiving fails after so long."""
        self.clock, self.until_ns = clock, clock.now_ns() + round(timeout_s * SECOND)

    def _recv_exact(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            left_s = (self.until_ns - self.clock.now_ns()) / SECOND
            if self.socket is None or left_s <= 0:
                self.connected = False
                raise S7TimeoutError("no whole answer in time")
            self.socket.settimeout(left_s)
            try:
                piece = self.socket.recv(size - len(data))
            except TimeoutError as error:
                self.connected = False
                raise S7TimeoutError("no answer in time") from error
            if not piece:
                self.connected = False
                raise S7ConnectionError("the connection was closed")
            data += piece
        return bytes(data)


class _BoundedClient(Client):
    """The library waits 5 s for a connection and for each answer, whatever one would like."""

    def __init__(self, clock: Clock, timeout_s: float) -> None:
        super().__init__()
        self._clock = clock
        self._timeout_s = timeout_s

    def _connect(self, address: str, rack: int, slot: int, tcp_port: int) -> Client:
        self.host, self.port, self.rack, self.slot = address, tcp_port, rack, slot
        connection = _BoundedConnection(address, tcp_port, self.local_tsap, self.remote_tsap)
        connection.bound(self._clock, self._timeout_s)
        self.connection = connection
        try:
            connection.connect(self._timeout_s)
            self._setup_communication()
        except BaseException:
            self.disconnect()
            raise
        self.connected = True
        return self

    def _send_data(self, conn: ISOTCPConnection, request: bytes) -> None:
        assert isinstance(conn, _BoundedConnection)
        conn.bound(self._clock, self._timeout_s)
        super()._send_data(conn, request)
