"""The registers between the line and a PLC with a gate of its own are laid out as the PLC's program expects them."""

from __future__ import annotations

import pytest

from edge.line.plc_gate.table import (
    BASES,
    LINE_SIZE,
    MAX_LIVE,
    NUMBERS,
    PLC_BASE,
    PLC_SIZE,
    SLOTS,
    SPAN,
    Did,
    Greeting,
    Head,
    LineFlag,
    Seen,
    Word,
    following,
    line_block,
    plc_block,
    steps,
)
from edge.options import MAX_AT_PLC
from edge.registers import size, to_registers, words
from tests.contracts.source_tree import ROOT

GREETING = Greeting(heartbeat=0x0102, session=0x0304, flags=5, part_session=0x05060708)
WORD = Word(part_number=0x090A0B0C, edge=0x0D03, release=0x0D03)  # slot 3
HEAD = Head(scan=0x1112, session=0x1314, clock=0x1516, newest=0x1718, error=1)
SEEN = Seen(edge=0x1905, born=0x1B1C, did=2, part_number=0x1D1E1F20, acted=0x2122)  # slot 5

GOLDEN = {
    GREETING: "0102 0001 0102 0304 0304 0005 0506 0708",
    WORD: "090a 0b0c 0d03 0d03",
    HEAD: "1112 1314 1516 1718 0001",
    SEEN: "1905 1b1c 0002 1d1e 1f20 2122",
}


def shown(*seen: Seen, head: Head = HEAD) -> list[int]:
    """The PLC's block with these slots."""
    registers = to_registers(head) + [0] * (PLC_SIZE - size(Head))
    for each in seen:
        begin = size(Head) + each.edge % SLOTS * size(Seen)
        registers[begin : begin + size(Seen)] = to_registers(each)
    registers[-1] = head.scan
    return registers


@pytest.mark.parametrize("block", list(GOLDEN), ids=lambda block: type(block).__name__)
def test_the_registers_of_a_block_are_these_and_no_others(block: object) -> None:
    assert " ".join(f"{register:04x}" for register in to_registers(block)) == GOLDEN[block]  # type: ignore[index]


def test_every_block_begins_where_the_page_says() -> None:
    assert list(BASES.values()) == [0, 8, 80, 85, 181]
    assert (LINE_SIZE, PLC_BASE, PLC_SIZE, SPAN) == (72, 80, 102, 182)
    assert LINE_SIZE <= 123 and PLC_SIZE <= 125, "one request each"
    assert LINE_SIZE <= PLC_BASE


def test_a_word_stands_in_the_slot_of_its_edge_and_the_others_are_empty() -> None:
    block = line_block(GREETING, [WORD])
    assert block[: size(Greeting)] == to_registers(GREETING)
    begin = size(Greeting) + 3 * size(Word)
    assert block[begin : begin + size(Word)] == to_registers(WORD)
    assert not any(block[size(Greeting) : begin]) and not any(block[begin + size(Word) :])


def test_what_the_plc_shows_is_found_by_its_edge() -> None:
    head, seen = plc_block(shown(SEEN))
    assert head == HEAD and seen == {SEEN.edge: SEEN}


@pytest.mark.parametrize(
    "registers",
    [
        shown(SEEN)[:-1],
        [*shown(SEEN)[:-1], 0x1111],
        [register if at != size(Head) + 5 * size(Seen) else 0x1906 for at, register in enumerate(shown(SEEN))],
        shown(Seen(edge=5, did=3)),
    ],
    ids=["short", "torn", "an edge in another's slot", "an outcome that is none"],
)
def test_what_is_no_whole_block_is_refused(registers: list[int]) -> None:
    with pytest.raises(ValueError, match=r"registers|written|slot"):
        plc_block(registers)


def test_zeros_release_nobody_and_a_word_that_is_half_written_does_not_either() -> None:
    empty = Word()
    assert empty.edge == empty.release == 0 and following(0) == 1, "no edge is number 0"
    old, new = to_registers(Word(1, 3, 3)), to_registers(Word(17, 19, 19))
    for cut in range(1, len(old)):
        for torn in (new[:cut] + old[cut:], old[:cut] + new[cut:]):
            edge, release = torn[2:]
            assert edge != release or torn[2:] in (old[2:], new[2:])
            if edge == release:
                assert cut <= 2, "both numbers are of one word, only the part's differs: its echo shows that"


def test_the_numbers_of_the_parts_in_the_zone_never_share_a_slot() -> None:
    for first in range(1, NUMBERS + 1):
        last = first
        for _ in range(MAX_LIVE):
            last = following(last)
            if last % SLOTS == first % SLOTS:
                pytest.fail(f"edges {first} and {last}")
        assert steps(first, last) == MAX_LIVE
    assert MAX_AT_PLC == MAX_LIVE


def test_every_word_says_what_it_is() -> None:
    for kind in BASES:
        assert all(word.about for word in words(kind))
    assert [did.name for did in Did] == ["WAITING", "REJECTED", "PASSED"]
    page = (ROOT / "docs" / "plc-gate.md").read_text(encoding="utf-8")
    assert ", ".join(f"bit {flag.bit_length() - 1} {flag.name}" for flag in LineFlag) in page
