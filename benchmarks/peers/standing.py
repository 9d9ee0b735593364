"""Where Kenpin stands beside each peer, by the rounds in which both took their turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.peers.loop import UNDER_WAY
from benchmarks.peers.rounds import Turn

OWN, OWN_OV = "kenpin", "kenpin (openvino)"
LEAST_ROUNDS = 3  # for an interval
DRAWS = 10_000
COVERED = 0.95
_FULL = f"rate with {UNDER_WAY} frames under way"


@dataclass(frozen=True, slots=True)
class Standing:
    """Kenpin's figure over the peer's: the median of the rounds with its interval. Of a rate it is the peer's over
    Kenpin's, so that less than 1 is always Kenpin ahead."""

    what: str
    ratio: float
    low: float
    high: float

    @property
    def word(self) -> str:
        """Ahead and behind are where the interval does not hold 1."""
        return "ahead" if self.high < 1 else "behind" if self.low > 1 else "level"

    def words(self) -> str:
        """For people: by how much, and the interval."""
        by = "" if self.word == "level" else f" by {100 * abs(self.ratio - 1):.1f} %"
        return f"{self.word}{by} in {self.what} ({self.ratio:.3f}, {self.low:.3f} to {self.high:.3f})"


def beside(own: Sequence[Turn], other: Sequence[Turn]) -> list[Standing]:
    """How the one stands beside the other in what both were measured by; nothing of fewer rounds than LEAST_ROUNDS."""
    rounds = list(zip(own, other, strict=False))
    if len(rounds) < LEAST_ROUNDS:
        return []
    ratios = {
        "p50": [one.p50_ms / another.p50_ms for one, another in rounds],
        "p99": [one.p99_ms / another.p99_ms for one, another in rounds],
        "rate": [another.rate_per_s / one.rate_per_s for one, another in rounds],
        _FULL: [another.full_per_s / one.rate_per_s for one, another in rounds if another.full_per_s],
    }
    if all(one.cpu_ms and another.cpu_ms for one, another in rounds):
        ratios["processor time of a frame"] = [one.cpu_ms / another.cpu_ms for one, another in rounds]
    return [_standing(what, each) for what, each in ratios.items() if each]


def _standing(what: str, ratios: Sequence[float]) -> Standing:
    drawn = np.median(np.random.default_rng(0).choice(np.array(ratios), (DRAWS, len(ratios))), axis=1)
    low, high = np.quantile(drawn, ((1 - COVERED) / 2, (1 + COVERED) / 2))
    return Standing(what, round(float(np.median(ratios)), 3), round(float(low), 3), round(float(high), 3))


def standings(done: Mapping[str, Sequence[Turn]]) -> dict[str, list[Standing]]:
    """Kenpin beside each peer with the same span, on the engine that the peer uses."""
    told = {}
    for name, turns in done.items():
        own = done.get(OWN_OV if turns and "openvino" in turns[0].versions else OWN) or ()
        if name in (OWN, OWN_OV) or not own or not turns or own[0].span != turns[0].span:
            continue
        told[name] = beside(own, turns)
    return told


def sentences(told: Mapping[str, Sequence[Standing]]) -> Iterator[str]:
    """One for each peer."""
    for name, each in told.items():
        if not each:
            yield f"Beside {name}: undecided, fewer than {LEAST_ROUNDS} rounds."
        else:
            yield f"Beside {name} Kenpin is {'; '.join(one.words() for one in each)}."
