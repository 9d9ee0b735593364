"""Ready, busy, result, acknowledgement, heartbeat and recipe, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.clock import MS, SECOND
from edge.health import Level, Standing
from edge.line.messages import LineState
from edge.plc.handshake import Handshake, Scene, Terms, following
from edge.plc.table import Command, Ended, ErrorCode, Flag, Mode, Orders, Packml, Result, ShownVerdict, Status
from edge.records import GateOutcome, Kind, Reason
from tests.plc.stand_in import PlcProgram

READY = Scene(Standing(Level.READY, ""), LineState.READY, shadow=False, permit=True, busy=False)
HEARTBEAT_NS, RESULT_NS = 500 * MS, 2 * SECOND


def a_part(number: int, kind: Kind = Kind.PASS) -> Ended:
    outcome = GateOutcome.RELEASED if kind is Kind.PASS else GateOutcome.FIRED
    reason = Reason.NONE if kind is Kind.PASS else Reason.DEFECT
    return Ended(5 << 32 | number, kind, reason, outcome, 0.5, 0, shadow=False, simulated=False)


class Bench:
    """A handshake and a PLC program with the memory between them."""

    def __init__(self, recipes: tuple[int, ...] = (0,), queue: int = 3, plc: PlcProgram | None = None) -> None:
        self.station = Handshake(Terms(recipes, HEARTBEAT_NS, RESULT_NS, queue), session=100)
        self.plc = plc or PlcProgram()
        self.now_ns = SECOND
        self.status, self.result = Status(), Result()
        self.scene = READY
        self.station.connected()

    def exchange(self, scans: bool = True) -> Status:
        """What the station writes, then the PLC's scan, then what the station reads; 20 ms later."""
        result = self.station.to_write()
        if result is not None:
            self.result = result
            self.station.written(result)
        self.status = self.station.status(self.scene)
        if scans:
            self.plc.scan(self.status, self.result)
        self.now_ns += 20 * MS
        self.station.heard(self.plc.orders, self.now_ns)
        return self.status

    def shake(self) -> None:
        for _ in range(3):
            self.exchange()
        assert self.station.is_up

    def numbers(self) -> list[int]:
        return [result.part_number for result in self.plc.taken]


def test_the_station_is_ready_only_after_echo_and_heartbeat() -> None:
    bench = Bench()
    first = bench.exchange(scans=False)
    assert not first.flags & Flag.READY and first.error == ErrorCode.NO_HANDSHAKE
    assert bench.station.cause is not None
    bench.exchange()  # echo, and the first change of the heartbeat
    bench.exchange()
    assert bench.station.is_up and bench.station.cause is None
    assert bench.exchange().flags & Flag.READY


def test_an_echo_without_a_heartbeat_is_no_handshake() -> None:
    bench = Bench()
    for _ in range(100):
        bench.exchange(scans=False)
        bench.plc.orders = replace(bench.plc.orders, session=bench.status.session)
    assert not bench.station.is_up


def test_a_heartbeat_without_the_echo_is_no_handshake() -> None:
    bench = Bench()
    for beat in range(100):
        bench.plc.orders = Orders(heartbeat=beat)
        bench.exchange(scans=False)
    assert not bench.station.is_up


def test_each_result_is_shown_until_it_is_acknowledged() -> None:
    bench = Bench()
    bench.shake()
    for number in (1, 2, 3):
        bench.station.offer(a_part(number), bench.now_ns)
    shown = [bench.exchange(scans=False) for _ in range(5)]
    assert {status.result_sequence for status in shown} == {1} and shown[-1].waiting == 2
    assert bench.result.part_number == 1
    for _ in range(3):
        bench.exchange()
    assert bench.numbers() == [1, 2, 3]
    assert not bench.exchange().flags & Flag.RESULT_VALID
    assert bench.station.results_lost == 0


