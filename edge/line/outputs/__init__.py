"""Reject gates and line permits, chosen by kind."""

from typing import Protocol

TABLE = {
    "memory": "edge.line.outputs.memory:MemoryOutput",
    "modbus": "edge.line.outputs.modbus:ModbusOutput",
    "modbus_rtu": "edge.line.outputs.modbus_rtu:ModbusRtuOutput",
    "gpio": "edge.line.outputs.gpio:GpioOutput",
    "serial_bytes": "edge.line.outputs.serial_bytes:SerialBytesOutput",
    "serial_line": "edge.line.outputs.serial_line:SerialLineOutput",
}


class Output(Protocol):
    """One digital output: a level, never a toggle; writing the same level again is harmless.

    Built from its options model and a Clock; not usable before `arm`. `active` is the commanded sense
    (after `invert`): True actuates the gate, or permits the belt.
    """

    def arm(self) -> None:
        """Open the device, write the rest level and read it back where the wire can. Raises OutputError."""
        ...

    def write(self, active: bool) -> int:
        """Command a level; bounded in time, no retries.

        Returns when the wire confirmed it (CLOCK_MONOTONIC ns), 0 where it cannot. Raises OutputError when
        the write failed or the confirmation does not match: the level is then unknown.
        """
        ...

    def rest(self) -> None:
        """Command the inactive level, trying to reopen a lost device once. Raises OutputError."""
        ...

    def close(self) -> None:
        """Go to rest as well as it can and release the device; never raises, may be called twice."""
        ...
