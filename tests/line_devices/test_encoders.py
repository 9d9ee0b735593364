"""What every encoder of the table promises, and how a counter stands in the registers of a real Modbus device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from edge import options
from edge.clock import SystemClock
from edge.errors import InputError
from edge.kinds import find
from edge.line.inputs import ENCODERS, Position
from tests.peers import ModbusServer


@contextmanager
def rig(kind: str) -> Iterator[Position]:
    if kind == "modbus":
        with ModbusServer() as server:
            yield modbus(server, bits=16)
    else:
        yield built(kind, counts_per_s=1_000_000)


def built(kind: str, **keys: Any) -> Position:
    chosen = {"simulated": options.SimulatedEncoder, "modbus": options.ModbusEncoder}[kind]
    made: Position = find(ENCODERS, kind, "encoder")(chosen(kind=kind, **keys), SystemClock())
    return made


def modbus(server: ModbusServer, **keys: Any) -> Position:
    given = {"host": "127.0.0.1", "port": server.port, "counter": 10, "counter_kind": "holding", "timeout_ms": 500}
    return built("modbus", **(given | keys))


@pytest.mark.parametrize("kind", sorted(ENCODERS))
def test_a_reading_is_a_count_and_an_instant_of_this_clock(kind: str) -> None:
    with rig(kind) as encoder:
        encoder.open()
        before_ns = SystemClock().now_ns()
        counter, at_ns = encoder.read()
        assert 0 <= counter < 1 << 32 and before_ns <= at_ns <= SystemClock().now_ns()
        encoder.close()
        encoder.close()


@pytest.mark.parametrize("kind", sorted(ENCODERS))
def test_an_encoder_is_not_usable_before_open_nor_after_close_and_opens_again(kind: str) -> None:
    with rig(kind) as encoder:
        for _ in range(2):
            with pytest.raises(InputError):
                encoder.read()
            encoder.open()
            encoder.read()
            encoder.close()


def test_a_simulated_belt_counts_with_the_clock_and_wraps() -> None:
    encoder = built("simulated", counts_per_s=1_000_000, bits=16)
    encoder.open()
    (first, from_ns), (second, to_ns) = encoder.read(), encoder.read()
    assert (second - first) % 65_536 == pytest.approx((to_ns - from_ns) / 1_000, abs=2)


@pytest.mark.parametrize(
    ("bits", "order", "words", "count"),
    [
        (16, "big", (0xFFFE, 7), 0xFFFE),
        (32, "big", (0x0001, 0xFFFF), 0x0001_FFFF),
        (32, "little", (0xFFFF, 0x0001), 0x0001_FFFF),
        (24, "big", (0x00AB, 0xCDEF), 0xABCDEF),
    ],
)
def test_the_words_of_a_counter_are_put_together_as_the_station_says(
    bits: int, order: str, words: tuple[int, int], count: int
) -> None:
    with ModbusServer() as server:
        for address, word in enumerate(words, 10):
            server.set_register(address, word)
        encoder = modbus(server, bits=bits, word_order=order)
        encoder.open()
        assert encoder.read()[0] == count
        encoder.close()


def test_a_count_beyond_its_bits_is_a_wrong_station_file_and_no_place() -> None:
    with ModbusServer() as server:
        server.set_register(10, 0x0100)
        encoder = modbus(server, bits=24)
        encoder.open()
        with pytest.raises(InputError, match=r"beyond 24 bits: correct encoder\.bits or word_order"):
            encoder.read()
        encoder.close()


def test_a_counter_that_is_away_is_named() -> None:
    with ModbusServer() as server:
        encoder = modbus(server)
    with pytest.raises(InputError, match="does not accept a connection"):
        encoder.open()
