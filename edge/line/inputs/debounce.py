"""From samples of a level to its edges, each with the window of time in which it happened; pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """The level changed to `level` at some time between `from_ns` and `to_ns`."""

    level: bool
    from_ns: int
    to_ns: int


class Debounce:
    """Samples in, debounced changes out. A sample was taken at some time between its `from_ns` and `to_ns`.

    A change counts when the new level held for `debounce_ns`. A return to the old level that is shorter is a
    bounce: the change began with the first sample of the new level, and the window widens by the bouncing. A
    change that ends with the old level held for `debounce_ns` was a disturbance and gives nothing.
    """

    def __init__(self, level: bool, sampled_ns: int, debounce_ns: int) -> None:
        self.level = level
        self._debounce_ns = debounce_ns
        self._old_ns = sampled_ns  # the last time it certainly had the old level, before any change in progress
        self._new_since_ns: int | None = None
        self._back_since_ns: int | None = None

    @property
    def due_ns(self) -> int | None:
        """When a sample of the new level completes a change that is in progress."""
        return None if self._new_since_ns is None else self._new_since_ns + self._debounce_ns

    def feed(self, level: bool, from_ns: int, to_ns: int) -> Change | None:
        """The change that this sample completes, if any; samples come in order."""
        if level == self.level:
            self._hold(from_ns, to_ns)
            return None
        self._back_since_ns = None
        if self._new_since_ns is None:
            self._new_since_ns = to_ns
        if self._debounce_ns and from_ns - self._new_since_ns < self._debounce_ns:
            return None
        change = Change(level, self._old_ns, self._new_since_ns)
        self.level, self._old_ns, self._new_since_ns = level, from_ns, None
        return change

    def _hold(self, from_ns: int, to_ns: int) -> None:
        """The old level was seen: before a change, as a bounce within one, or as the end of a disturbance."""
        if self._new_since_ns is not None:
            self._new_since_ns = None
            self._back_since_ns = to_ns
        if self._back_since_ns is not None and from_ns - self._back_since_ns < self._debounce_ns:
            return
        self._back_since_ns = None
        self._old_ns = from_ns
