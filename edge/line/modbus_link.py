"""What the line says to a Modbus device and what it believes of the answers: nothing that does not answer the
request just sent. How the bytes travel is the carrier's business (modbus_tcp.py, modbus_rtu.py)."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from edge.clock import Clock
from edge.errors import DeviceError

# Every failure is raised as a typed error with its cause; the library's own lines would say it twice.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

Client = ModbusClientMixin[ModbusPDU]
Request = Callable[[Client], ModbusPDU]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer as they were on the wire; `reply` is what pymodbus made of the answer."""

    reply: ModbusPDU
    sent: bytes
    received: bytes


class Carrier(Protocol):
    """The way to a Modbus device. `timeout_s` bounds a call, twice that where the peer dribbles bytes."""

    timeout_s: float

    def open(self) -> None:
        """Get ready for requests. Raises the room's DeviceError and leaves nothing open then."""
        ...

    def turn(self) -> AbstractContextManager[None]:
        """Held for one request with its check, while open. Raises TimeoutError where others hold it too long."""
        ...

    def exchange(self, request: Request) -> Exchange:
        """Send once, take the answer. Raises ModbusException or OSError; the carrier is then to be dropped."""
        ...

    def frame(self, data: bytes) -> tuple[bytes, bytes]:
        """(what a request and its answer have in common, the function code with its data)."""
        ...

    def interrupt(self) -> None:
        """Make a call that waits in another thread end early, where the wire can; `drop` still has to follow."""
        ...

    def fail(self) -> None:
        """Give up what was open, with whatever it still holds; never raises."""
        ...

    def close(self) -> None:
        """Release what is open, a working one when its last command has left; never raises."""
        ...


class ModbusLink:
    """A client of one device. No retries: a command is sent once.

    After any failure the carrier is given up: its late bytes can never answer a later request. It stays closed
    until `connect`. All failures are raised as `error`, the room's class. For one thread, but for `interrupt`.
    """

    def __init__(self, carrier: Carrier, device_id: int, clock: Clock, error: type[DeviceError]) -> None:
        self._carrier = carrier
        self._device_id = device_id
        self._clock = clock
        self._error = error
        self._open = False

    def __str__(self) -> str:
        return f"Modbus device {self._carrier} unit {self._device_id}"

    def connect(self) -> None:
        """Open afresh; bounded in time."""
        self.close()
        self._carrier.open()
        self._open = True

    def write_coil(self, address: int, level: bool) -> int:
        """Write one coil; returns when its echo arrived (CLOCK_MONOTONIC ns)."""
        return self._write(
            f"coil {address}", lambda client: client.write_coil(address, level, device_id=self._device_id)
        )

    def write_register(self, address: int, value: int) -> int:
        """Write one holding register (0 to 65535); returns when its echo arrived (CLOCK_MONOTONIC ns)."""
        return self._write(
            f"register {address}", lambda client: client.write_register(address, value, device_id=self._device_id)
        )

    def write_registers(self, address: int, values: Sequence[int]) -> int:
        """Write up to 123 holding registers at once; returns when they were confirmed (CLOCK_MONOTONIC ns)."""
        what = f"registers {address} to {address + len(values) - 1}"
        with self._turn():
            exchange = self._ask(
                what, lambda client: client.write_registers(address, list(values), device_id=self._device_id)
            )
            confirmed_ns = self._clock.now_ns()
            asked, request = self._carrier.frame(exchange.sent)
            # The reply has the request's function, address and count, and no values.
            self._must_be(exchange, asked, request[:5], what)
        return confirmed_ns

    def read_coil(self, address: int) -> bool:
        """The level of one coil as the device reports it."""
        what = f"coil {address}"
        data = self._read(0x01, 1, what, lambda client: client.read_coils(address, device_id=self._device_id))
        return bool(data[0] & 1)

    def read_input(self, address: int) -> bool:
        """The level of one discrete input."""
        what = f"input {address}"
        data = self._read(
            0x02, 1, what, lambda client: client.read_discrete_inputs(address, device_id=self._device_id)
        )
        return bool(data[0] & 1)

    def read_holding(self, address: int, count: int = 1) -> tuple[int, ...]:
        """The values of up to 125 holding registers (0 to 65535 each)."""
        what = f"register {address}"
        data = self._read(
            0x03,
            2 * count,
            what,
            lambda client: client.read_holding_registers(address, count=count, device_id=self._device_id),
        )
        return struct.unpack(f">{count}H", data)

    def read_input_registers(self, address: int, count: int = 1) -> tuple[int, ...]:
        """The values of up to 125 input registers (0 to 65535 each)."""
        what = f"input register {address}"
        data = self._read(
            0x04,
            2 * count,
            what,
            lambda client: client.read_input_registers(address, count=count, device_id=self._device_id),
        )
        return struct.unpack(f">{count}H", data)

    def interrupt(self) -> None:
        """Make a call that waits in another thread fail early, where the wire can; `close` still has to follow."""
        self._carrier.interrupt()

    def close(self) -> None:
        """Release the device; never raises."""
        self._open = False
        self._carrier.close()

    def _write(self, what: str, request: Request) -> int:
        with self._turn():
            exchange = self._ask(what, request)
            confirmed_ns = self._clock.now_ns()
            # The reply to these writes is the request, byte for byte: transaction, unit, address and value.
            if exchange.received != exchange.sent:
                self._fail()
                raise self._error(
                    f"{self} echoed another command than it was sent (sent {exchange.sent.hex()}, got "
                    f"{exchange.received.hex()}), {what} is unknown: look for a gateway or a second master"
                )
        return confirmed_ns

    def _must_be(self, exchange: Exchange, asked: bytes, expected: bytes, what: str) -> None:
        """Fail for a reply that belongs to another request."""
        if self._carrier.frame(exchange.received) != (asked, expected):
            self._fail()
            raise self._error(
                f"{self} confirmed something else than it was sent ({exchange.received.hex()}), {what} are unknown: "
                f"look for a gateway or a second master"
            )

    def _read(self, function: int, size: int, what: str, request: Request) -> bytes:
        """The `size` data bytes of a reply that is nothing else: its function, its byte count, its length."""
        with self._turn():
            exchange = self._ask(what, request)
            asked, _ = self._carrier.frame(exchange.sent)
            answered, reply = self._carrier.frame(exchange.received)
            if answered != asked or len(reply) != 2 + size or reply[:2] != bytes((function, size)):
                self._fail()
                raise self._error(
                    f"{self} answered something else than it was asked ({exchange.received.hex()}): check the device"
                )
        return reply[2:]

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._open:
            raise self._error(f"{self} is not connected: connect again before using it")
        with ExitStack() as stack:
            try:
                stack.enter_context(self._carrier.turn())
            except TimeoutError as error:
                raise self._error(
                    f"{self} could not be asked within {self._carrier.timeout_s * 1_000:g} ms, others used its bus "
                    f"all the time: poll less often, or give it a bus of its own"
                ) from error
            yield

    def _ask(self, what: str, request: Request) -> Exchange:
        try:
            exchange = self._carrier.exchange(request)
        except (ModbusException, OSError) as error:
            self._fail()
            raise self._error(
                f"{self} gave no valid answer for {what} within {self._carrier.timeout_s * 1_000:g} ms ({error}): "
                f"check power, cable and unit number"
            ) from error
        if exchange.reply.isError():
            self._fail()
            raise self._error(f"{self} refuses {what} ({exchange.reply}): check the address and the unit number")
        return exchange

    def _fail(self) -> None:
        self._open = False
        self._carrier.fail()
