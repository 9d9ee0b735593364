"""The PLC's program by itself: it rejects what nobody released, in the right conversation, by the right number."""

from __future__ import annotations

from edge.line.plc_gate.table import HELLO, MAX_LIVE, PLC_BASE, PLC_SIZE, Did, Greeting, Word, line_block, plc_block
from tests.plc_gate.program import Program

TRAVEL_MS, PULSE_MS = 100, 20


class Plc:
    """The program, scanned every 5 ms, and a line that says what a test likes."""

    def __init__(self) -> None:
        self.program = Program(TRAVEL_MS, PULSE_MS, 50, heartbeat_ms=500)
        self.now_ms = 10_000
        self.beat = 0

    def line(self, session: int, *words: Word, beats: bool = True) -> None:
        self.beat += beats
        block = line_block(Greeting(heartbeat=self.beat, session=session), words)
        self.program.registers[: len(block)] = block

    def run(self, ms: int, eye: bool = False) -> bool:
        """Whether the gate let pass at any time."""
        passed = False
        for _ in range(ms // 5):
            self.now_ms += 5
            self.program.scan(self.now_ms, self.now_ms, eye)
            passed = passed or self.program.passing
        return passed

    def part(self) -> None:
        self.run(10, eye=True)
        self.run(10)

    def shown(self):  # type: ignore[no-untyped-def]
        return plc_block(self.program.registers[PLC_BASE : PLC_BASE + PLC_SIZE])

    def greeted(self) -> None:
        self.line(HELLO)
        self.run(10)
        self.line(9)
        self.run(10)
        assert self.shown()[0].session == 9


def test_a_released_part_passes_and_the_answer_says_which() -> None:
    plc = Plc()
    plc.greeted()
    plc.part()
    plc.line(9, Word(33, 1, 1))
    assert plc.run(TRAVEL_MS)
    assert plc.shown()[1][1].did == Did.PASSED and plc.shown()[1][1].part_number == 33


def test_a_rejected_part_a_part_without_a_word_and_one_with_anothers_word_do_not_pass() -> None:
    plc = Plc()
    plc.greeted()
    plc.part()
    plc.part()
    plc.part()
    plc.line(9, Word(33, 1, 0), Word(50, 17, 17))  # edge 17 has the slot of edge 1
    assert not plc.run(2 * TRAVEL_MS)
    plc.line(9, Word(34, 3, 3))
    assert [plc.shown()[1][edge].did for edge in (1, 2, 3)] == [Did.REJECTED] * 3


def test_a_word_without_a_greeting_passes_nobody() -> None:
    plc = Plc()
    plc.line(9, Word(33, 1, 1))
    plc.part()
    plc.line(9, Word(33, 1, 1))
    assert not plc.run(2 * TRAVEL_MS)
    assert plc.shown()[0].session == 0


def test_a_word_that_comes_too_late_passes_nobody() -> None:
    plc = Plc()
    plc.greeted()
    plc.part()
    assert not plc.run(TRAVEL_MS)
    plc.line(9, Word(33, 1, 1))
    plc.part()
    assert not plc.run(2 * TRAVEL_MS)


def test_a_heartbeat_that_stands_still_ends_the_conversation_until_a_greeting() -> None:
    plc = Plc()
    plc.greeted()
    plc.run(600)
    plc.line(9)
    plc.run(10)
    assert plc.shown()[0].session == 0
    plc.greeted()


def test_more_parts_than_there_are_slots_are_all_rejected_and_said() -> None:
    plc = Plc()
    plc.program.set_travel(10_000)
    plc.greeted()
    for _ in range(MAX_LIVE + 1):
        plc.line(9, *(Word(edge, edge, edge) for edge in range(1, MAX_LIVE + 1)))
        plc.part()
    head, _ = plc.shown()
    assert head.error == 1 and head.session == 0
    plc.line(9)
    assert not plc.run(12_000)
    plc.greeted()
    assert plc.shown()[0].error == 0
