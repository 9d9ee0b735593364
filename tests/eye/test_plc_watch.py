"""The PLC's thread: nothing is ready without it, and nothing waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from edge.clock import MS, SECOND, SystemClock
from edge.errors import PlcError
from edge.eye.plc_watch import SOURCE, PlcWatch
from edge.health import Health, Level, Progress, Standing
from edge.line.messages import LineState
from edge.options import ModbusServerPlc
from edge.plc.handshake import Handshake, Scene, Terms
from edge.plc.table import Flag, Orders, Packml, Result, Status
from edge.records import GateEvent, GateOutcome, Kind, Reason
from tests.peers import eventually
from tests.plc.stand_in import PlcProgram

SCENE = Scene(Standing(Level.READY, ""), LineState.READY, shadow=False, permit=True, busy=False)


class Link:
    """A link whose way leads into this process: it may be away, or stand still in the middle of a request."""

    def __init__(self) -> None:
        self.program = PlcProgram(recipe=2)
        self.status, self.result = Status(), Result()
        self.away = True
        self.moves = threading.Event()
        self.moves.set()
        self.closed = 0

    def connect(self) -> None:
        if self.away:
            raise PlcError("the PLC is away: look for it")

    def publish(self, result: Result) -> None:
        self._must_be_there()
        self.result = result

    def heartbeat(self, status: Status) -> None:
        self._must_be_there()
        self.status = status

    def poll(self) -> Orders:
        self._must_be_there()
        return self.program.scan(self.status, self.result)

    def close(self) -> None:
        self.closed += 1

    def _must_be_there(self) -> None:
        self.moves.wait(10)
        if self.away:
            raise PlcError("the connection broke: look at the cable")


class Bench:
    def __init__(self) -> None:
        self.link = Link()
        self.health = Health()
        self.notes: list[str] = []
        self.recipes: list[int] = []
        self.stop = threading.Event()
        options = ModbusServerPlc(kind="modbus_server", poll_ms=2)
        self.handshake = Handshake(Terms((1, 2), 300 * MS, 5 * SECOND, queue=4), session=1)
        self.watch = PlcWatch(
            options,
            self.link,
            self.handshake,
            lambda: SCENE,
            False,
            self.recipes.append,
            lambda _kind, words: self.notes.append(words),
            SystemClock(),
            self.health,
            Progress(SystemClock(), {SOURCE: SECOND}),
        )
        self.thread = threading.Thread(target=self.watch.run, args=(self.stop,), name="plc")

    def offer(self, number: int) -> None:
        event = GateEvent(number, number, 0, 0, 0, 0, 0, 0, 0, 2, GateOutcome.RELEASED, Kind.PASS, Reason.NONE)
        self.watch.offer(event, Kind.PASS, Reason.NONE, 0.1)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.stop.set()
    bench.link.moves.set()
    if bench.thread.is_alive():
        bench.thread.join()


def test_the_station_is_not_ready_before_the_plc_has_shaken_hands(bench: Bench) -> None:
    assert not bench.health.is_ready and bench.health.standing.source == SOURCE, "even before the thread runs"
    bench.thread.start()
    eventually(lambda: bench.health.standing.cause == "the PLC is away: look for it", "the cause")
    bench.link.away = False
    eventually(lambda: bench.health.is_ready, "ready")
    assert bench.recipes == [2] and bench.watch.recipe == 2
    ready = ["PLC selected a recipe: 2", "PLC READY: the PLC has no objection"]
    eventually(lambda: bench.notes[-2:] == ready, "the journal is told, a moment later")


def test_a_connection_that_breaks_takes_the_station_out_at_once_and_heals(bench: Bench) -> None:
    bench.link.away = False
    bench.thread.start()
    eventually(lambda: bench.health.is_ready, "ready")
    closed = bench.link.closed
    bench.link.away = True
    eventually(lambda: not bench.health.is_ready, "not ready")
    assert "connection broke" in bench.health.standing.cause
    eventually(lambda: bench.link.closed > closed, "the link is closed")
    bench.link.away = False
    eventually(lambda: bench.health.is_ready, "ready again")
    assert bench.recipes == [2], "a recipe that stands is not selected again"


def test_results_never_wait_for_a_plc_that_stands_still(bench: Bench) -> None:
    bench.link.away = False
    bench.thread.start()
    eventually(lambda: bench.health.is_ready, "ready")
    bench.link.moves.clear()
    time.sleep(0.02)
    began = time.monotonic()
    for number in range(1, 2_001):
        bench.offer(number)
    assert time.monotonic() - began < 1.0
    assert bench.watch.results_lost >= 2_000 - 5, "bounded, and counted"
    bench.link.moves.set()
    eventually(
        lambda: bench.link.program.taken[-1:] != [] and bench.link.program.taken[-1].part_number == 2_000,
        "the newest",
    )
    assert sum(result.lost_before for result in bench.link.program.taken) == bench.watch.results_lost


def test_the_last_word_to_the_plc_is_said_before_the_link_is_closed(bench: Bench) -> None:
    bench.link.away = False
    bench.thread.start()
    eventually(lambda: bench.health.is_ready, "ready")
    closed = bench.link.closed
    bench.stop.set()
    bench.thread.join()
    assert bench.link.status.state == Packml.STOPPED
    assert not bench.link.status.flags & Flag.READY and bench.link.closed == closed + 1
