"""How far the belt travelled between two instants, from samples of an encoder's counter that wraps; pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from edge.clock import SECOND

_EDGES = 8  # counts: what two samples may be wrong by together


class Odometer:
    """Takes the samples in their order. Where the counter was not read, or jumped further than twice what the fastest
    belt travels, it begins anew: nothing is known of travel over such a gap."""

    def __init__(self, bits: int, max_counts_per_s: int) -> None:
        self._modulus = 1 << bits
        self._max_per_s = max_counts_per_s
        self._counter = 0
        self._times: list[int] = []
        self._places: list[int] = []

    def see(self, counter: int, at_ns: int) -> None:
        """The counter stood so at this instant (ns)."""
        step = (counter - self._counter + self._modulus // 2) % self._modulus - self._modulus // 2
        self._counter = counter
        if self._times:
            reach = 2 * self._max_per_s * (at_ns - self._times[-1]) // SECOND + _EDGES
            if abs(step) > reach or reach >= self._modulus // 2:
                self.lose()
        self._places.append(self._places[-1] + step if self._places else 0)
        self._times.append(at_ns)

    def lose(self) -> None:
        """The counter was not read for a while."""
        self._times.clear()
        self._places.clear()

    def forget(self, before_ns: int) -> None:
        """Nobody asks for travel before this instant any more."""
        kept = max(0, bisect_left(self._times, before_ns) - 1)
        del self._times[:kept], self._places[:kept]

    def between(self, from_ns: int, to_ns: int) -> float | None:
        """Counts travelled, interpolated between samples; None where they do not reach over both instants."""
        if not self._times or min(from_ns, to_ns) < self._times[0] or max(from_ns, to_ns) > self._times[-1]:
            return None
        return _at(self._times, self._places, to_ns) - _at(self._times, self._places, from_ns)


def _at(times: Sequence[int], places: Sequence[int], at_ns: int) -> float:
    after = bisect_left(times, at_ns)
    if times[after] == at_ns:
        return places[after]
    share = (at_ns - times[after - 1]) / (times[after] - times[after - 1])
    return places[after - 1] + (places[after] - places[after - 1]) * share
