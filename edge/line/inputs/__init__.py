"""Triggers and sensors of the line, chosen by kind."""

from typing import Protocol

from edge.records import Edge

TABLE = {
    "simulated": "edge.line.inputs.simulated:SimulatedInput",
    "modbus": "edge.line.inputs.modbus:ModbusInput",
    "modbus_counter": "edge.line.inputs.modbus_counter:ModbusCounterInput",
    "modbus_rtu": "edge.line.inputs.modbus_rtu:ModbusRtuInput",
    "gpio": "edge.line.inputs.gpio:GpioInput",
    "serial_line": "edge.line.inputs.serial_line:SerialLineInput",
}


ENCODERS = {
    "simulated": "edge.line.inputs.encoder_simulated:SimulatedEncoder",
    "modbus": "edge.line.inputs.encoder_modbus:ModbusEncoder",
}


class Input(Protocol):
    """One digital input. Built from its options model and a Clock; not usable before `open`."""

    def open(self) -> None:
        """Connect; bounded in time. Raises InputError."""
        ...

    def wait(self, timeout_s: float) -> Edge | None:
        """The next debounced edge, or None after `timeout_s`. Raises InputError when the device is lost."""
        ...

    def level(self) -> bool:
        """The level as last read, True = active."""
        ...

    def close(self) -> None:
        """Release the device; never raises, may be called twice, wakes a waiting `wait`."""
        ...


class Position(Protocol):
    """A counter of the belt's travel. Built from its options model and a Clock; not usable before `open`."""

    def open(self) -> None:
        """Connect; bounded in time. Raises InputError."""
        ...

    def read(self) -> tuple[int, int]:
        """The counter, 0 to 2**bits - 1, and the instant it stood there (CLOCK_MONOTONIC ns). Raises InputError when
        the device is lost."""
        ...

    def close(self) -> None:
        """Release the device; never raises, may be called twice, ends a waiting `read`."""
        ...
