"""A discrete input polled over a serial Modbus bus."""

from __future__ import annotations

from edge import options
from edge.clock import Clock
from edge.errors import InputError
from edge.line.inputs.modbus import PolledInput
from edge.line.modbus_rtu import rtu_link


class ModbusRtuInput(PolledInput):
    """On a bus with outputs a poll gives way to them; the window of an edge then widens by what they took."""

    def __init__(self, options: options.ModbusRtuInput, clock: Clock) -> None:
        super().__init__(rtu_link(options, options.timeout_ms, clock, InputError, polls=True), options, clock)
