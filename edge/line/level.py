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
    from_ns: int
    active: bool | None


class LevelRecord:
    """The gate's levels over time; None where it is unknown: after a failed write, and until one is confirmed."""

    def __init__(self, now_ns: int, active: bool | None) -> None:
        self._spans = deque([_Span(now_ns, active)])

    @property
    def active(self) -> bool | None:
        """The level now."""
        return self._spans[-1].active

    def changed(self, at_ns: int, active: bool | None) -> None:
        """The level is `active` from `at_ns` on; times never go back."""
        if active is not self.active:
            self._spans.append(_Span(max(at_ns, self._spans[-1].from_ns), active))

    def kept(self, active: bool, start_ns: int, end_ns: int) -> Kept:
        """Whether the level was `active` during the whole of [start_ns, end_ns)."""
        seen: list[bool | None] = []
        until_ns: int | None = None
        for span in reversed(self._spans):
            if span.from_ns < end_ns and (until_ns is None or until_ns > start_ns):
                seen.append(span.active)
            until_ns = span.from_ns
        if all(level is active for level in seen):
            return Kept.YES
        return Kept.UNKNOWN if None in seen else Kept.NO

    def forget_before(self, at_ns: int) -> None:
        """Drop what no slot can ask for any more."""
        while len(self._spans) > 1 and self._spans[1].from_ns <= at_ns:
            self._spans.popleft()
