"""The axis that the line plans on: time where the belt's speed is constant, counts of an encoder where it is not; pure.

Every part has its place on the axis from its birth, every slot of the gate too. A place on the time axis is an instant
in nanoseconds, so both maps below are the identity there. On an encoder's axis it is a count of the belt's travel.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from edge.clock import MS, SECOND

_HISTORY = 1_024  # samples; births come late by their debounce at most
_STANDS_NS = 200 * MS
_SPEED_OVER_NS = 20 * MS  # the speed is that of the samples of at least this time


class Axis(Protocol):
    """`place` is where the belt is at an instant, `here` where a write that is issued at that instant takes effect."""

    measured: bool  # places are measured: they stay true while the belt stops, and nothing ends by time
    skipped: int  # by so much places jumped ahead of the belt so far: what was born before a jump comes later

    def place(self, at_ns: int) -> int:
        """Where the belt is, or was, at this instant."""
        ...

    def here(self, at_ns: int) -> int:
        """Where the belt is when a gate that is written at this instant has moved; never goes back."""
        ...

    def when_ns(self, here: int) -> int | None:
        """The first instant from which `here` reaches this place at the present speed; None while the belt stands."""
        ...

    def expected_ns(self, place: int, at_ns: int) -> int:
        """When the belt, which is seen at `at_ns`, will come to this place; not later than it can."""
        ...

    def moves(self, now_ns: int) -> bool:
        """Whether the belt was seen to move a moment ago; False where nothing measures it."""
        ...

    def is_blind(self, now_ns: int) -> bool:
        """Whether what measures the belt is silent, so that it may move or not; False where nothing measures it."""
        ...

    def ran_back(self, at_ns: int) -> bool:
        """Whether the belt had been further before this instant, so that a sensor saw then what it had seen already;
        False where nothing measures it."""
        ...

    def stood(self, at_ns: int) -> bool:
        """Whether no travel was measured right before this instant, so that the belt may have run back by less than
        is measured; False where nothing measures it."""
        ...


class TimeAxis:
    """A belt of constant speed: its places are instants."""

    measured = False
    skipped = 0

    def place(self, at_ns: int) -> int:
        return at_ns

    def here(self, at_ns: int) -> int:
        return at_ns

    def when_ns(self, here: int) -> int | None:
        return here

    def expected_ns(self, place: int, at_ns: int) -> int:  # noqa: ARG002 - the signature of the Protocol
        return place

    def moves(self, now_ns: int) -> bool:  # noqa: ARG002
        return False

    def is_blind(self, now_ns: int) -> bool:  # noqa: ARG002
        return False

    def ran_back(self, at_ns: int) -> bool:  # noqa: ARG002
        return False

    def stood(self, at_ns: int) -> bool:  # noqa: ARG002
        return False


class Seen(Enum):
    """What a sample of the encoder's counter says beside the place."""

    FINE = "fine"
    RESET = "reset"  # further from the last one than the fastest belt can travel: the counter began anew
    REVERSED = "reversed"  # the belt ran back further than a jog


@dataclass(frozen=True, slots=True)
class EncoderScale:
    """What an encoder counts. `bits` is the counter's width, `lead_ns` how long valve and wire take, `reverse` how many
    counts the belt may jog back, `stale_ns` how long a sample is good for."""

    bits: int
    max_per_s: int
    lead_ns: int
    reverse: int
    stale_ns: int


@dataclass(frozen=True, slots=True)
class _Sample:
    place: int
    at_ns: int


