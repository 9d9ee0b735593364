"""A PLC that stops, hangs, dribbles, lies or refuses is told in time, and never believed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from edge.clock import SystemClock
from edge.errors import PlcError
from edge.kinds import find
from edge.plc import TABLE, PlcLink
from edge.plc.table import Status
from tests.peers.plcs import LogixPlc, ModbusServerPlc, PlcSide, SiemensPlc, needs
from tests.plc.cable import Cable, cable_to
from tests.plc.golden import ORDERS, RESULT, STATUS

PLCS = {"enip": LogixPlc, "modbus_client": ModbusServerPlc, "s7": SiemensPlc}
TIMEOUT_S = 0.4
REQUESTS = 3  # of one exchange, at most
TRESPASS = {"enip": "write Kenpin_Status 99", "modbus_client": "write 10 99", "s7": "write 20 0063"}
WRONG_PLACE = {"enip": {"prefix": "Other"}, "modbus_client": {"address": 90}, "s7": {"db": 8}}


@pytest.fixture(scope="module", params=sorted(PLCS))
def plc(request: pytest.FixtureRequest) -> Iterator[PlcSide]:
    needs(request.param)
    side: PlcSide = PLCS[request.param]()
    side.start()
    yield side
    side.stop()


@pytest.fixture
def cable(plc: PlcSide) -> Iterator[Cable]:
    with cable_to(plc.port) as cable:
        yield cable


@pytest.fixture
def link(plc: PlcSide, cable: Cable) -> Iterator[PlcLink]:
    link = link_by(plc, port=cable.port)
    link.connect()
    exchange(link)
    yield link
    cable.mend()
    link.close()


def link_by(plc: PlcSide, **keys: object) -> PlcLink:
    options = plc.options(timeout_ms=TIMEOUT_S * 1_000, **keys)
    link: PlcLink = find(TABLE, options.kind, "plc")(options, SystemClock(), lambda words: None)  # type: ignore[attr-defined]
    return link


def exchange(link: PlcLink) -> None:
    link.publish(RESULT)
    link.heartbeat(STATUS)
    link.poll()


def fails_in_time(use: Callable[[], object], within_s: float = TIMEOUT_S * REQUESTS + 1.0) -> str:
    began = time.monotonic()
    with pytest.raises(PlcError) as failure:
        use()
    assert time.monotonic() - began < within_s
    return str(failure.value)


def works_again(link: PlcLink, plc: PlcSide) -> None:
    with pytest.raises(PlcError, match="connect first"):
        link.poll()
    link.connect()
    plc.write(ORDERS)
    exchange(link)
    assert link.poll() == ORDERS


def test_a_plc_that_hangs_is_told_in_time(plc: PlcSide, link: PlcLink, cable: Cable) -> None:
    """A half-open connection: the other end answers no more, and nobody closes."""
    cable.frozen = True
    fails_in_time(lambda: exchange(link))
    fails_in_time(link.connect)
    cable.mend()
    works_again(link, plc)


def test_a_connection_that_breaks_is_told_at_once(plc: PlcSide, link: PlcLink, cable: Cable) -> None:
    cable.cut()
    fails_in_time(lambda: exchange(link))
    works_again(link, plc)


def test_a_late_answer_is_never_taken_for_the_next_one(plc: PlcSide, link: PlcLink, cable: Cable) -> None:
    cable.delay_s = 2 * TIMEOUT_S
    fails_in_time(link.poll)
    cable.mend()
    time.sleep(TIMEOUT_S)
    works_again(link, plc)


def test_an_answer_that_comes_byte_by_byte_is_given_up(plc: PlcSide, link: PlcLink, cable: Cable) -> None:
    cable.pieces, cable.delay_s = 1, 0.1
    fails_in_time(link.poll, 2 * TIMEOUT_S + 1.0)
    cable.mend()
    works_again(link, plc)


def test_half_an_answer_and_silence_is_given_up(plc: PlcSide, link: PlcLink, cable: Cable) -> None:
    cable.corrupt = lambda data: data[: len(data) // 2]
    fails_in_time(link.poll)
    cable.mend()
    works_again(link, plc)


def test_half_an_answer_and_the_end_is_given_up(plc: PlcSide, link: PlcLink, cable: Cable) -> None:
    cable.corrupt, cable.hangs_up = lambda data: data[: len(data) // 2], True
    fails_in_time(link.poll, within_s=TIMEOUT_S + 0.5)
    cable.mend()
    works_again(link, plc)


def test_noise_is_an_error_and_no_answer(plc: PlcSide, link: PlcLink, cable: Cable) -> None:
    cable.corrupt = lambda data: bytes(byte ^ 0x5A for byte in data)
    fails_in_time(link.poll)
    cable.mend()
    works_again(link, plc)


def test_words_that_do_not_stand_as_they_were_written_are_a_second_master(plc: PlcSide, link: PlcLink) -> None:
    plc.ask(TRESPASS[plc.options().kind])  # type: ignore[attr-defined]
    assert plc.status() != STATUS
    assert "second station" in fails_in_time(link.poll)
    works_again(link, plc)


def test_a_place_that_the_plc_does_not_have_is_told(plc: PlcSide) -> None:
    link = link_by(plc, **WRONG_PLACE[plc.options().kind])  # type: ignore[attr-defined]

    def use() -> None:
        link.connect()
        link.heartbeat(Status())
        link.poll()

    assert "127.0.0.1" in fails_in_time(use)
    link.close()
