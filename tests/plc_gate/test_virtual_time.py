"""The line and the PLC's program in virtual time: who passes, what is on record, and what happens when one fails."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

import pytest

from edge.clock import MS, SECOND
from edge.line.messages import LineState
from edge.records import GateOutcome, Reason
from tests.plc_gate.program import Mistake
from tests.plc_gate.world import PITCH_MS, Item, World


def inspecting(seed: int = 1, **keys: object) -> World:
    """A world whose line has been releasing parts for a while."""
    world = World(seed=seed, **keys)  # type: ignore[arg-type]
    world.parts_come()
    world.until_ready()
    world.run(1_000)
    return world


def emptied(world: World) -> World:
    """No more parts come, and all that came have ended."""
    world.parts_come(False)
    world.run(1_500)
    return world


def outcomes(world: World, items: list[Item]) -> Counter[tuple[str, str]]:
    events = [world.event_of(item) for item in items]
    return Counter((event.outcome.name, event.reason.name) for event in events if event is not None)


def since(world: World, at_ns: int) -> list[Item]:
    return [item for item in world.items if item.born_ns >= at_ns]


def stop_words(world: World) -> list[str]:
    return [words for words in world.said if words.startswith("stopped")]


def honest(world: World) -> None:
    """Nobody unproven passed, no record says what was not so, and every part that the line saw has one outcome."""
    assert not world.escapes()
    assert not world.lies()
    assert len({event.part_id for event in world.events}) == len(world.events)


# --- as it should be ----------------------------------------------------------------------------------------------


def test_a_thousand_parts_at_rate_do_what_was_said_of_them_and_all_of_it_is_confirmed() -> None:
    world = World()
    world.run(800)
    assert world.core.state is LineState.READY
    world.parts_come()
    world.run_until(lambda: len(world.items) == 1_000, 100_000)
    emptied(world)
    honest(world)
    assert [item.passed for item in world.items] == [item.good for item in world.items]
    assert set(outcomes(world, world.items)) == {("RELEASED", "NONE"), ("FIRED", "DEFECT")}
    assert all(event.confirmed_ns for event in world.events)
    assert len(world.events) == 1_000


def test_the_numbers_of_edges_wrap() -> None:
    world = World()
    world.program.number_next(65_525)
    world.run(800)
    world.parts_come()
    world.run_until(lambda: len(world.items) == 40)
    emptied(world)
    honest(world)
    assert [item.passed for item in world.items] == [item.good for item in world.items]


def test_nothing_passes_before_the_zone_is_known() -> None:
    world = World()
    world.parts_come()
    world.until_ready()
    before = world.items[:-1]  # the last one is born as it becomes known
    emptied(world)
    assert before and not any(item.passed for item in before)
    honest(world)


def test_a_bypass_lets_parts_pass_and_ends_by_itself() -> None:
    world = inspecting()
    at_ns = world.clock.now_ns()
    world.bypass(1)
    world.run(1_200)
    bypassed = [item for item in world.items if at_ns + 20 * MS < item.born_ns < at_ns + SECOND]
    emptied(world)
    assert all(item.passed for item in bypassed)
    assert set(outcomes(world, bypassed)) == {("RELEASED", "BYPASS")}
    assert not [item for item in world.escapes() if item not in bypassed and item.born_ns > at_ns + 1_100 * MS]


def test_a_stop_waits_for_the_answers_of_the_parts_in_the_zone() -> None:
    world = inspecting()
    world.parts_come(False)
    last = world.items[-1]
    world.stop()
    world.run(1_000)
    event = world.event_of(last)
    assert event is not None and event.outcome is (GateOutcome.RELEASED if last.good else GateOutcome.FIRED)
    honest(world)


def test_on_a_belt_that_stops_and_slows_down_nothing_ends_by_time_and_each_part_is_served() -> None:
    world = inspecting(encoder=True)
    for speed, ms in ((0.0, 1_500), (0.5, 1_000), (1.0, 400), (0.0, 700), (1.0, 1_000)):
        world.speed = speed
        world.run(ms)
    emptied(world)
    honest(world)
    later = [item for item in world.items if item.born_ns > world.items[0].born_ns + SECOND]
    assert [item.passed for item in later] == [item.good for item in later]
    assert set(outcomes(world, later)) == {("RELEASED", "NONE"), ("FIRED", "DEFECT")}


def test_a_belt_of_constant_speed_that_stops_is_purged_and_no_answer_is_taken_for_a_fault() -> None:
    world = inspecting(permits=True)
    world.ready = False
    world.run_until(lambda: not world.permit_log[-1][1])
    world.run(30)
    world.speed = 0.0
    world.run(2_000)
    world.ready = True
    world.run_until(lambda: world.permit_log[-1][1])
    world.speed = 1.0
    world.until_ready()
    world.run(500)
    emptied(world)
    honest(world)
    assert not stop_words(world)


# --- late and silent ----------------------------------------------------------------------------------------------


def test_silence_of_the_eye_rejects() -> None:
    world = inspecting()
    world.speaks = False
    world.run(200)
    at_ns = world.clock.now_ns()
    world.run(1_000)
    emptied(world)
    silent = since(world, at_ns)
    assert silent and not any(item.passed for item in silent)
    assert set(outcomes(world, silent)) == {("FIRED", "NO_VERDICT")}
    honest(world)


def test_a_release_after_the_deadline_is_not_told_and_rejects() -> None:
    world = inspecting()
    world.release_ms = (260, 280)
    at_ns = world.clock.now_ns()
    world.run(1_000)
    emptied(world)
    late = since(world, at_ns)
    assert not any(item.passed for item in late)
    assert set(outcomes(world, late)) == {("FIRED", "LATE")}
    honest(world)


def test_a_release_that_does_not_reach_the_plc_is_late_and_passes_nobody_else() -> None:
    world = inspecting()
    world.loses_word = 1
    at_ns = world.clock.now_ns()
    world.run(1_000)
    emptied(world)
    honest(world)
    found = outcomes(world, since(world, at_ns))
    assert found.pop(("LATE", "LATE_WRITE")) == 1
    assert set(found) == {("RELEASED", "NONE"), ("FIRED", "DEFECT")}
    assert world.core.state is LineState.READY


# --- the PLC and the wire fail ------------------------------------------------------------------------------------


def test_a_program_that_stands_still_is_noticed_and_its_return_purges() -> None:
    world = inspecting()
    world.scans = False
    world.program.fall()
    world.run_until(lambda: world.core.state is LineState.FAULT, 400)
    assert any("stood still" in words for words in world.said)
    at_ns = world.clock.now_ns()
    world.run(500)
    world.scans = True
    world._next_scan_ns = world.clock.now_ns()
    world.until_ready()
    world.run(500)
    emptied(world)
    honest(world)
    blind = [item for item in since(world, at_ns) if item.born_ns < at_ns + 500 * MS]
    assert not any(item.passed for item in blind)


@pytest.mark.parametrize("retains", [True, False])
def test_a_plc_that_restarts_rejects_until_a_new_conversation_and_numbers_that_come_again_mean_nothing(
    retains: bool,
) -> None:
    world = inspecting()
    for _ in range(4):  # so soon after another that its numbers come again
        world.program.restart(retains=retains)
        world.run(350)
    world.until_ready()
    world.run(500)
    emptied(world)
    honest(world)
    assert any("ended the conversation" in words for words in world.said)


@pytest.mark.parametrize("ms", [150, 2_000])
def test_a_cut_wire_is_noticed_and_its_return_purges(ms: int) -> None:
    world = inspecting()
    world.wire.cut = True
    world.run(ms)
    world.wire.cut = False
    world.until_ready()
    world.run(500)
    emptied(world)
    honest(world)
    assert any("plc gate lost" in words for words in world.said)
    assert ("LATE", "OUTPUT_ERROR") in outcomes(world, world.items)


def test_a_line_that_dies_leaves_a_gate_that_rejects() -> None:
    world = inspecting()
    world.line_lives = False
    at_ns = world.clock.now_ns()
    world.run(2_000)
    assert since(world, at_ns) and not any(item.passed for item in since(world, at_ns))
    assert not world.escapes()


def test_a_line_that_hung_begins_a_new_conversation_and_purges() -> None:
    world = inspecting()
    world.line_lives = False
    world.run(1_000)
    world.line_lives = True
    at_ns = world.clock.now_ns()
    world.run_until(lambda: world.core.state is not LineState.READY, 100)
    world.until_ready()
    world.run(500)
    emptied(world)
    honest(world)
    assert any(item.passed for item in since(world, at_ns))


def test_words_of_an_earlier_conversation_are_dropped() -> None:
    world = inspecting()
    word = next(word for word in reversed(world.told) if word.release)
    world.wire.cut = True
    world.run(3_000)
    assert len(world.talk._told) < 40, "what nobody takes is not kept for ever"
    world.wire.cut = False
    world.until_ready()
    world.talk.tell(word)
    world.run(50)
    assert not [each for each in world.talk._words.values() if each.part_number == word.part_number]
    honest(emptied(world))


def test_a_second_master_ends_the_conversation() -> None:
    world = inspecting()
    world.program.registers[4] = 77
    world.run(60)
    assert any("another station" in words for words in world.said)
    world.until_ready()
    honest(emptied(world))


def test_blocks_that_were_read_while_they_were_written_are_read_again() -> None:
    world = inspecting()
    for _ in range(10):
        world.wire.torn = 2
        world.run(60)
    assert world.core.state is LineState.READY
    world.wire.torn = 3
    world.run(60)
    assert world.core.state is LineState.FAULT
    world.until_ready()
    honest(emptied(world))


def test_answers_that_take_longer_than_the_window_move_no_part_to_its_neighbour() -> None:
    world = inspecting()
    world.wire.rtt_ms = 45
    world.run(1_500)
    assert any("too slowly" in words for words in world.said)
    world.wire.rtt_ms = 2
    world.until_ready()
    world.run(500)
    honest(emptied(world))


def test_a_part_that_only_the_plc_sees_is_rejected_and_purges() -> None:
    world = inspecting()
    world.eye_sees = False
    world.run(PITCH_MS + 10)
    world.eye_sees = True
    world.run(400)
    assert any("the trigger did not" in words for words in world.said)
    world.until_ready()
    world.run(500)
    honest(emptied(world))


def test_a_part_that_the_plc_does_not_see_stops_the_line() -> None:
    world = inspecting()
    world.plc_sees = False
    world.run(PITCH_MS + 10)
    world.plc_sees = True
    world.run(400)
    assert "did not see part" in stop_words(world)[0]
    assert world.core.state is LineState.STOPPED
    world.acknowledge()
    world.until_ready()
    world.run(500)
    honest(emptied(world))


# --- programs that are wrong --------------------------------------------------------------------------------------

CAUGHT = {
    Mistake.TAKES_THE_NEXT_WORD: "took the word for part",
    Mistake.TURNS_THE_WORD_ROUND: "which nobody released",
    Mistake.ACTS_A_PART_LATE: "where its neighbour was",
    Mistake.LEAVES_ONE_OUT: "left out a part",
    Mistake.MISSES_AN_EDGE: "did not see part",
}


@pytest.mark.parametrize("mistake", list(CAUGHT))
def test_a_wrong_program_is_caught_and_the_line_stops_until_a_person_has_looked(mistake: Mistake) -> None:
    world = inspecting(permits=True)
    world.make(mistake)
    world.run_until(lambda: world.core.state is LineState.STOPPED, 2_000)
    assert CAUGHT[mistake] in stop_words(world)[0]
    assert world.permit_log[-1][1] is False
    world.make(Mistake.NONE)
    emptied(world)
    assert not world.lies()
    world.acknowledge()
    world.until_ready()
    at_ns = world.clock.now_ns()
    world.parts_come()
    world.run(1_000)
    emptied(world)
    assert {outcome for outcome, _ in outcomes(world, since(world, at_ns))} == {"RELEASED", "FIRED"}


@pytest.mark.parametrize("mistake", [Mistake.BELIEVES_ANY_WORD, Mistake.PASSES_ON_SILENCE])
def test_a_program_that_passes_what_has_no_word_is_caught(mistake: Mistake) -> None:
    world = inspecting()
    world.make(mistake)
    tell, world.talk.tell = world.talk.tell, lambda word: None  # type: ignore[method-assign] # no word gets out
    world.run_until(lambda: bool(stop_words(world)), 2_000)
    world.talk.tell = tell  # type: ignore[method-assign]
    assert "took the word" in stop_words(world)[0] or "nobody released" in stop_words(world)[0]
    assert not world.lies()


def test_a_program_that_counts_a_part_twice_gets_that_part_rejected() -> None:
    world = inspecting()
    world.make(Mistake.COUNTS_AN_EDGE_TWICE)
    world.run(1_500)
    assert any("one part as two" in words for words in world.said)
    honest(emptied(world))


@pytest.mark.parametrize("mistake", [Mistake.TAKES_ANY_SESSION, Mistake.DEAF_TO_HEARTBEAT])
def test_a_program_that_skips_the_greeting_is_followed_no_further_than_its_numbers_go(mistake: Mistake) -> None:
    world = inspecting()
    world.make(mistake)
    world.run(300)
    world.program.restart()
    world.run(600)
    assert any("plc gate lost" in words for words in world.said)
    emptied(world)
    assert not world.lies()


# --- everything at once -------------------------------------------------------------------------------------------


@dataclass
class Faults:
    """What can fail, and how it is well again."""

    world: World
    dice: Random

    def some(self) -> None:
        """One or two of them at a time, for a while."""
        kinds = (self.cut, self.stands, self.silent, self.blind, self.restarts, self.hangs, self.loses, self.tears)
        for fail in self.dice.sample((*kinds, self.slow), self.dice.randint(1, 2)):
            fail()
            self.world.run(self.dice.randint(5, 200))
        self.world.run(self.dice.randint(5, 800))

    def heal(self) -> None:
        world = self.world
        world.wire.cut, world.wire.rtt_ms = False, 2
        if not world.scans:
            world.scans, world._next_scan_ns = True, world.clock.now_ns()
        world.speaks = world.plc_sees = world.line_lives = True
        world.run(1_000)
        world.acknowledge()

    def _between_parts(self) -> None:
        """A PLC that falls while a part passes rejects it after its answer; no register can show that."""
        self.world.run_until(lambda: not self.world.program.passing)

    def cut(self) -> None:
        self.world.wire.cut = True

    def stands(self) -> None:
        self._between_parts()
        self.world.scans = False

    def silent(self) -> None:
        self.world.speaks = False

    def blind(self) -> None:
        self.world.plc_sees = False

    def restarts(self) -> None:
        self._between_parts()
        self.world.program.restart(retains=self.dice.random() < 0.5)

    def hangs(self) -> None:
        self.world.line_lives = False

    def loses(self) -> None:
        self.world.loses_word += self.dice.randint(1, 3)

    def tears(self) -> None:
        self.world.wire.torn += self.dice.randint(1, 6)

    def slow(self) -> None:
        self.world.wire.rtt_ms = self.dice.choice((1, 5, 10, 20, 30, 60))


@pytest.mark.parametrize("seed", range(6))
def test_whatever_fails_nobody_unproven_passes_and_no_record_is_untrue(seed: int) -> None:
    world = inspecting(seed)
    faults = Faults(world, Random(seed))
    for _ in range(8):
        faults.some()
        faults.heal()
        world.until_ready()
        world.run(600)
    emptied(world)
    assert not world.escapes()
    assert not world.lies()
    assert len({event.part_id for event in world.events}) == len(world.events)
    assert sum(event.outcome is GateOutcome.RELEASED for event in world.events) > 50
    assert not [event for event in world.events if event.reason is Reason.NONE and not event.confirmed_ns]
