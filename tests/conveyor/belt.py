"""A belt with a true position over time: what lies on it passes marks forwards and, when it reverses, backwards."""

from __future__ import annotations

from bisect import insort
from typing import Any

NEVER = 1 << 62
_NS_PER_MS = 1e6
_TOUCH_MM = 1e-6  # floats that are this near are one place
_KEPT_BEHIND = 64


class Belt:
    """Position in mm at a speed in mm/ms that holds until the next `run`; time in ns.

    A mark is a belt position at which something happens: what lies 30 mm before a sensor has its mark at the
    position now + 30. Marks at one position are passed in the order of their rank.
    """

    def __init__(self) -> None:
        self.speed = 0.0
        self.next_ns = NEVER
        self._mm = 0.0
        self._since_ns = 0
        self._furthest_mm = self._lowest_mm = 0.0  # and the lowest since
        self._marks: list[tuple[float, int, int, str, Any]] = []
        self._passed = 0  # marks before this index lie behind
        self._count = 0

    def mm(self, now_ns: int) -> float:
        """The position now."""
        return self._mm + self.speed * (now_ns - self._since_ns) / _NS_PER_MS

    def back_mm(self, now_ns: int) -> float:
        """How far it ran back from the furthest position; 0 when it is beyond that again."""
        now_mm = self.mm(now_ns)
        return 0.0 if now_mm > self._furthest_mm else self._furthest_mm - min(self._lowest_mm, now_mm)

    def run(self, speed: float, now_ns: int) -> None:
        """Run at this speed from now on: 0 stands, a negative one reverses."""
        self._mm, self._since_ns = self.mm(now_ns), now_ns
        if self._mm >= self._furthest_mm:
            self._furthest_mm = self._lowest_mm = self._mm
        self._lowest_mm = min(self._lowest_mm, self._mm)
        self.speed = speed
        self._look_ahead()

    def mark(self, at_mm: float, what: str, item: Any, now_ns: int, rank: int = 0) -> None:
        """Something will happen at this position; nothing when the belt has passed it already."""
        if at_mm <= self.mm(now_ns) + _TOUCH_MM:
            return
        self._count += 1
        insort(self._marks, (at_mm, rank, self._count, what, item), lo=self._passed)
        self._look_ahead()

    def pass_next(self) -> tuple[str, Any, bool]:
        """The mark that is reached at `next_ns`: what, whose, and whether forwards."""
        forwards = self.speed > 0
        if forwards:
            _, _, _, what, item = self._marks[self._passed]
            self._passed += 1
            if self._passed > 4 * _KEPT_BEHIND:
                del self._marks[: self._passed - _KEPT_BEHIND]
                self._passed = _KEPT_BEHIND
        else:
            self._passed -= 1
            _, _, _, what, item = self._marks[self._passed]
        self._look_ahead()
        return what, item, forwards

    def reaches_ns(self, at_mm: float) -> int:
        """When the belt is at this position if it goes on like this."""
        way = at_mm - self._mm
        if self.speed == 0 or (way > 0) is not (self.speed > 0):
            return self._since_ns if abs(way) <= _TOUCH_MM else NEVER
        return self._since_ns + round(way / self.speed * _NS_PER_MS)

    def _look_ahead(self) -> None:
        if self.speed > 0 and self._passed < len(self._marks):
            at_mm = self._marks[self._passed][0]
        elif self.speed < 0 and self._passed:
            at_mm = self._marks[self._passed - 1][0]
        else:
            self.next_ns = NEVER
            return
        way = (at_mm - self._mm) / self.speed
        self.next_ns = self._since_ns + max(0, round(way * _NS_PER_MS))
