"""A counter of parts in a register of a Modbus TCP device, polled: a part that is there for less than a poll counts."""

from __future__ import annotations

from edge import options
from edge.clock import Clock
from edge.errors import InputError
from edge.line.inputs.polling import Polled
from edge.line.modbus_tcp import tcp_link
from edge.records import Edge, TimeSource

_MODULUS = 1 << 16
_BACK = _MODULUS // 2  # a step of so many is one backwards


class ModbusCounterInput(Polled):
    """Each count is a part that came between two polls: it rises in the middle of that time, give or take half of it,
    and falls at once, as a counter does not tell how long a part is. Polls as `Polled` does.

    Two parts between two polls cannot be told apart: one edge comes and its count jumps, so that nobody trusts what
    lies between. A counter that runs backwards began anew: the input is lost and has to be opened again.
    """

    def __init__(self, options: options.ModbusCounterInput, clock: Clock) -> None:
        link = tcp_link(options.host, options.port, options.device_id, options.timeout_ms, clock, InputError)
        super().__init__(link, options.poll_ms, clock)
        self._register = options.counter
        self._is_holding = options.counter_kind == "holding"
        self._counter = 0
        self._rises = 0
        self._asked_ns = 0
        self._fall: Edge | None = None

    def level(self) -> bool:
        """A counter has none: always False."""
        return False

    def wait(self, timeout_s: float) -> Edge | None:
        """The next edge; see the Protocol."""
        fall, self._fall = self._fall, None
        return fall or super().wait(timeout_s)

    def _begin(self) -> None:
        self._fall = None
        self._counter, self._asked_ns, _ = self._ask(self._read)

    def _look(self) -> Edge | None:
        since_ns = self._asked_ns
        counter, self._asked_ns, to_ns = self._ask(self._read)
        step = (counter - self._counter) % _MODULUS
        if step >= _BACK:
            raise InputError(
                f"{self._link} counted {self._counter} parts and now {counter}: its counter began anew, parts may have "
                "passed unseen; leave the counter to this station"
            )
        self._counter = counter
        if not step:
            return None
        self._rises += step
        err_ns = (to_ns - since_ns + 1) // 2
        self._fall = Edge(False, to_ns, err_ns, TimeSource.POLL, self._rises)
        return Edge(True, (since_ns + to_ns) // 2, err_ns, TimeSource.POLL, self._rises)

    def _read(self) -> int:
        ask = self._link.read_holding if self._is_holding else self._link.read_input_registers
        return ask(self._register)[0]