def test_a_missing_acknowledgement_never_makes_results_lag() -> None:
    """The field's classic: one acknowledgement is lost, and from then on each part gets its forerunner's result."""
    bench = Bench(queue=2)
    bench.shake()
    bench.station.offer(a_part(1, Kind.REJECT), bench.now_ns)
    bench.plc.looks = False
    while bench.station.results_lost == 0:
        bench.exchange()
    bench.station.offer(a_part(2), bench.now_ns)
    bench.plc.looks = True
    bench.exchange()
    assert bench.result.part_number == 2 and bench.result.lost_before == 1
    assert bench.status.error == ErrorCode.RESULTS_LOST
    bench.exchange()
    assert bench.exchange().error == ErrorCode.NONE
    assert [(result.part_number, result.verdict) for result in bench.plc.taken] == [(2, ShownVerdict.PASS)]


def test_a_late_acknowledgement_of_a_withdrawn_result_takes_no_other() -> None:
    bench = Bench()
    bench.shake()
    bench.station.offer(a_part(1), bench.now_ns)
    bench.plc.looks = False
    bench.exchange()
    late = bench.result.sequence
    while bench.station.results_lost == 0:
        bench.exchange()
    bench.station.offer(a_part(2), bench.now_ns)
    bench.exchange()
    bench.plc.orders = replace(bench.plc.orders, ack=late)
    bench.exchange(scans=False)
    assert bench.station.results_lost == 1 and bench.station.wrong_acks == 0
    assert bench.result.part_number == 2 and bench.status.flags & Flag.RESULT_VALID


def test_a_full_queue_gives_up_the_oldest_that_waits_and_says_so() -> None:
    bench = Bench(queue=2)
    bench.shake()
    for number in range(1, 7):
        bench.station.offer(a_part(number), bench.now_ns)
    assert bench.station.results_lost == 3
    for _ in range(4):
        bench.exchange()
    assert bench.numbers() == [1, 5, 6]
    assert [result.lost_before for result in bench.plc.taken] == [0, 3, 0]
    assert bench.exchange().results_lost == 3


def test_an_acknowledgement_of_what_was_never_shown_is_an_error_and_takes_nothing() -> None:
    bench = Bench()
    bench.shake()
    bench.station.offer(a_part(1), bench.now_ns)
    bench.exchange(scans=False)
    for ack in (9, 9, 9):
        bench.plc.orders = replace(bench.plc.orders, ack=ack, heartbeat=bench.plc.orders.heartbeat + 1)
        bench.exchange(scans=False)
    assert bench.station.wrong_acks == 1
    assert bench.status.error == ErrorCode.WRONG_ACK and bench.status.flags & Flag.RESULT_VALID
    bench.exchange()
    bench.exchange()
    assert bench.numbers() == [1] and bench.status.error == ErrorCode.NONE


def test_an_acknowledgement_that_was_left_over_takes_nothing() -> None:
    """The station restarts, the PLC still shows the sequence that the first new result would have had."""
    bench = Bench(plc=PlcProgram(orders=Orders(ack=1)))
    bench.shake()
    bench.station.offer(a_part(1), bench.now_ns)
    bench.exchange(scans=False)
    assert bench.result.sequence == 2 and bench.status.flags & Flag.RESULT_VALID


def test_sequences_leave_zero_out() -> None:
    bench = Bench(plc=PlcProgram(orders=Orders(ack=0xFFFE)))
    bench.shake()
    for number in (1, 2, 3):
        bench.station.offer(a_part(number), bench.now_ns)
        bench.exchange()
    bench.exchange()
    assert [result.sequence for result in bench.plc.taken] == [0xFFFF, 1, 2]
    assert following(0xFFFF) == following(0) == 1


def test_a_heartbeat_that_stands_still_ends_it_until_a_fresh_handshake() -> None:
    bench = Bench()
    bench.shake()
    session = bench.status.session
    bench.station.offer(a_part(1), bench.now_ns)
    while bench.station.is_up:
        bench.exchange(scans=False)
    assert bench.station.cause is not None and bench.station.cause.code is ErrorCode.HEARTBEAT_LOST
    lost = bench.exchange(scans=False)
    assert not lost.flags & Flag.READY and lost.error == ErrorCode.HEARTBEAT_LOST
    assert lost.session != session and not lost.flags & Flag.RESULT_VALID
    bench.plc.orders = replace(bench.plc.orders, heartbeat=bench.plc.orders.heartbeat + 1)
    bench.exchange(scans=False)
    assert not bench.station.is_up, "the old session's echo does not count"
    bench.shake()
    bench.exchange()
    assert bench.numbers() == [] and bench.station.results_lost == 1, "an old result is never told in a new session"


