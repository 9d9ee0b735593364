"""How a frozen dataclass of unsigned numbers lies in registers of 16 bits: most significant byte and word first."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, fields
from typing import Any

_CODES = {1: "H", 2: "I"}
_MASKS = {1: 0xFFFF, 2: 0xFFFF_FFFF}


def u16(about: str, default: int = 0) -> Any:
    """A field of one register; `about` is what its row in the docs says."""
    return field(default=default, metadata={"registers": 1, "about": about})


def u32(about: str, default: int = 0) -> Any:
    """A field of two registers."""
    return field(default=default, metadata={"registers": 2, "about": about})


@dataclass(frozen=True, slots=True)
class Word:
    """One number of a block: its place counted in registers from the map's begin, and its size in registers."""

    name: str
    register: int
    registers: int
    about: str


def words(kind: type[Any], base: int = 0) -> list[Word]:
    """The words of a block that begins at register `base`, in their order."""
    found: list[Word] = []
    for item in fields(kind):
        taken = item.metadata["registers"]
        found.append(Word(item.name, base, taken, item.metadata["about"]))
        base += taken
    return found


def size(kind: type[Any]) -> int:
    """How many registers the block takes."""
    return sum(word.registers for word in words(kind))


def form(kind: type[Any]) -> struct.Struct:
    """The block's bytes."""
    return struct.Struct(">" + "".join(_CODES[word.registers] for word in words(kind)))


def to_registers(block: Any) -> list[int]:
    """The block as registers of 16 bits."""
    data = form(type(block)).pack(*astuple(block))
    return list(struct.unpack(f">{len(data) // 2}H", data))


def numbers(kind: type[Any], registers: Sequence[int]) -> tuple[int, ...]:
    """The block's numbers from its registers. Raises ValueError for another length."""
    if len(registers) != size(kind):
        raise ValueError(f"{len(registers)} registers, {kind.__name__} has {size(kind)}")
    return form(kind).unpack(struct.pack(f">{len(registers)}H", *registers))


def wrapped(registers: int, value: int) -> int:
    """A count as far as a word of so many registers holds it."""
    return value & _MASKS[registers]
