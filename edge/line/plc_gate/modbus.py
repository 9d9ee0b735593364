"""The holding registers of a PLC that is a Modbus TCP server, on a connection of the gate's own."""

from __future__ import annotations

from collections.abc import Sequence

from edge.clock import Clock
from edge.errors import InputError, OutputError
from edge.line.modbus_tcp import tcp_link
from edge.line.outputs.claim import Claim
from edge.options import PlcGate


class ModbusRegisters:
    """See the Protocol. One process of this machine at a time has these registers."""

    def __init__(self, options: PlcGate, clock: Clock) -> None:
        self._link = tcp_link(options.host, options.port, options.device_id, options.timeout_ms, clock, InputError)
        self._address = options.address
        self._claim = Claim(f"modbus {options.host}:{options.port}/{options.device_id} gate {options.address}")

    def __str__(self) -> str:
        return str(self._link)

    def connect(self) -> None:
        try:
            self._claim.take()
        except OutputError as error:
            raise InputError(str(error)) from error
        self._link.connect()

    def write(self, first: int, values: Sequence[int]) -> None:
        self._link.write_registers(self._address + first, values)

    def read(self, first: int, count: int) -> Sequence[int]:
        return self._link.read_holding(self._address + first, count)

    def close(self) -> None:
        self._link.close()
        self._claim.give_back()