def test_the_heartbeat_is_lost_within_its_time() -> None:
    bench = Bench()
    bench.shake()
    stood_ns = bench.now_ns
    while bench.station.is_up:
        bench.exchange(scans=False)
    assert HEARTBEAT_NS < bench.now_ns - stood_ns <= HEARTBEAT_NS + 40 * MS


def test_a_plc_that_starts_anew_has_to_shake_hands_anew() -> None:
    bench = Bench()
    bench.shake()
    bench.plc.restart(keeps_ack=False)
    bench.exchange(scans=False)
    assert not bench.station.is_up
    bench.shake()


def test_a_lost_connection_needs_a_fresh_handshake() -> None:
    bench = Bench()
    bench.shake()
    session = bench.status.session
    bench.station.lost("the cable is out")
    bench.exchange()
    assert not bench.station.is_up and bench.station.cause is not None
    assert bench.station.cause.words == "the cable is out"
    bench.station.connected()
    assert bench.exchange(scans=False).session not in (session, 0)
    bench.shake()


def test_parts_that_end_without_a_plc_are_counted_as_lost() -> None:
    bench = Bench()
    for number in (1, 2):
        bench.station.offer(a_part(number), bench.now_ns)
    bench.shake()
    bench.station.offer(a_part(3), bench.now_ns)
    bench.exchange()
    assert bench.numbers() == [3] and bench.plc.taken[0].lost_before == 2
    assert bench.station.results_lost == 2


def test_the_plc_selects_a_recipe() -> None:
    bench = Bench(recipes=(1, 2))
    bench.shake()
    assert bench.station.recipe is None
    assert bench.exchange().error == ErrorCode.NO_RECIPE and not bench.status.flags & Flag.READY
    bench.plc.recipe = 2
    bench.exchange()
    assert bench.station.recipe == 2 and bench.station.cause is None
    assert bench.exchange().recipe == 2 and bench.status.flags & Flag.READY


def test_the_status_tells_the_recipe_that_the_line_has_in_force() -> None:
    """What is fed until then is born with the old one."""
    bench = Bench(recipes=(1, 2))
    bench.plc.recipe = 1
    bench.scene = replace(READY, recipe=1)
    bench.shake()
    bench.plc.recipe = 2
    bench.exchange()
    assert bench.station.recipe == 2 and bench.exchange().recipe == 1
    bench.scene = replace(READY, recipe=2)
    assert bench.exchange().recipe == 2


def test_an_unknown_recipe_is_an_error_and_not_ready() -> None:
    bench = Bench(recipes=(1, 2))
    bench.plc.recipe = 1
    bench.shake()
    bench.plc.recipe = 3
    bench.exchange()
    status = bench.exchange()
    assert status.error == ErrorCode.UNKNOWN_RECIPE and not status.flags & Flag.READY
    assert bench.station.recipe == 1, "what was in force stays in force"
    assert bench.station.cause is not None and "recipe 3, this station has 1, 2" in bench.station.cause.words


def test_a_product_that_the_station_is_not_for_is_not_ready() -> None:
    """One product, no recipes: the PLC may only ask for none."""
    bench = Bench()
    bench.plc.recipe = 7
    bench.shake()
    assert bench.exchange().error == ErrorCode.UNKNOWN_RECIPE and not bench.status.flags & Flag.READY


def test_the_plc_may_suspend_and_nothing_else() -> None:
    bench = Bench()
    bench.plc.command = Command.SUSPEND
    bench.shake()
    assert bench.exchange().error == ErrorCode.SUSPENDED and not bench.status.flags & Flag.READY
    bench.plc.command = Command.RUN
    bench.exchange()
    assert bench.exchange().flags & Flag.READY
    for command in range(2, 40):
        bench.plc.command = command
        bench.exchange()
        assert bench.exchange().error == ErrorCode.BAD_COMMAND and not bench.status.flags & Flag.READY


