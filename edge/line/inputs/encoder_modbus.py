"""A counter of the belt's travel in the registers of a Modbus TCP device."""

from __future__ import annotations

from edge import options
from edge.clock import Clock
from edge.errors import InputError
from edge.line.modbus_tcp import tcp_link


class ModbusEncoder:
    """Reads one register (16 bits) or two (24 and 32 bits) in one request, so that a count is never torn in between.

    The counter stood at its value at some time during the request; the middle of it is taken.
    """

    def __init__(self, options: options.ModbusEncoder, clock: Clock) -> None:
        self._options = options
        self._registers = 1 if options.bits == 16 else 2
        self._modulus = 1 << options.bits
        self._clock = clock
        self._link = tcp_link(options.host, options.port, options.device_id, options.timeout_ms, clock, InputError)

    def open(self) -> None:
        """Connect within the timeout. Raises InputError."""
        self._link.connect()

    def read(self) -> tuple[int, int]:
        """The counter and its instant; see the Protocol. Raises InputError also for a value wider than `bits`."""
        chosen = self._options
        ask = self._link.read_holding if chosen.counter_kind == "holding" else self._link.read_input_registers
        from_ns = self._clock.now_ns()
        words = ask(chosen.counter, self._registers)
        at_ns = (from_ns + self._clock.now_ns()) // 2
        if chosen.word_order == "little":
            words = words[::-1]
        counter = 0
        for word in words:
            counter = counter << 16 | word
        if counter >= self._modulus:
            raise InputError(
                f"{self._link} counts to {counter}, beyond {chosen.bits} bits: correct encoder.bits or word_order"
            )
        return counter, at_ns

    def close(self) -> None:
        """Ends a waiting `read`; may be called twice."""
        self._link.interrupt()
        self._link.close()
