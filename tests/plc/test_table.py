"""The words are laid out as the PLC's program expects them, byte for byte."""

from __future__ import annotations

from dataclasses import fields
from math import nan

import pytest

from edge.plc.table import (
    BASES,
    LENGTH,
    NO_SCORE,
    SPAN,
    Ended,
    Flag,
    Orders,
    Result,
    ResultFlag,
    ShownVerdict,
    Status,
    blocks_from_bytes,
    blocks_from_registers,
    from_bytes,
    from_registers,
    shown,
    size,
    to_bytes,
    to_registers,
    words,
)
from edge.records import GateOutcome, Kind, Reason
from tests.plc.golden import GOLDEN, ORDERS, RESULT, STATUS

BLOCKS = (Status, Result, Orders)


@pytest.mark.parametrize("kind", BLOCKS)
def test_the_bytes_of_a_block_are_these_and_no_others(kind: type) -> None:
    block = {Status: STATUS, Result: RESULT, Orders: ORDERS}[kind]
    assert to_bytes(block).hex(" ", 2) == GOLDEN[kind]
    assert from_bytes(kind, bytes.fromhex(GOLDEN[kind])) == block


@pytest.mark.parametrize("kind", BLOCKS)
def test_registers_are_the_bytes_two_by_two(kind: type) -> None:
    block = {Status: STATUS, Result: RESULT, Orders: ORDERS}[kind]
    registers = to_registers(block)
    assert registers == [int(word, 16) for word in GOLDEN[kind].split()]
    assert from_registers(kind, registers) == block


def test_the_whole_map_holds_the_blocks_at_their_places() -> None:
    registers = [0xDEAD] * LENGTH
    for block in (STATUS, RESULT, ORDERS):
        begin = BASES[type(block)]
        registers[begin : begin + size(type(block))] = to_registers(block)
    assert blocks_from_registers(registers) == (STATUS, RESULT, ORDERS)
    for wrong in (b"", bytes(2 * LENGTH - 1), bytes(2 * LENGTH + 2)):
        with pytest.raises(ValueError, match="bytes"):
            blocks_from_bytes(wrong)


def test_blocks_do_not_overlap_and_fit_into_one_request() -> None:
    taken = [word.register + part for kind in BLOCKS for word in words(kind) for part in range(word.registers)]
    assert len(taken) == len(set(taken))
    assert max(taken) < LENGTH <= SPAN <= 125


def test_every_word_says_what_it_is() -> None:
    for kind in BLOCKS:
        assert [word.name for word in words(kind)] == [item.name for item in fields(kind)]
        assert all(word.about for word in words(kind))


def test_a_block_of_zeros_never_means_a_good_part_or_a_ready_station() -> None:
    status, result = from_bytes(Status, bytes(2 * size(Status))), from_bytes(Result, bytes(2 * size(Result)))
    assert not status.flags & Flag.READY
    assert result.verdict == ShownVerdict.NONE and result.outcome not in set(GateOutcome)


def test_a_result_carries_the_part_it_is_about() -> None:
    ended = Ended(
        7 << 32 | 9, Kind.REJECT, Reason.DEFECT, GateOutcome.FIRED, 0.9876, 3, shadow=True, simulated=True
    )
    result = shown(ended, 41, 2)
    assert (result.part_session, result.part_number) == (7, 9)
    assert (result.verdict, result.outcome, result.reason) == (2, 1, 1)
    assert (result.sequence, result.seal, result.lost_before, result.recipe) == (41, 41, 2, 3)
    assert result.score == 988 and result.flags == ResultFlag.SHADOW | ResultFlag.SIMULATED


@pytest.mark.parametrize(("score", "per_mille"), [(nan, NO_SCORE), (0.0, 0), (1.0, 1_000), (1.7, 1_000), (-0.1, 0)])
def test_a_score_that_is_none_is_told_as_none(score: float, per_mille: int) -> None:
    ended = Ended(1, Kind.UNKNOWN, Reason.BAD_SCORE, GateOutcome.FIRED, score, 0, shadow=False, simulated=False)
    assert shown(ended, 1, 0).score == per_mille
