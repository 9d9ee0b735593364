"""Writes the station's words into the holding registers of a PLC that is a Modbus TCP server, and reads the PLC's."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import suppress

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from edge.clock import Clock
from edge.errors import PlcError
from edge.options import ModbusClientPlc
from edge.plc import Refused
from edge.plc.table import BASES, LENGTH, Orders, Result, Status, blocks_from_registers, to_registers
from edge.plc.written import Written

# Every failure is raised as a typed error with its cause; the library's own lines would say it twice.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


class ModbusClientLink:
    """Each block is one request. After any failure the connection is closed: its late bytes answer nothing."""

    def __init__(self, options: ModbusClientPlc, _clock: Clock, _refused: Refused) -> None:
        self._options = options
        self._timeout_s = options.timeout_ms / 1_000
        self._client: ModbusTcpClient | None = None
        self._written = Written()

    def __str__(self) -> str:
        return f"PLC {self._options.host}:{self._options.port} unit {self._options.device_id} (Modbus)"

    def connect(self) -> None:
        """Connect to the PLC anew. Raises PlcError."""
        self.close()
        client = ModbusTcpClient(self._options.host, port=self._options.port, timeout=self._timeout_s, retries=0)
        try:
            connected = client.connect()  # type: ignore[no-untyped-call]
        except OSError:
            connected = False
        if not connected or client.socket is None:
            raise PlcError(
                f"{self} accepts no connection within {self._options.timeout_ms:g} ms: check power, cable, address, "
                "and that its Modbus server runs"
            )
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        self._written = Written()
        self.publish(Result())  # the last one of an earlier run goes

    def publish(self, result: Result) -> None:
        self._write(result)

    def heartbeat(self, status: Status) -> None:
        self._write(status)

    def poll(self) -> Orders:
        begin, unit = self._options.address, self._options.device_id
        reply = self._ask(lambda client: client.read_holding_registers(begin, count=LENGTH, device_id=unit))
        try:
            status, result, orders = blocks_from_registers(reply.registers)
            self._written.compare(str(self), status, result)
        except (ValueError, PlcError) as error:
            self.close()
            raise PlcError(f"{self} answered wrong: {error}") from error
        return orders

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(OSError):
                client.close()  # type: ignore[no-untyped-call]

    def _write(self, block: Status | Result) -> None:
        address, registers = self._options.address + BASES[type(block)], to_registers(block)
        reply = self._ask(
            lambda client: client.write_registers(address, registers, device_id=self._options.device_id)
        )
        if reply.address != address or reply.count != len(registers):
            self._fail(f"{self} confirmed {reply.count} registers from {reply.address}, not what was written")
        self._written.note(block)

    def _ask(self, request: Callable[[ModbusTcpClient], ModbusPDU]) -> ModbusPDU:
        client = self._client
        if client is None:
            raise PlcError(f"{self} is not connected: connect first")
        try:
            reply = request(client)
        except (ModbusException, OSError) as error:
            self.close()
            raise PlcError(
                f"{self} gave no valid answer within {self._options.timeout_ms:g} ms ({error}): is it in RUN, is the "
                "cable in?"
            ) from error
        if reply.isError():
            self._fail(
                f"{self} refused with exception {reply.exception_code}: does it have holding registers "
                f"{self._options.address} to {self._options.address + LENGTH - 1}?"
            )
        return reply

    def _fail(self, words: str) -> None:
        self.close()
        raise PlcError(words)
