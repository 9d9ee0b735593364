"""From what a source noticed of its level to debounced, counted edges; what it failed to notice shows in the count."""

from __future__ import annotations

from collections import deque

from edge.line.inputs.debounce import Change, Debounce
from edge.records import Edge, TimeSource


class NoticedEdges:
    """For sources that notice changes, rather than look at levels. The count goes on when they are started again.

    A change that was noticed late or not at all hides a part, unless all of it fits into the debounce time: then
    the count jumps and an edge comes at once, so that nobody trusts what lies between.
    """

    def __init__(self, source: TimeSource, debounce_ns: int, err_ns: int) -> None:
        self._source = source
        self._debounce_ns = debounce_ns
        self._err_ns = err_ns
        self._rises = 0
        self._ready: deque[Edge] = deque()
        self.raw = False
        self._debounce = Debounce(False, 0, debounce_ns)

    @property
    def level(self) -> bool:
        """The debounced level."""
        return self._debounce.level

    @property
    def due_ns(self) -> int | None:
        """When `held` can complete a change that is in progress."""
        return self._debounce.due_ns

    def start(self, level: bool, at_ns: int) -> None:
        """Begin with this level; what came before is forgotten."""
        self.raw = level
        self._ready.clear()
        self._debounce = Debounce(level, at_ns, self._debounce_ns)

    def held(self, at_ns: int) -> None:
        """Nothing changed until `at_ns`."""
        self._feed(self.raw, at_ns, at_ns)

    def changed(self, level: bool, from_ns: int, to_ns: int, unseen: int = 0) -> None:
        """The raw level became `level`, after `unseen` changes that were not noticed, all between `from_ns` and
        `to_ns`. Without any it held until `from_ns`."""
        if unseen or level == self.raw:
            if to_ns - from_ns >= self._debounce_ns:
                self._lose(level, from_ns, to_ns, unseen)
                return
            self._feed(not level, from_ns, to_ns)
        else:
            self.held(from_ns)
        self._feed(level, from_ns, to_ns)
        self.raw = level

    def take(self) -> Edge | None:
        """The next edge, oldest first."""
        return self._ready.popleft() if self._ready else None

    def _feed(self, level: bool, from_ns: int, to_ns: int) -> None:
        change = self._debounce.feed(level, from_ns, to_ns)
        if change is not None:
            self._emit(change)

    def _lose(self, level: bool, from_ns: int, to_ns: int, unseen: int) -> None:
        self._rises += max(1, (unseen + 1) // 2)
        if level == self.level:
            self._emit(Change(not level, from_ns, to_ns))
        self._emit(Change(level, from_ns, to_ns))
        self.raw = level
        self._debounce = Debounce(level, to_ns, self._debounce_ns)

    def _emit(self, change: Change) -> None:
        self._rises += change.level
        at_ns = (change.from_ns + change.to_ns) // 2
        err_ns = (change.to_ns - change.from_ns + 1) // 2 + self._err_ns
        self._ready.append(Edge(change.level, at_ns, err_ns, self._source, self._rises))
