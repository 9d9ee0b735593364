"""A discrete input of a Modbus device, polled; an edge is known as well as the polls around it."""

from __future__ import annotations

import threading

from edge import options
from edge.clock import MS, SECOND, Clock
from edge.errors import InputError
from edge.line.inputs.debounce import Change, Debounce
from edge.line.inputs.pacing import Pacer
from edge.line.modbus_link import ModbusLink
from edge.line.modbus_tcp import tcp_link
from edge.records import Edge, TimeSource

_GAP_IN_POLLS = 10


class PolledInput:
    """Polls every `poll_ms` while `wait` runs; a level shorter than the poll interval can be missed.

    Two polls further apart than ten intervals (a stopped process, a resent packet) are a lost device: a part may
    have passed in between, so the input must be opened again and the zone purged.

    An edge lies between the start of the last poll with the old level and the end of the first one with the new:
    `at_ns` is the middle of that window and `err_ns` half of it, so half the poll interval and half a round trip,
    as measured, more where polls were late or the contact bounced. The device's own input filter is not in it.
    `wait` and `close` may run in two threads. `wait` overruns its timeout by one request at most (`timeout_ms`).
    """

    def __init__(
        self, link: ModbusLink, options: options.ModbusInput | options.ModbusRtuInput, clock: Clock
    ) -> None:
        self._address = options.input
        self._invert = options.invert
        self._poll_ns = round(options.poll_ms * MS)
        self._debounce_ns = round(options.debounce_ms * MS)
        self._clock = clock
        self._pacer = Pacer(clock)
        self._link = link
        self._in_use = threading.Lock()
        self._debounce = Debounce(False, 0, self._debounce_ns)
        self._next_poll_ns = 0
        self._polled_ns = 0  # when the last poll began
        self._rises = 0

    def open(self) -> None:
        """Connect and read the level. Edges that came before are not reported. Raises InputError."""
        self._link.connect()
        level, from_ns, _ = self._sample()
        self._debounce = Debounce(level, from_ns, self._debounce_ns)
        self._pacer.start()

    def wait(self, timeout_s: float) -> Edge | None:
        """The next debounced edge; see the Protocol. After an InputError it has to be opened again."""
        if self._pacer.stopped:
            raise InputError(f"{self._link} is not open: open the input before waiting")
        until_ns = self._clock.now_ns() + round(timeout_s * SECOND)
        while self._pacer.sleep_until(min(self._next_poll_ns, until_ns)):
            if self._clock.now_ns() >= self._next_poll_ns:
                change = self._poll()
                if change is not None:
                    return self._edge(change)
            if self._clock.now_ns() >= until_ns:
                return None
        return None

    def level(self) -> bool:
        """The debounced level as last read."""
        return self._debounce.level

    def close(self) -> None:
        """Wakes a waiting `wait` at once; may be called twice."""
        self._pacer.stop()
        self._link.interrupt()
        with self._in_use:
            self._link.close()

    def _poll(self) -> Change | None:
        with self._in_use:
            try:
                before_ns = self._polled_ns
                level, from_ns, to_ns = self._sample()
                self._must_be_gapless(before_ns, to_ns)
                return self._debounce.feed(level, from_ns, to_ns)
            except InputError:
                if self._pacer.stopped:  # closed by another thread, not lost
                    return None
                self._pacer.stop()
                raise

    def _must_be_gapless(self, before_ns: int, to_ns: int) -> None:
        if to_ns - before_ns > _GAP_IN_POLLS * self._poll_ns:
            raise InputError(
                f"{self._link} was not polled for {(to_ns - before_ns) // MS} ms, parts may have passed unseen: "
                f"look for network trouble, or lengthen trigger.poll_ms where the device is slow"
            )

    def _sample(self) -> tuple[bool, int, int]:
        from_ns = self._polled_ns = self._clock.now_ns()
        self._next_poll_ns = from_ns + self._poll_ns
        level = self._link.read_input(self._address) != self._invert
        return level, from_ns, self._clock.now_ns()

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
