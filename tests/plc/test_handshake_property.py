"""Whatever a PLC, its cable and its restarts do: no result is another part's, comes twice or is lost unseen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from edge.clock import MS, SECOND
from edge.health import Level, Standing
from edge.line.messages import LineState
from edge.plc.handshake import Cause, Handshake, Scene, Terms, _Waiting
from edge.plc.table import SHOWN_VERDICTS, Ended, Flag, Orders, Result, Status, shown
from edge.records import GateOutcome, Kind, Reason
from tests.plc.stand_in import PlcProgram

QUEUE = 3
HEARTBEAT_NS, RESULT_NS = 300 * MS, SECOND
SCENE = Scene(Standing(Level.READY, ""), LineState.READY, shadow=False, permit=True, busy=False)


class Conversation(RuleBasedStateMachine):
    """The station's handshake on one side, a right program on the other, and between them a memory that may be read
    at any moment, a cable that may be pulled, and a controller that may stop or start anew."""

    handshake: type[Handshake] = Handshake

    def __init__(self) -> None:
        super().__init__()
        self.station = self.handshake(Terms((0,), HEARTBEAT_NS, RESULT_NS, QUEUE), session=0xFFF0)
        self.plc = PlcProgram(orders=Orders(ack=1))  # left over from the station's last life
        self.now_ns = SECOND
        self.status, self.result = Status(), Result()
        self.truth: dict[int, Kind] = {}
        self.connected = False
        self.alive_ns = 0

    def _scan(self, happens: bool) -> None:
        if happens and self.connected:
            self.plc.scan(self.status, self.result)
            self.alive_ns = self.now_ns

    @rule(kind=st.sampled_from(list(Kind)))
    def part_ends(self, kind: Kind) -> None:
        number = len(self.truth) + 1
        self.truth[number] = kind
        ended = Ended(number, kind, Reason.NONE, GateOutcome.FIRED, 0.0, 0, shadow=False, simulated=False)
        self.station.offer(ended, self.now_ns)

    @rule(scans=st.tuples(st.booleans(), st.booleans(), st.booleans()), step_ms=st.integers(1, 120))
    def exchange(self, scans: tuple[bool, bool, bool], step_ms: int) -> None:
        """The PLC's scan may fall between any two of the station's requests."""
        self.now_ns += step_ms * MS
        if not self.connected:
            return
        result = self.station.to_write()
        if result is not None:
            self.result = result
            self.station.written(result)
        self._scan(scans[0])
        self.status = self.station.status(SCENE)
        self._scan(scans[1])
        self.station.heard(self.plc.orders, self.now_ns)
        self._scan(scans[2])

    @rule()
    def half_read(self) -> None:
        """The PLC reads the result block while it is being written: the new head, the old seal."""
        result = self.station.to_write()
        if result is not None and result.sequence != self.result.sequence:
            torn = replace(result, seal=self.result.seal, part_number=self.result.part_number)
            before = len(self.plc.taken)
            self.plc.scan(replace(self.status, result_sequence=torn.sequence), torn)
            assert len(self.plc.taken) == before

    @rule()
    def connection_comes(self) -> None:
        if not self.connected:
            self.connected = True
            self.station.connected()

    @rule()
    def connection_goes(self) -> None:
        if self.connected:
            self.connected = False
            self.station.lost("the cable is out")

    @rule()
    def connection_blinks(self) -> None:
        """Gone, back, and shaken hands again."""
        self.connection_goes()
        self.connection_comes()
        for _ in range(3):
            self.exchange((True, True, True), 10)

    @rule(keeps_ack=st.booleans())
    def plc_starts_anew(self, keeps_ack: bool) -> None:
        """A controller's start takes longer than the station's next look. One that forgets what it acknowledged before
        the station has seen that, has forgotten that it took it, too: nobody can know, and it is told again."""
        waiting = {waiting.sequence for waiting in self.station._queue}
        if not keeps_ack and self.plc.taken and self.plc.taken[-1].sequence in waiting:
            self.plc.taken.pop()
        self.plc.restart(keeps_ack)
        self.exchange((False, False, False), 50)

    @rule()
    def plc_stops(self) -> None:
        """In STOP for longer than its heartbeat may stand still; the station goes on exchanging."""
        for _ in range(5):
            self.exchange((False, False, False), 100)

    @rule(looks=st.booleans())
    def plc_is_busy_elsewhere(self, looks: bool) -> None:
        self.plc.looks = looks

    @invariant()
    def every_result_is_its_part_s_own(self) -> None:
        for result in self.plc.taken:
            assert result.part_number in self.truth, "a part that never was"
            assert result.verdict == SHOWN_VERDICTS[self.truth[result.part_number]], "another part's result"

    @invariant()
    def results_come_once_and_in_order(self) -> None:
        numbers = [result.part_number for result in self.plc.taken]
        assert numbers == sorted(set(numbers))

    @invariant()
    def what_did_not_come_is_counted(self) -> None:
        waiting = len(self.station._queue)
        assert waiting <= QUEUE + 1
        assert len(self.truth) <= len(self.plc.taken) + self.station.results_lost + waiting

    @invariant()
    def what_is_missing_before_a_result_is_told_with_it(self) -> None:
        """A PLC that counts parts stays in step: each gap is told with the result after it."""
        last = 0
        for result in self.plc.taken:
            assert result.lost_before >= result.part_number - last - 1
            last = result.part_number

    @invariant()
    def nothing_is_ready_without_a_living_plc(self) -> None:
        if self.status.flags & Flag.READY and self.station.is_up:
            assert self.connected
            assert self.now_ns - self.alive_ns <= HEARTBEAT_NS + 240 * MS


# the same conversations every time
TALK = settings(max_examples=100, stateful_step_count=60, deadline=None, database=None, derandomize=True)
# a mutant has to be found, not explained
HUNT = settings(TALK, max_examples=2_000, phases=(Phase.generate,))


def _converse(handshake: type[Handshake], how: settings) -> None:
    machine = type("Conversation", (Conversation,), {"handshake": handshake})
    run_state_machine_as_test(machine, settings=settings(how, report_multiple_bugs=False))


def test_no_conversation_makes_a_result_another_part_s() -> None:
    _converse(Handshake, TALK)


# --- mutants: handshakes as they are found in the field; the conversation above must find each of them --------------


class ShiftsByOne(Handshake):
    """Shows each part the result of the one before."""

    def _show(self) -> None:
        if self._shown is None and self._queue:
            first = self._queue[0]
            shifted = replace(first.ended, part_id=first.ended.part_id + 1)
            self._shown = shown(shifted, first.sequence, self._lost_before)
            self._last_shown = first.sequence


class TellsAgain(Handshake):
    """Keeps what was waiting over a lost connection, and shows it once more with a new sequence."""

    def __init__(self, terms: Terms, session: int) -> None:
        super().__init__(terms, session)
        self._kept: list[_Waiting] = []

    def _fall(self, cause: Cause) -> None:
        self._kept += self._queue
        super()._fall(cause)

    def _rise(self, orders: Orders) -> None:
        super()._rise(orders)
        kept, self._kept = self._kept, []
        for one in kept:
            self.offer(one.ended, one.offered_ns)


class ForgetsTheLost(Handshake):
    """Drops results without counting them."""

    def _lose(self, count: int) -> None:
        pass


class TrustsAnOldAck(Handshake):
    """Begins its sequences at 1, whatever the PLC's acknowledgement stands at."""

    def _rise(self, orders: Orders) -> None:
        super()._rise(orders)
        self._sequence = self._acked = self._last_shown = 0


