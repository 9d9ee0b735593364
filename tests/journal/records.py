"""Records for the journal's tests."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.clock import Clock
from edge.journal.events import Journal
from edge.journal.heads import OUTSIDE, Heads
from edge.journal.retention import Keep
from edge.journal.rows import Decided
from edge.records import GateEvent, GateOutcome, Kind, Part, Reason, Verdict

SESSION = 7
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SMALL = Keep(days=30, max_mb=2_000, reserve_mb=0)


def opened(folder: Path, clock: Clock, keep: Keep = SMALL, key: Ed25519PrivateKey = KEY) -> Journal:
    """A journal without an emergency reserve, which takes disk and time; its newest head is kept beside its folder."""
    return Journal(folder, clock, Heads(key, outside(folder)), keep)


def outside(folder: Path) -> Path:
    """Where the newest head of this folder is kept."""
    return folder.with_name(f"{folder.name}-{OUTSIDE}")


def part_id(number: int) -> int:
    return SESSION << 32 | number


def decided(number: int, kind: Kind = Kind.PASS, score: float = 0.25, reason: Reason = Reason.NONE) -> Decided:
    part = Part(part_id(number), number * 50, 3, number * 50, number * 50 + 30, number * 50 + 40, 2, 5, False)
    return Decided(part, Verdict(part.part_id, kind, reason, score, 0.5, "ab" * 32, number * 50 + 20))


def unknown(number: int) -> Decided:
    return decided(number, Kind.UNKNOWN, nan, Reason.NO_FRAME)


def refused(number: int) -> GateEvent:
    """The outcome of an unknown part."""
    return replace(ended(number), outcome=GateOutcome.FIRED, verdict=Kind.UNKNOWN, reason=Reason.NO_FRAME)


def ended(number: int, seq: int | None = None) -> GateEvent:
    born = (number * 50, 3, number * 50 + 30, number * 50 + 40, number * 50 + 41, number * 50 + 42)
    wall, recipe = 1_700_000_000_000_000_000 + number, 2
    ends = (GateOutcome.RELEASED, Kind.PASS, Reason.NONE, True)
    return GateEvent(number if seq is None else seq, part_id(number), *born, wall, recipe, *ends)
