"""What the gate's level was, as far as it is known: the ground on which a part's outcome is judged."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum


class Kept(Enum):
    """Whether the gate stood at the needed level: it did, it did not, or nobody can know."""

    YES = 1
    NO = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class _Span:
    since: int
    active: bool | None


class LevelRecord:
    """The gate's levels along the line's axis; None where it is unknown: after a failed write, and until one is
    confirmed."""

    def __init__(self, here: int, active: bool | None) -> None:
        self._spans = deque([_Span(here, active)])

    @property
    def active(self) -> bool | None:
        """The level now."""
        return self._spans[-1].active

    def changed(self, at: int, active: bool | None) -> None:
        """The level is `active` from `at` on; the axis never goes back."""
        if active is not self.active:
            self._spans.append(_Span(max(at, self._spans[-1].since), active))

    def kept(self, active: bool, start: int, end: int) -> Kept:
        """Whether the level was `active` during the whole of [start, end)."""
        seen: list[bool | None] = []
        until: int | None = None
        for span in reversed(self._spans):
            if span.since < end and (until is None or until > start):
                seen.append(span.active)
            until = span.since
        if all(level is active for level in seen):
            return Kept.YES
        return Kept.NO if (not active) in seen else Kept.UNKNOWN

    def forget_before(self, at: int) -> None:
        """Drop what no slot can ask for any more."""
        while len(self._spans) > 1 and self._spans[1].since <= at:
            self._spans.popleft()
