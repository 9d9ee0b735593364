"""From what a PLC's registers say to when it happened here: edges and outcomes with their times and errors; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.clock import MS
from edge.line.events import PlcDid, PlcSaw
from edge.line.plc_gate.table import SLOTS, Did, Head, Seen, following, steps

_CLOCKS = 65_536  # the PLC's clock wraps after so many ms


@dataclass(slots=True)
class _Span:
    """Between these instants it happened; each reading can narrow it."""

    from_ns: int
    until_ns: int

    def narrow(self, from_ns: int, until_ns: int) -> None:
        self.from_ns, self.until_ns = max(self.from_ns, from_ns), min(self.until_ns, until_ns)

    @property
    def err_ns(self) -> int:
        return (self.until_ns - self.from_ns) // 2

    @property
    def at_ns(self) -> int:
        return (self.from_ns + self.until_ns) // 2


class Unreadable(Exception):  # noqa: N818 - the link says what to do
    """The PLC's answers can no longer be followed."""


class Reading:
    """Takes the PLC's blocks in order. Each tells how long ago an edge was, and was itself made between the question
    and its answer, at most a scan earlier; so every reading bounds the instant, and the narrowest bounds count. What is
    not known to `window_ns` is not told yet.
    """

    def __init__(self, session: int, newest: int, scan_ns: int, window_ns: int) -> None:
        """Edges up to `newest` are of no concern."""
        self._session = session
        self._newest = newest
        self._scan_ns = scan_ns
        self._window_ns = window_ns
        self._born: dict[int, _Span] = {}
        self._acted: dict[int, _Span] = {}
        self._open: list[int] = []  # edges whose outcome was not told, in order
        self._untold: list[int] = []  # edges that were not told, in order

    def take(self, head: Head, seen: Mapping[int, Seen], sent_ns: int, received_ns: int) -> list[PlcSaw | PlcDid]:
        """What is new. Raises Unreadable when an edge or an outcome was missed."""
        self._take_edges(head.newest)
        for edge in self._open:
            one = seen.get(edge)
            if one is None:
                raise Unreadable(f"edge {edge} is gone and nobody saw what became of it")
            if edge in self._untold:
                self._bound(self._born, edge, head.clock - one.born, sent_ns - 2 * self._scan_ns, received_ns)
            if one.did != Did.WAITING:
                late_ns = received_ns + self._scan_ns
                self._bound(self._acted, edge, head.clock - one.acted, sent_ns - self._scan_ns, late_ns)
        return [*self._news_of_edges(), *self._news_of_outcomes(seen)]

    @property
    def waits_since_ns(self) -> int | None:
        """Since when the oldest edge waits to be told, None when none does."""
        return min((self._born[edge].from_ns for edge in self._untold if edge in self._born), default=None)

    def _take_edges(self, newest: int) -> None:
        if self._newest and not newest:
            raise Unreadable("the PLC's edges begin anew")
        count = steps(self._newest, newest) if self._newest else newest
        if count >= SLOTS:
            raise Unreadable(f"{count} edges at once")
        for _ in range(count):
            self._newest = following(self._newest)
            self._open.append(self._newest)
            self._untold.append(self._newest)

    def _bound(self, spans: dict[int, _Span], edge: int, age: int, from_ns: int, until_ns: int) -> None:
        ago_ns = age % _CLOCKS * MS
        span = spans.setdefault(edge, _Span(from_ns - ago_ns - MS, until_ns - ago_ns + MS))
        span.narrow(from_ns - ago_ns - MS, until_ns - ago_ns + MS)
        if span.from_ns > span.until_ns:
            raise Unreadable(
                "its clock and its scans contradict each other: state its longest scan in gate.scan_ms"
            )

    def _is_known(self, span: _Span) -> bool:
        return span.err_ns <= self._window_ns

    def _news_of_edges(self) -> list[PlcSaw | PlcDid]:
        told: list[PlcSaw | PlcDid] = []
        while self._untold and self._is_known(self._born[self._untold[0]]):
            edge = self._untold.pop(0)
            span = self._born.pop(edge)
            told.append(PlcSaw(self._session, edge, span.at_ns, span.err_ns))
        return told

    def _news_of_outcomes(self, seen: Mapping[int, Seen]) -> list[PlcSaw | PlcDid]:
        """In order, but for edges that the PLC itself left out; nothing more is expected of those."""
        told: list[PlcSaw | PlcDid] = []
        for edge in list(self._open):
            span = self._acted.get(edge)
            if span is None:
                continue
            if edge in self._untold or not self._is_known(span):
                break
            self._open = self._open[self._open.index(edge) + 1 :]
            del self._acted[edge]
            passed = seen[edge].did == Did.PASSED
            told.append(PlcDid(self._session, edge, seen[edge].part_number, passed, span.at_ns, span.err_ns))
        return told
