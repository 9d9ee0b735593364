"""Which rejected parts the sensor behind the gate has seen, and what it saw that nobody rejected; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge.records import GateEvent, Sensed


@dataclass(slots=True)
class _Expected:
    from_ns: int
    until_ns: int
    counts: bool  # whether missing it is a fault
    seen_ns: int = 0


class Confirm:
    """A part that the gate begins to reject at t comes by the sensor at t + after, give or take the window.

    The end of its order waits until the sensor saw it or can see it no more; other orders end at once.
    """

    def __init__(self, after_ns: int, window_ns: int) -> None:
        self._after_ns = after_ns
        self._window_ns = window_ns
        self._expected: dict[int, _Expected] = {}
        self._waiting: list[GateEvent] = []
        self._quiet_until_ns = 0

    @property
    def waits(self) -> bool:
        """Whether an order has ended whose confirmation is not known yet."""
        return bool(self._waiting)

    def expect(self, part_id: int, at_ns: int, counts: bool) -> None:
        """The gate begins to reject this part; `counts` where one picture of it means one part at the sensor."""
        middle_ns = at_ns + self._after_ns
        self._expected[part_id] = _Expected(middle_ns - self._window_ns, middle_ns + self._window_ns, counts)

    def goes_on(self, part_id: int, now_ns: int) -> None:
        """The gate still rejects this part, which is longer than one: the sensor may see it more than once, by when
        what is at the gate now has come there."""
        expected = self._expected.get(part_id)
        if expected is not None:
            expected.until_ns = max(expected.until_ns, now_ns + self._after_ns + self._window_ns)
            expected.counts = False

    def unsure(self, now_ns: int) -> None:
        """Parts that have no order may be rejected now: what the sensor sees of them is no alarm."""
        self._quiet_until_ns = now_ns + self._after_ns + 2 * self._window_ns

    def seen(self, at_ns: int) -> bool:
        """The sensor saw a part; False when nobody rejected it."""
        fitting = [each for each in self._expected.values() if each.from_ns <= at_ns <= each.until_ns]
        fresh = [each for each in fitting if not each.seen_ns]
        if fresh:
            fresh[0].seen_ns = at_ns
        return bool(fitting) or at_ns <= self._quiet_until_ns

    def ended(self, event: GateEvent) -> None:
        """A part's order is over; `settled` gives it back when its confirmation is known."""
        self._waiting.append(event)

    def settled(self, now_ns: int) -> list[GateEvent]:
        """The events that need no more waiting, in order."""
        ready = [event for event in self._waiting if self._is_known(event.part_id, now_ns)]
        self._waiting = [event for event in self._waiting if event not in ready]
        known = [self._with_confirmation(event) for event in ready]
        self._expected = {
            part_id: each
            for part_id, each in self._expected.items()
            if each.until_ns >= now_ns or any(event.part_id == part_id for event in self._waiting)
        }
        return known

    def next_ns(self) -> int | None:
        """When a part can be seen no more, None while none is waited for."""
        times = [self._expected[event.part_id].until_ns + 1 for event in self._waiting]
        return min(times, default=None)

    def _is_known(self, part_id: int, now_ns: int) -> bool:
        expected = self._expected.get(part_id)
        return expected is None or expected.seen_ns > 0 or now_ns > expected.until_ns

    def _with_confirmation(self, event: GateEvent) -> GateEvent:
        expected = self._expected.get(event.part_id)
        if expected is None:
            return event
        if expected.seen_ns:
            return replace(event, sensed=Sensed.SEEN, sensed_ns=expected.seen_ns)
        return replace(event, sensed=Sensed.MISSED) if expected.counts else event
