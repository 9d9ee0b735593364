"""One thing on the belt: what it truly is, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Lane(Enum):
    """Where an item ended."""

    BELT = "still on the belt"
    GOOD = "good lane"
    BIN = "reject bin"
    TAKEN = "taken away by hand"


@dataclass(slots=True, eq=False)
class Item:
    """`front_mm` is the belt position at which its front edge is at the photo-eye; `length_mm` its extent.

    `says`, `after` and `trick` are what the eye does for it: see `tests.conveyor.script.Put`. `births` are the times of
    the edges that it caused.
    """

    number: int
    front_mm: float
    length_mm: float
    defect: bool = False
    says: str = "truth"
    after: float = 0.3
    trick: str = ""
    bounces: bool = False
    part_of: Item | None = None  # what it touches, so that both look like that one
    unseen: str = ""  # why no input of the station could report it
    mismeasured: bool = False  # the encoder lost pulses while it passed the photo-eye
    mistaken: str = ""  # why the eye could not but take another picture for its
    births: list[int] = field(default_factory=list)
    part_ids: list[int] = field(default_factory=list)
    lane: Lane = Lane.BELT
    near_ns: int = 0  # when it first came so near to the gate that the line might act for it
    decided_ns: int = 0
    excuse: str = ""
