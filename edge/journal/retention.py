"""Which days' files may go, and the words by which the journal keeps on record what went; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge.journal.chain import Head

KIND = "dropped"
_WORDS = re.compile(r"(\S+): rows (\d+) to (\d+), head ([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Keep:
    """How much the journal keeps: so many days' files, so many MB (10^6 bytes) of them, and the emergency reserve."""

    days: int = 30
    max_mb: int = 4_000
    reserve_mb: int = 16

    @property
    def bytes_a_day(self) -> int:
        """How large a day's file may become where no clock ends it."""
        return max(self.max_mb // self.days, 1) * 1_000_000


@dataclass(frozen=True, slots=True)
class Dropped:
    """A day's file that was deleted: its name, its first row, and its head, from which the next file goes on."""

    name: str
    first: int
    head: Head

    @property
    def words(self) -> str:
        """As a note says it."""
        return f"{self.name}: rows {self.first} to {self.head.number}, head {self.head.link.hex()}"


def dropped_from(words: str) -> Dropped | None:
    """What a note of this kind says; None when it is none of ours."""
    found = _WORDS.fullmatch(words)
    if found is None:
        return None
    name, first, last, link = found.groups()
    return Dropped(name, int(first), Head(int(last), bytes.fromhex(link)))


def too_many(sizes: Sequence[int], keep: Keep) -> int:
    """How many of the oldest files must go; `sizes` in bytes, oldest first. The newest, which is written, stays."""
    count = max(0, len(sizes) - keep.days)
    while count < len(sizes) - 1 and sum(sizes[count:]) > keep.max_mb * 1_000_000:
        count += 1
    return count
