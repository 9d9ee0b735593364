"""A coil on a serial Modbus bus; gate and permit may be two coils of one bus."""

from __future__ import annotations

from edge import options
from edge.clock import Clock
from edge.errors import OutputError
from edge.line.modbus_rtu import rtu_link
from edge.line.outputs.level import LevelOutput
from edge.line.outputs.modbus import Coil


class ModbusRtuOutput(LevelOutput):
    """`write` returns when the echo arrived; it takes at most twice `timeout_ms` (a turn on the bus and an answer),
    three times that for a dribbling peer. A failure on the bus loses all its outputs."""

    def __init__(self, options: options.ModbusRtuOutput, clock: Clock) -> None:
        link = rtu_link(options, options.timeout_ms, clock, OutputError, polls=False)
        super().__init__(Coil(link, options), f"coil {options.coil} at {options.port}", options.invert)
