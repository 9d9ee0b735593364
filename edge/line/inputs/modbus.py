"""A discrete input of a Modbus device, polled; an edge is known as well as the polls around it."""

from __future__ import annotations

from edge import options
from edge.clock import MS, Clock
from edge.errors import InputError
from edge.line.inputs.debounce import Change, Debounce
from edge.line.inputs.polling import Polled
from edge.line.modbus_link import ModbusLink
from edge.line.modbus_tcp import tcp_link
from edge.records import Edge, TimeSource


class PolledInput(Polled):
    """Polls every `poll_ms` while `wait` runs; a level shorter than the poll interval can be missed. See `Polled`.

    An edge lies between the start of the last poll with the old level and the end of the first one with the new:
    `at_ns` is the middle of that window and `err_ns` half of it, so half the poll interval and half a round trip,
    as measured, more where polls were late or the contact bounced. The device's own input filter is not in it.
    """

    def __init__(
        self, link: ModbusLink, options: options.ModbusInput | options.ModbusRtuInput, clock: Clock
    ) -> None:
        super().__init__(link, options.poll_ms, clock)
        self._address = options.input
        self._invert = options.invert
        self._debounce_ns = round(options.debounce_ms * MS)
        self._debounce = Debounce(False, 0, self._debounce_ns)
        self._rises = 0

    def level(self) -> bool:
        """The debounced level as last read."""
        return self._debounce.level

    def _begin(self) -> None:
        level, from_ns, _ = self._ask(self._read)
        self._debounce = Debounce(level, from_ns, self._debounce_ns)

    def _look(self) -> Edge | None:
        change = self._debounce.feed(*self._ask(self._read))
        return None if change is None else self._edge(change)

    def _read(self) -> bool:
        return self._link.read_input(self._address) != self._invert

    def _edge(self, change: Change) -> Edge:
        self._rises += change.level
        at_ns = (change.from_ns + change.to_ns) // 2
        err_ns = (change.to_ns - change.from_ns + 1) // 2
        return Edge(change.level, at_ns, err_ns, TimeSource.POLL, self._rises)


class ModbusInput(PolledInput):
    """Over Modbus TCP, on a connection of its own."""

    def __init__(self, options: options.ModbusInput, clock: Clock) -> None:
        link = tcp_link(options.host, options.port, options.device_id, options.timeout_ms, clock, InputError)
        super().__init__(link, options, clock)