class EncoderAxis:
    """The belt's travel from samples of a counter that wraps. Between samples the belt goes on at its last speed, for
    `stale_ns` at most; `here` looks `lead_ns` ahead.

    Where the counter begins anew or the belt ran back, places go on from the furthest one: whoever plans on them must
    purge.
    """

    measured = True

    def __init__(self, scale: EncoderScale) -> None:
        self._scale = scale
        self._modulus = 1 << scale.bits
        self._counter: int | None = None
        self._samples: deque[_Sample] = deque([_Sample(0, 0)], maxlen=_HISTORY)
        self._counts = 0  # the speed as counts in `_within_ns`
        self._within_ns = 1
        self._front = 0  # the furthest `here` so far
        self._furthest = 0  # and the furthest measured place
        self._anew_ns = 0
        self.skipped = 0
        self.moved_ns = 0  # when the belt was last seen to move

    def sample(self, counter: int, at_ns: int) -> Seen:
        """Take in the counter's value at an instant; samples come in order."""
        last = self._samples[-1]
        if self._counter is None:
            self._counter = counter
            return self._begin_anew(at_ns)
        step = (counter - self._counter + self._modulus // 2) % self._modulus - self._modulus // 2
        self._counter = counter
        reach = self._reach(at_ns - last.at_ns)
        if abs(step) > reach or reach >= self._modulus // 2:  # in such a gap the counter may have wrapped unseen
            return self._begin_anew(at_ns)
        self._samples.append(_Sample(last.place + step, at_ns))
        self._measure_speed()
        if step:
            self.moved_ns = at_ns
        self._furthest = max(self._furthest, last.place + step)
        if self._furthest - (last.place + step) <= self._scale.reverse:
            return Seen.FINE
        self._begin_anew(at_ns)
        return Seen.REVERSED

    def forget(self) -> None:
        """The counter was not read for a while: the next sample begins anew, whatever it says."""
        self._counter = None

    @property
    def stale_ns(self) -> int:
        """When the last sample is too old to plan on."""
        return self._samples[-1].at_ns + self._scale.stale_ns

    def moves(self, now_ns: int) -> bool:
        """Whether the belt was seen to move a moment ago, or may have moved before the counter began anew."""
        return now_ns - max(self.moved_ns, self._anew_ns) < _STANDS_NS

    def is_blind(self, now_ns: int) -> bool:
        """Whether no sample tells if the belt moves."""
        return self._counter is None or now_ns >= self.stale_ns

    def ran_back(self, at_ns: int) -> bool:
        """As far as the samples reach back; see the Protocol."""
        place = self.place(at_ns)
        return any(sample.place > place for sample in self._samples if sample.at_ns <= at_ns)

    def stood(self, at_ns: int) -> bool:
        """Over as long as a speed is measured; see the Protocol."""
        return self.place(at_ns) <= self.place(at_ns - _SPEED_OVER_NS)

    def _begin_anew(self, at_ns: int) -> Seen:
        """What is planned lies ahead of the new beginning, so that nothing comes twice."""
        self._anew_ns = at_ns
        self.skipped += self._front - self._samples[-1].place
        self._samples = deque([_Sample(self._front, at_ns)], maxlen=_HISTORY)
        self._furthest = self._front
        self._counts, self._within_ns = 0, 1
        return Seen.RESET

    def place(self, at_ns: int) -> int:
        """Interpolated between samples; see the Protocol."""
        newest = self._samples[-1]
        if at_ns >= newest.at_ns:
            return newest.place + self._counts * min(at_ns - newest.at_ns, self._scale.stale_ns) // self._within_ns
        later = newest
        for earlier in reversed(self._samples):
            if earlier.at_ns <= at_ns:
                span_ns = max(1, later.at_ns - earlier.at_ns)
                return earlier.place + (later.place - earlier.place) * (at_ns - earlier.at_ns) // span_ns
            later = earlier
        return later.place

    def here(self, at_ns: int) -> int:
        newest = self._samples[-1]
        ahead_ns = min(max(0, at_ns - newest.at_ns), self._scale.stale_ns) + self._scale.lead_ns
        if self._counts > 0:
            self._front = max(self._front, newest.place + self._counts * ahead_ns // self._within_ns)
        self._front = max(self._front, newest.place)
        return self._front

    def when_ns(self, here: int) -> int | None:
        newest = self._samples[-1]
        if here <= self._front:
            return newest.at_ns
        if self._counts <= 0:
            return None
        ahead_ns = -(-(here - newest.place) * self._within_ns // self._counts) - self._scale.lead_ns
        return None if ahead_ns > self._scale.stale_ns else newest.at_ns + max(0, ahead_ns)

    def expected_ns(self, place: int, at_ns: int) -> int:
        """At the fastest of the present and the station's highest speed."""
        distance = max(0, place - self.place(at_ns))
        return at_ns + distance * SECOND // self._scale.max_per_s

    def _reach(self, within_ns: int) -> int:
        """Twice what the fastest belt travels, and some counts for the edges of the samples."""
        return 2 * self._scale.max_per_s * max(0, within_ns) // SECOND + 8

    def _measure_speed(self) -> None:
        newest = self._samples[-1]
        for earlier in reversed(self._samples):
            span_ns = newest.at_ns - earlier.at_ns
            if span_ns >= _SPEED_OVER_NS:
                break
        if span_ns > 0:
            self._counts, self._within_ns = newest.place - earlier.place, span_ns
