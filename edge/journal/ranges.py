"""Which of the numbers that should come without gaps did come; pure, and small as long as the gaps are few."""

from __future__ import annotations


class Ranges:
    """Numbers, kept as unbroken ranges; they may come in any order."""

    def __init__(self) -> None:
        self._last_of: dict[int, int] = {}  # by a range's first number
        self._first_of: dict[int, int] = {}  # by its last

    def add(self, number: int) -> None:
        """One more number."""
        first = self._first_of.pop(number - 1, number)
        last = self._last_of.pop(number + 1, number)
        self._last_of.pop(first, None)
        self._first_of.pop(last, None)
        self._last_of[first] = last
        self._first_of[last] = first

    def ranges(self) -> list[tuple[int, int]]:
        """First and last number of each range, in order."""
        return sorted(self._last_of.items())

    def missing(self, first: int) -> list[tuple[int, int]]:
        """The gaps from `first` on, first and last number of each."""
        gaps = []
        for begins, ends in self.ranges():
            if begins > first:
                gaps.append((first, begins - 1))
            first = max(first, ends + 1)
        return gaps
