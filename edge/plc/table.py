"""The words that a station and its PLC exchange: every kind of link carries these blocks, in this order, or none.

Numbers are unsigned, 16 or 32 bits wide, the most significant byte and word first. A block is laid out word by word
as it is declared here; `docs/plc.md` is generated from it, and a test holds every kind to these very bytes. A change
that an existing PLC program could misread takes another MAP_VERSION.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from enum import IntEnum, IntFlag
from typing import Any, TypeVar

from edge import registers as layout
from edge.records import GateOutcome, Kind, Reason
from edge.registers import size as size
from edge.registers import u16, u32

MAP_VERSION = 1
ORDER_CHECK = 0x01020304
NO_SCORE = 0xFFFF


class Flag(IntFlag):
    """The bits of `Status.flags`."""

    READY = 1  # parts are inspected, and released when they pass
    BUSY = 2  # parts are between trigger and gate
    RESULT_VALID = 4  # the result block holds a result that the PLC has not acknowledged
    NOT_INSPECTING = 8  # parts pass uninspected (bypass), or the gate is not driven (shadow)
    PERMIT = 16  # the line permit is on


class ResultFlag(IntFlag):
    """The bits of `Result.flags`."""

    SHADOW = 1  # the gate was not driven for this part
    SIMULATED = 2  # the part or its picture was not a real one


class Mode(IntEnum):
    """What the station is used for; numbers from 4 on are this station's own in PackML."""

    PRODUCTION = 1
    SHADOW = 4  # judges, never drives the gate
    BYPASS = 5  # a person lets parts pass uninspected for a limited time


class Packml(IntEnum):
    """States of ISA-TR88.00.02 that this station shows, with their numbers there."""

    STOPPED = 2
    STARTING = 3
    SUSPENDED = 5
    EXECUTE = 6
    STOPPING = 7
    ABORTED = 9
    HELD = 11


class ErrorCode(IntEnum):
    """Why the station is not ready, or what went wrong on the link; the gravest that stands."""

    NONE = 0
    NO_HANDSHAKE = 1  # the PLC does not echo the session, or its heartbeat does not count yet
    HEARTBEAT_LOST = 2  # the PLC's heartbeat stood still
    NO_RECIPE = 3  # the PLC has not chosen a recipe
    UNKNOWN_RECIPE = 4  # the PLC chose a recipe that the station does not have
    SUSPENDED = 5  # the PLC asked for it
    BAD_COMMAND = 6  # the PLC sent a command that is none
    RESULTS_LOST = 7  # the PLC did not take results in time; it stands until the next one is acknowledged
    WRONG_ACK = 8  # the PLC acknowledged what it was not shown; it stands until the next right one
    NOT_READY = 20  # a device of the station is away, the belt is being purged, or parts pass uninspected
    LIMIT = 21  # a limit stopped the station: a person must look
    FAULT = 22  # something failed that does not come back by itself


class Command(IntEnum):
    """All that a PLC may ask: none of it lets a part pass."""

    RUN = 0
    SUSPEND = 1  # do not release anything: the line before or behind the station stands


class ShownVerdict(IntEnum):
    """A verdict's number for the PLC. Zeros never mean a good part."""

    NONE = 0
    PASS = 1
    REJECT = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Status:
    """Station to PLC, with every heartbeat."""

    heartbeat: int = u16("counts up with every exchange; standing still means that the station is gone")
    map_version: int = u16("the version of this table", MAP_VERSION)
    order_check: int = u32(
        "always 16909060 (hex 01020304): another value means swapped bytes or words", ORDER_CHECK
    )
    session: int = u16("the PLC copies it into its own block; it changes with every connection and loss of the PLC")
    flags: int = u16("bits, see below")
    state: int = u16("the PackML state, see below")
    mode: int = u16("see below")
    error: int = u16("an error code, see below")
    recipe: int = u16("the recipe that parts are born with from now on; 0 without recipes")
    result_sequence: int = u16("the sequence of the result that waits for its acknowledgement, 0 when none does")
    waiting: int = u16("results that wait behind it")
    parts: int = u32("parts that ended since the station started; wraps")
    rejected: int = u32("of these, with the verdict REJECT")
    unknown: int = u32("of these, with the verdict UNKNOWN")
    results_lost: int = u32("results that the PLC did not get, since the station started; wraps")


