"""What `edge collect` is asked to record: which pictures, for how long, and how much room they may take."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

Encoding: TypeAlias = Literal["png", "jpeg", "bmp"]
Grouping: TypeAlias = Literal["lot", "part"]
WhenFull: TypeAlias = Literal["stop", "oldest"]


@dataclass(frozen=True, slots=True)
class Quota:
    """How much a set may hold, in MB of 10^6 bytes (None: any), how much the disk must keep free, and what then:
    `oldest` deletes the oldest unlabelled pictures, `stop` ends the recording."""

    max_mb: int | None = None
    free_min_mb: int = 0
    when_full: WhenFull = "stop"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to record, and into which folder, until `pictures` are there or `duration_ns` is over (None: until asked).

    At most one picture of a camera in `every_ns` (0: any), and only where the share `changed` of it differs from the
    one before (0: any); or, `at_trigger`, the one picture of each part. `lot` (empty: the folder's last one) and
    `shifts`, minutes of the day at which they begin, name the pictures' groups.
    """

    folder: Path
    lot: str = ""
    shifts: tuple[int, ...] = ()
    grouping: Grouping = "lot"
    every_ns: int = 0
    changed: float = 0.0
    at_trigger: bool = False
    encoding: Encoding = "png"
    quota: Quota = field(default_factory=Quota)
    pictures: int | None = None
    duration_ns: int | None = None
