"""One coil over Modbus TCP: every write is confirmed by its own echo, and read back when it is armed."""

from __future__ import annotations

from edge import options
from edge.clock import Clock
from edge.errors import OutputError
from edge.line.modbus_tcp import ModbusLink
from edge.line.outputs.level import LevelOutput


class Coil:
    """A coil on a connection of its own, so that no slow read can hold up a write."""

    def __init__(self, options: options.ModbusOutput, clock: Clock) -> None:
        self._address = options.coil
        self._link = ModbusLink(
            options.host, options.port, options.device_id, options.timeout_ms, clock, OutputError
        )

    def connect(self) -> None:
        self._link.connect()

    def put(self, level: bool) -> int:
        return self._link.write_coil(self._address, level)

    def get(self) -> bool | None:
        return self._link.read_coil(self._address)

    def drop(self) -> None:
        self._link.close()


class ModbusOutput(LevelOutput):
    """`write` returns when the echo arrived; it takes at most `timeout_ms`, twice that for a dribbling peer.
    Another master that writes the same coil is seen by `read_back` only: the wire cannot refuse it."""

    def __init__(self, options: options.ModbusOutput, clock: Clock) -> None:
        name = f"coil {options.coil} of {options.host}:{options.port}"
        super().__init__(Coil(options, clock), name, options.invert)
