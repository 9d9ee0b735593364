"""What every kind of link promises, each against a PLC with another protocol stack."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from edge.clock import SECOND, SystemClock
from edge.errors import PlcError
from edge.health import Level, Standing
from edge.kinds import find
from edge.line.messages import LineState
from edge.plc import TABLE, PlcLink
from edge.plc.handshake import Handshake, Scene, Terms
from edge.plc.table import SHOWN_VERDICTS, Ended, Orders, Result, Status
from edge.records import GateOutcome, Kind, Reason
from tests.peers import eventually
from tests.peers.plcs import LogixPlc, ModbusClientPlc, ModbusServerPlc, PlcSide, SiemensPlc, free_port, needs
from tests.plc.golden import GOLDEN, ORDERS, RESULT, STATUS
from tests.plc.opcua_client import OpcUaClient
from tests.plc.stand_in import PlcProgram

PLCS: dict[str, type] = {
    "enip": LogixPlc,
    "modbus_client": ModbusServerPlc,
    "modbus_server": ModbusClientPlc,
    "opcua": OpcUaClient,
    "s7": SiemensPlc,
}
SCENE = Scene(Standing(Level.READY, ""), LineState.READY, shadow=False, permit=True, busy=False)


def test_every_kind_has_its_peer() -> None:
    assert set(PLCS) == set(TABLE)


@pytest.fixture(scope="module", params=sorted(TABLE))
def plc(request: pytest.FixtureRequest) -> Iterator[PlcSide]:
    needs(request.param)
    side: PlcSide = PLCS[request.param]()
    side.start()
    yield side
    side.stop()


def link_to(side: PlcSide, **keys: object) -> PlcLink:
    options = side.options(**keys)
    link: PlcLink = find(TABLE, options.kind, "plc")(options, SystemClock(), lambda words: None)  # type: ignore[attr-defined]
    return link


@pytest.fixture(scope="module")
def link(plc: PlcSide) -> Iterator[PlcLink]:
    """Connected once for all tests of a kind: an OPC UA server takes seconds to begin."""
    link = link_to(plc)
    link.connect()
    plc.arrive()
    yield link
    link.close()
    plc.leave()


def test_the_plc_sees_these_very_words(plc: PlcSide, link: PlcLink) -> None:
    """A library that turns bits, bytes or words round is found here."""
    link.publish(RESULT)
    link.heartbeat(STATUS)
    eventually(lambda: plc.memory()[Status] == GOLDEN[Status], "the status block")
    eventually(lambda: plc.memory()[Result] == GOLDEN[Result], "the result block")


def test_the_station_reads_what_the_plc_writes(plc: PlcSide, link: PlcLink) -> None:
    link.heartbeat(STATUS)
    plc.write(ORDERS)
    eventually(lambda: link.poll() == ORDERS, "the PLC's words")


def test_a_whole_conversation_hands_over_every_result(plc: PlcSide, link: PlcLink) -> None:
    """The handshake, twenty results and a suspension, with the program of docs/plc.md on the other side."""
    station = Handshake(Terms((0,), 5 * SECOND, 20 * SECOND, 30), session=3)
    program = PlcProgram(orders=link.poll())
    station.connected()
    kinds = [Kind.PASS, Kind.REJECT, Kind.UNKNOWN, Kind.PASS] * 5
    until = time.monotonic() + 20

    def exchange() -> None:
        result = station.to_write()
        if result is not None:
            link.publish(result)
            station.written(result)
        link.heartbeat(station.status(SCENE))
        plc.write(program.scan(plc.status(), plc.result()))
        station.heard(link.poll(), time.monotonic_ns())

    while not station.is_up:
        exchange()
        assert time.monotonic() < until
    for number, kind in enumerate(kinds, 1):
        part = Ended(9 << 32 | number, kind, Reason.NONE, GateOutcome.FIRED, 0.5, 0, shadow=False, simulated=False)
        station.offer(part, time.monotonic_ns())
    while len(program.taken) < len(kinds):
        exchange()
        assert time.monotonic() < until, f"{len(program.taken)} results"
    assert [result.part_number for result in program.taken] == list(range(1, len(kinds) + 1))
    assert [result.verdict for result in program.taken] == [SHOWN_VERDICTS[kind] for kind in kinds]
    assert station.results_lost == station.wrong_acks == 0


def test_orders_of_before_a_connection_are_no_handshake(plc: PlcSide, link: PlcLink) -> None:
    """A memory that still holds an earlier run's words must not look like a living PLC."""
    station = Handshake(Terms((0,), SECOND, SECOND, 3), session=Orders().session)
    plc.write(ORDERS)
    station.connected()
    for _ in range(5):
        link.heartbeat(station.status(SCENE))
        station.heard(link.poll(), time.monotonic_ns())
    assert not station.is_up


def test_a_plc_that_is_not_there_is_told_within_the_time(plc: PlcSide, link: PlcLink) -> None:
    """Connecting where nobody listens, or serving on the port that `link` has."""
    options = plc.options()
    other = link_to(plc) if hasattr(options, "listen") else link_to(plc, port=free_port())
    began_ns = time.monotonic_ns()
    with pytest.raises(PlcError, match=r"127\.0\.0\.1"):
        other.connect()
    assert time.monotonic_ns() - began_ns < 2 * SECOND
    other.close()


def test_a_closed_link_says_so_and_comes_back_without_the_last_result(plc: PlcSide, link: PlcLink) -> None:
    """The last test of its kind: it leaves the link closed."""
    link.publish(RESULT)
    link.heartbeat(STATUS)
    eventually(lambda: plc.result() == RESULT, "the result")
    plc.leave()
    link.close()
    link.close()
    for use in (lambda: link.heartbeat(STATUS), link.poll):
        with pytest.raises(PlcError, match="connect first"):
            use()
    link.connect()
    plc.arrive()
    link.heartbeat(STATUS)
    eventually(lambda: plc.status() == STATUS, "the status block")
    assert plc.result() == Result()
    plc.leave()
    link.close()