@dataclass(frozen=True, slots=True)
class Result:
    """Station to PLC: how one part ended. A part is good only when its verdict is PASS and its outcome RELEASED."""

    sequence: int = u16("1 to 65535, then 1 again; the PLC copies it into `ack` when it has taken the result")
    lost_before: int = u16("how many results were lost between the last acknowledged one and this")
    part_session: int = u32("the upper half of the part's id: the line's session")
    part_number: int = u32("the lower half of the part's id: its number in that session")
    verdict: int = u16("1 PASS, 2 REJECT, 3 UNKNOWN; 0 is none, never a pass")
    outcome: int = u16("what the gate did: 1 FIRED, 2 RELEASED, 3 LATE (a fault: not known to be right)")
    reason: int = u16("why, see below")
    score: int = u16("the defect score in per mille, 65535 without one", NO_SCORE)
    recipe: int = u16("the recipe that the part was born with")
    flags: int = u16("bits, see below")
    seal: int = u16("the sequence again: where it differs, the block was read while it was written; read again")


@dataclass(frozen=True, slots=True)
class Orders:
    """PLC to station: everything that the PLC may write."""

    heartbeat: int = u16("any other number than before, several times within `heartbeat_timeout_ms`")
    session: int = u16("a copy of the station's `session`")
    ack: int = u16("a copy of the result's `sequence`, once it is taken")
    recipe: int = u16("the recipe that the product on the belt needs; 0 without recipes")
    command: int = u16("0 RUN, 1 SUSPEND")


# Where each block begins, counted in registers of 16 bits, in every kind that has addresses.
BASES: dict[type[Any], int] = {Status: 0, Result: 32, Orders: 64}
SPAN = 80  # registers that the whole map takes

Block = TypeVar("Block", Status, Result, Orders)


def words(kind: type[Any]) -> list[layout.Word]:
    """The words of a block in their order."""
    return layout.words(kind, BASES[kind])


LENGTH = BASES[Orders] + size(Orders)  # registers up to the end of the last block
_FORMATS = {kind: layout.form(kind) for kind in BASES}


def to_bytes(block: Status | Result | Orders) -> bytes:
    """The block as a PLC's memory holds it."""
    return _FORMATS[type(block)].pack(*astuple(block))


def from_bytes(kind: type[Block], data: bytes) -> Block:
    """The reverse of `to_bytes`. Raises ValueError for another length."""
    form = _FORMATS[kind]
    if len(data) != form.size:
        raise ValueError(f"{len(data)} bytes, {kind.__name__} has {form.size}")
    return kind(*form.unpack(data))


def to_registers(block: Status | Result | Orders) -> list[int]:
    """The block as registers of 16 bits."""
    data = to_bytes(block)
    return list(struct.unpack(f">{len(data) // 2}H", data))


def from_registers(kind: type[Block], registers: Sequence[int]) -> Block:
    """The reverse of `to_registers`. Raises ValueError for another length."""
    return from_bytes(kind, struct.pack(f">{len(registers)}H", *registers))


def blocks_from_bytes(data: bytes) -> tuple[Status, Result, Orders]:
    """All three blocks from the map's bytes, up to the end of the last one. Raises ValueError for another length."""
    if len(data) != 2 * LENGTH:
        raise ValueError(f"{len(data)} bytes, the map has {2 * LENGTH}")

    def cut(kind: type[Any]) -> bytes:
        begin = 2 * BASES[kind]
        return data[begin : begin + 2 * size(kind)]

    return from_bytes(Status, cut(Status)), from_bytes(Result, cut(Result)), from_bytes(Orders, cut(Orders))


def blocks_from_registers(registers: Sequence[int]) -> tuple[Status, Result, Orders]:
    """The same from registers."""
    return blocks_from_bytes(struct.pack(f">{len(registers)}H", *registers))


SHOWN_VERDICTS = {
    Kind.PASS: ShownVerdict.PASS,
    Kind.REJECT: ShownVerdict.REJECT,
    Kind.UNKNOWN: ShownVerdict.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a part ended, as the eye knows it; `score` is NaN without one."""

    part_id: int
    verdict: Kind
    reason: Reason
    outcome: GateOutcome
    score: float
    recipe: int
    shadow: bool
    simulated: bool


def shown(ended: Ended, sequence: int, lost_before: int) -> Result:
    """The part's end as a result block with this sequence."""
    score = NO_SCORE if math.isnan(ended.score) else round(min(max(ended.score, 0.0), 1.0) * 1_000)
    return Result(
        sequence=sequence,
        lost_before=min(lost_before, 0xFFFF),
        part_session=ended.part_id >> 32 & 0xFFFF_FFFF,
        part_number=ended.part_id & 0xFFFF_FFFF,
        verdict=SHOWN_VERDICTS[ended.verdict],
        outcome=ended.outcome,
        reason=ended.reason,
        score=score,
        recipe=ended.recipe,
        flags=ResultFlag.SHADOW * ended.shadow | ResultFlag.SIMULATED * ended.simulated,
        seal=sequence,
    )
