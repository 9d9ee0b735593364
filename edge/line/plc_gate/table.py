"""The registers between the line and a PLC that owns the gate: a word for each part goes out, what was done comes back.

The PLC numbers the edges of the photo-eye, and every word and every answer names such a number: nobody counts for the
other. Both tables have SLOTS slots, and edge `n` uses slot `n MOD SLOTS`. Numbers are unsigned, the most significant
word first. `docs/plc-gate.md` is generated from this table. A change that an existing PLC program could misread takes
another MAP_VERSION.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from edge.registers import numbers, size, to_registers, u16, u32

MAP_VERSION = 1
ORDER_CHECK = 0x01020304
SLOTS = 16
MAX_LIVE = 14  # parts between photo-eye and gate: numbers leave out 0, so 15 could meet in one slot
HELLO = 0xFFFF  # the session that begins a conversation; 0 is none
NUMBERS = 65_535  # edges are numbered 1 to this, then 1 again


class LineFlag(IntFlag):
    """The bits of `Greeting.flags`."""

    INSPECTING = 1  # parts are inspected, and released when they pass
    SHADOW = 2  # the station only watches: it says no word for any part
    BYPASS = 4  # a person lets parts pass uninspected


class Did(IntEnum):
    """What the PLC did with a part."""

    WAITING = 0  # it has not come to the gate
    REJECTED = 1
    PASSED = 2


@dataclass(frozen=True, slots=True)
class Greeting:
    """Line to PLC, the head of the line's block."""

    heartbeat: int = u16("another number at least every `heartbeat_ms`; standing still means that the line is gone")
    map_version: int = u16("the version of this table", MAP_VERSION)
    order_check: int = u32(
        "always 16909060 (hex 01020304): another value means swapped bytes or words", ORDER_CHECK
    )
    session: int = u16(
        "0 none, 65535 the line begins a conversation, else the conversation that the words belong to"
    )
    flags: int = u16("bits, see below; for the PLC's display and permit, never to let a part pass")
    part_session: int = u32("the upper half of every part's id")


@dataclass(frozen=True, slots=True)
class Word:
    """Line to PLC, 16 times: the word for the part that the PLC saw as edge `edge`, in slot `edge MOD 16`."""

    part_number: int = u32("the lower half of the part's id; the PLC repeats it in its answer")
    edge: int = u16("the PLC's number of the part's edge, 0 for an empty slot")
    release: int = u16("RELEASE: the same number as `edge`. Anything else is REJECT")


@dataclass(frozen=True, slots=True)
class Head:
    """PLC to line, the head of the PLC's block. The block is copied there whole at the end of a scan."""

    scan: int = u16("counts the PLC's scans; standing still means that its program is")
    session: int = u16("a copy of the line's `session`, 0 while the PLC waits for a conversation to begin")
    clock: int = u16("milliseconds, wraps")
    newest: int = u16("the number of the newest edge, 0 before the first")
    error: int = u16("0 none, 1 more than 14 parts between photo-eye and gate, from 100 on the PLC's own")


@dataclass(frozen=True, slots=True)
class Seen:
    """PLC to line, 16 times: the part of edge `edge`, in slot `edge MOD 16`."""

    edge: int = u16("the number of the edge, 0 for an empty slot")
    born: int = u16("`clock` when the PLC saw the edge")
    did: int = u16("0 the part has not come to the gate, 1 rejected, 2 let pass")
    part_number: int = u32("of the word that the PLC went by, 0 when there was none")
    acted: int = u16("`clock` when the gate moved for it, or stayed for it")


@dataclass(frozen=True, slots=True)
class Tail:
    """PLC to line, the end of the PLC's block."""

    scan_again: int = u16("`scan` again: where it differs, the block was read while it was written")


LINE_SIZE = size(Greeting) + SLOTS * size(Word)
PLC_BASE = 80  # where the PLC's block begins, counted from the line's
PLC_SIZE = size(Head) + SLOTS * size(Seen) + size(Tail)
SPAN = PLC_BASE + PLC_SIZE
# Where each block, or the first of its slots, begins.
BASES: dict[type, int] = {
    Greeting: 0,
    Word: size(Greeting),
    Head: PLC_BASE,
    Seen: PLC_BASE + size(Head),
    Tail: SPAN - size(Tail),
}


def following(edge: int) -> int:
    """The number after this one."""
    return edge % NUMBERS + 1


def steps(edge: int, later: int) -> int:
    """How many edges lie from one number to the other, going up."""
    return (later - edge) % NUMBERS


def line_block(greeting: Greeting, words: Iterable[Word]) -> list[int]:
    """The line's block, each word in its slot."""
    slots = {word.edge % SLOTS: word for word in words}
    registers = to_registers(greeting)
    for slot in range(SLOTS):
        registers += to_registers(slots.get(slot, Word()))
    return registers


def plc_block(registers: Sequence[int]) -> tuple[Head, dict[int, Seen]]:
    """The PLC's block, its slots by their edge. Raises ValueError when it was read while it was written, and for what
    cannot be."""
    if len(registers) != PLC_SIZE:
        raise ValueError(f"{len(registers)} registers, the PLC's block has {PLC_SIZE}")
    head = Head(*numbers(Head, registers[: size(Head)]))
    if registers[-1] != head.scan:
        raise ValueError("read while it was written")
    seen = {}
    for slot in range(SLOTS):
        begin = size(Head) + slot * size(Seen)
        one = Seen(*numbers(Seen, registers[begin : begin + size(Seen)]))
        if one.edge:
            if one.edge % SLOTS != slot or one.did not in set(Did):
                raise ValueError(f"slot {slot} holds {one}")
            seen[one.edge] = one
    return head, seen