def test_without_an_expected_plc_results_count_as_taken_and_orders_as_nothing() -> None:
    station = Handshake(Terms((0,), None, RESULT_NS, 3), session=1)
    assert station.cause is not None
    station.connected()
    assert station.is_up and station.cause is None
    for number in (1, 2):
        station.offer(a_part(number), SECOND)
    told = []
    while (result := station.to_write()) is not None:
        told.append(result.part_number)
        station.written(result)
    station.heard(Orders(recipe=7, command=1, ack=3), SECOND)
    assert told == [1, 2] and station.cause is None and station.results_lost == 0


LEVELS = [
    (Standing(Level.READY, ""), LineState.READY, Packml.EXECUTE, ErrorCode.NONE),
    (Standing(Level.NOT_READY, "purging"), LineState.PURGING, Packml.STARTING, ErrorCode.NOT_READY),
    (Standing(Level.NOT_READY, "away", "camera top"), LineState.READY, Packml.HELD, ErrorCode.NOT_READY),
    (Standing(Level.NOT_READY, "looked for"), None, Packml.HELD, ErrorCode.NOT_READY),
    (Standing(Level.NOT_READY, "suspended", "plc"), LineState.READY, Packml.SUSPENDED, ErrorCode.NOT_READY),
    (Standing(Level.NOT_READY, "bin full"), LineState.SUSPENDED, Packml.SUSPENDED, ErrorCode.NOT_READY),
    (Standing(Level.NOT_READY, "no air"), LineState.HELD, Packml.HELD, ErrorCode.NOT_READY),
    (Standing(Level.NOT_READY, "away", "camera top"), LineState.SUSPENDED, Packml.HELD, ErrorCode.NOT_READY),
    (Standing(Level.NOT_READY, "suspended", "plc"), LineState.STOPPED, Packml.HELD, ErrorCode.LIMIT),
    (Standing(Level.STOPPED, "10 rejects"), LineState.STOPPED, Packml.HELD, ErrorCode.LIMIT),
    (Standing(Level.NOT_READY, "gate"), LineState.FAULT, Packml.ABORTED, ErrorCode.FAULT),
    (Standing(Level.FAULT, "engine", "inference"), LineState.READY, Packml.ABORTED, ErrorCode.FAULT),
    (Standing(Level.STOPPING, "asked"), LineState.STOPPING, Packml.STOPPING, ErrorCode.NOT_READY),
    (Standing(Level.BYPASSED, "bypass"), LineState.BYPASSED, Packml.EXECUTE, ErrorCode.NOT_READY),
]


@pytest.mark.parametrize(("standing", "line", "state", "error"), LEVELS)
def test_the_state_is_told_in_packml_words(
    standing: Standing, line: LineState | None, state: Packml, error: ErrorCode
) -> None:
    bench = Bench()
    bench.shake()
    bench.scene = replace(READY, standing=standing, line=line)
    status = bench.exchange()
    assert (status.state, status.error) == (state, error)
    assert bool(status.flags & Flag.READY) is (standing.level is Level.READY)


def test_a_bypass_and_shadow_mode_show_themselves() -> None:
    bench = Bench()
    bench.shake()
    assert bench.exchange().mode == Mode.PRODUCTION and not bench.status.flags & Flag.NOT_INSPECTING
    bench.scene = replace(READY, standing=Standing(Level.BYPASSED, "bypass"), line=LineState.BYPASSED)
    assert bench.exchange().mode == Mode.BYPASS and bench.status.flags & Flag.NOT_INSPECTING
    assert not bench.status.flags & Flag.READY
    bench.scene = replace(READY, shadow=True)
    assert bench.exchange().mode == Mode.SHADOW and bench.status.flags & Flag.NOT_INSPECTING


def test_counts_wrap_instead_of_failing() -> None:
    bench = Bench()
    bench.scene = replace(READY, parts=(1 << 32) + 5, busy=True)
    assert bench.exchange().parts == 5 and bench.status.flags & Flag.BUSY
