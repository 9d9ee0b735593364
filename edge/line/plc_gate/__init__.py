"""A PLC that owns the gate: it is told a word for each part, times the kick itself, and says what it did."""

from collections.abc import Sequence
from typing import Protocol

# The ways to a PLC's registers, by `gate.link`.
TABLE = {
    "modbus": "edge.line.plc_gate.modbus:ModbusRegisters",
}


class PlcRegisters(Protocol):
    """The registers of a PLC, counted from where the line's block begins. Built from its options and a Clock, for one
    thread. Every call is bounded in time and not tried again; all but `close` raise InputError, and after that nothing
    works until `connect`.
    """

    def connect(self) -> None:
        """Open afresh."""
        ...

    def write(self, first: int, values: Sequence[int]) -> None:
        """Write registers from `first` on; returns when the PLC confirmed them."""
        ...

    def read(self, first: int, count: int) -> Sequence[int]:
        """Read registers from `first` on, at once."""
        ...

    def close(self) -> None:
        """Release the connection; never raises."""
        ...
