"""The hash chain over the journal's rows: the canonical bytes of a row, the link to the row before, and heads; pure.

    link(row) = SHA-256( link of the row before | canonical bytes of the row )

docs/journal.md states the form for whoever checks a journal with other tools.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

Value = int | float | str | bytes | None

_INTEGER = struct.Struct(">cq").pack
_REAL = struct.Struct(">cd").pack
_TEXT = struct.Struct(">cI").pack
_HEAD = struct.Struct(">q32sq").pack
_DOMAIN = b"kenpin journal head\n"  # no other signature of the device's key begins like this


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: the number of its last row and that row's link (32 bytes)."""

    number: int
    link: bytes

    def __str__(self) -> str:
        return f"{self.number}:{self.link.hex()}"


START = Head(0, bytes(32))  # before the first row


def canonical(table: str, values: Sequence[Value]) -> bytes:
    """The bytes that stand for a row: the table's name, then its values in the order of the columns, without the link.

    Text may come as its UTF-8 bytes. Raises struct.error for an integer beyond 64 bits and TypeError for what no
    row holds.
    """
    parts = [_text(table.encode())]
    for value in values:
        if value is None:
            parts.append(b"N")
        elif isinstance(value, int):
            parts.append(_INTEGER(b"I", value))
        elif isinstance(value, float):
            parts.append(_REAL(b"R", value))
        elif isinstance(value, bytes):
            parts.append(_text(value))
        else:
            parts.append(_text(value.encode()))
    return b"".join(parts)


def _text(encoded: bytes) -> bytes:
    return _TEXT(b"T", len(encoded)) + encoded


def follow(head: Head, row: bytes) -> Head:
    """The head after one more row, given by its canonical bytes."""
    return Head(head.number + 1, sha256(head.link + row).digest())


def head_bytes(head: Head, wall_ns: int) -> bytes:
    """What is signed for a head: which row, its link, and when (ns since 1970 UTC)."""
    return _DOMAIN + _HEAD(head.number, head.link, wall_ns)
