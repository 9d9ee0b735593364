"""Many registers in one Modbus write: on a real device, and believed only when the reply confirms this very write."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest
from pymodbus.pdu.register_message import WriteMultipleRegistersResponse

from edge.clock import SystemClock
from edge.errors import InputError
from edge.line.modbus_link import Exchange, ModbusLink, Request
from edge.line.modbus_tcp import TcpCarrier, tcp_link
from tests.peers import ModbusServer

VALUES = [0x0102, 0xFFFF, 0, 7]


@pytest.fixture
def device() -> Iterator[ModbusServer]:
    with ModbusServer() as server:
        yield server


def test_what_was_written_stands_in_the_device(device: ModbusServer) -> None:
    link = tcp_link("127.0.0.1", device.port, 1, 1_000, SystemClock(), InputError)
    link.connect()
    link.write_registers(20, VALUES)
    assert list(link.read_holding(20, 4)) == VALUES
    device.misbehave("silent")
    with pytest.raises(InputError, match="no valid answer for registers 20 to 23"):
        link.write_registers(20, VALUES)
    with pytest.raises(InputError, match="not connected"):
        link.write_registers(20, VALUES)
    link.close()


class Canned:
    """A carrier whose device answers what a test likes."""

    timeout_s = 1.0

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.frame = TcpCarrier("", 0, 1, InputError).frame

    def open(self) -> None: ...

    def turn(self) -> AbstractContextManager[None]:
        return nullcontext()

    def exchange(self, _request: Request) -> Exchange:
        return Exchange(WriteMultipleRegistersResponse(address=20, count=4), SENT, self.answer)

    def interrupt(self) -> None: ...

    def fail(self) -> None: ...

    def close(self) -> None: ...


def framed(transaction: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, 1) + pdu


SENT = framed(5, bytes.fromhex("1000140004 08") + struct.pack(">4H", *VALUES))
RIGHT = bytes.fromhex("1000140004")


def test_the_reply_to_this_very_write_confirms_it() -> None:
    _link(framed(5, RIGHT)).write_registers(20, VALUES)


@pytest.mark.parametrize(
    "answer",
    [
        framed(4, RIGHT),
        framed(5, bytes.fromhex("1000150004")),
        framed(5, bytes.fromhex("1000140003")),
        framed(5, b""),
    ],
    ids=["of another write", "another address", "fewer", "nothing"],
)
def test_any_other_reply_confirms_nothing(answer: bytes) -> None:
    link = _link(answer)
    with pytest.raises(InputError, match="confirmed something else"):
        link.write_registers(20, VALUES)
    with pytest.raises(InputError, match="not connected"):
        link.write_registers(20, VALUES)


def _link(answer: bytes) -> ModbusLink:
    link = ModbusLink(Canned(answer), 1, SystemClock(), InputError)
    link.connect()
    return link