class IgnoresTheHeartbeat(Handshake):
    """Stays up with a PLC that has stopped."""

    def _check_alive(self, orders: Orders, now_ns: int) -> None:
        pass


class OverwritesWhatIsShown(Handshake):
    """Gives up the oldest result though the PLC may be reading it, and keeps its sequence for the next."""

    def offer(self, ended: Ended, now_ns: int) -> None:
        if self._up and self._shown is not None:
            first = self._queue.popleft()
            self._queue.appendleft(_Waiting(ended, first.sequence, now_ns))
            self._shown = shown(ended, first.sequence, self._lost_before)
            self._written = 0
            return
        super().offer(ended, now_ns)


MUTANTS = [ShiftsByOne, TellsAgain, ForgetsTheLost, TrustsAnOldAck, IgnoresTheHeartbeat, OverwritesWhatIsShown]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_broken_handshake_is_found(mutant: type[Handshake]) -> None:
    with pytest.raises(AssertionError):
        _converse(mutant, HUNT)


# --- a PLC that says anything at all ---------------------------------------------------------------------------------

WORD = st.integers(0, 0xFFFF)
ANY_ORDERS = st.builds(Orders, WORD, WORD, WORD, WORD, WORD)


@given(st.lists(st.tuples(ANY_ORDERS, st.booleans(), st.booleans(), st.integers(0, 400)), max_size=60))
@settings(max_examples=150, deadline=None)
def test_no_words_of_a_plc_confuse_the_station(steps: list[tuple[Orders, bool, bool, int]]) -> None:
    """The echo is sometimes right, so that the conversation gets beyond the handshake."""
    station = Handshake(Terms((0, 3), HEARTBEAT_NS, RESULT_NS, QUEUE), session=7)
    station.connected()
    now_ns, offered, taken = SECOND, 0, 0
    for orders, echoes, ends, step_ms in steps:
        now_ns += step_ms * MS
        if ends:
            offered += 1
            station.offer(
                Ended(
                    offered, Kind.REJECT, Reason.DEFECT, GateOutcome.FIRED, 0.9, 0, shadow=False, simulated=False
                ),
                now_ns,
            )
        result = station.to_write()
        if result is not None:
            station.written(result)
        status = station.status(SCENE)
        right = replace(orders, session=status.session, recipe=0) if echoes else orders
        before = len(station._queue), station.results_lost
        station.heard(right, now_ns)
        taken += before[0] - len(station._queue) - (station.results_lost - before[1])
        assert offered == taken + station.results_lost + len(station._queue)
        assert len(station._queue) <= QUEUE + 1
        assert station.recipe in (0, 3)
        if status.flags & Flag.RESULT_VALID and result is not None:
            assert status.result_sequence == result.sequence
