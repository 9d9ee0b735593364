"""How far the parts of the last hours lay from what the student learned, by ten minutes, in fixed memory."""

from __future__ import annotations

from dataclasses import dataclass

from edge.clock import SECOND

SPAN_NS = 600 * SECOND
KEPT = 48  # spans with parts: eight hours of a line that runs


@dataclass(frozen=True, slots=True)
class Span:
    """What came from `began_ns` (CLOCK_MONOTONIC) on: parts, the sum of their distances, how many were unlike."""

    began_ns: int
    parts: int = 0
    total: float = 0.0
    unlike: int = 0


class Trend:
    """One thread adds; `spans` is for any."""

    def __init__(self) -> None:
        self.spans: tuple[Span, ...] = ()  # the oldest first; never changed, but replaced

    def add(self, now_ns: int, parts: int, total: float, unlike: int) -> None:
        """So many more parts have come."""
        began_ns = now_ns - now_ns % SPAN_NS
        before = self.spans
        if not before or before[-1].began_ns != began_ns:
            before = (*before[1 - KEPT :], Span(began_ns))
        last = before[-1]
        grown = Span(began_ns, last.parts + parts, last.total + total, last.unlike + unlike)
        self.spans = (*before[:-1], grown)
