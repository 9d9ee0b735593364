"""How much INT8 rests on the draw of the calibration pictures: its ranges, and scores, with pictures drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.evidence import Judged
from compile.ranges import Extremes
from edge.manifest import TOLERANCE

DRAWS = 200
WORST = 0.05  # of the draws: how narrow a range is in one of twenty
UNSTABLE = 0.8  # of its width: a range that is narrower in the worst draws rests on a few pictures
NAMED = 3


@dataclass(frozen=True, slots=True)
class Draw:
    """One tensor: the `share` of the width of its range that is left in the worst draws, and the calibration `picture`
    that reaches farthest in it, by name."""

    share: float
    picture: str


@dataclass(frozen=True, slots=True)
class Stability:
    """Of so many calibration `pictures`: what other draws of them would change, by the tensors' names. `moved` is by
    how much scores of `seen` of them differ at most when all ranges are those of a bad draw."""

    pictures: int
    draws: Mapping[str, Draw]
    moved: float
    seen: int

    def unstable(self, names: Iterable[str]) -> list[str]:
        """Those of these tensors whose range rests on a few pictures, the worst first."""
        found = [name for name in names if name in self.draws and self.draws[name].share < UNSTABLE]
        return sorted(found, key=lambda name: self.draws[name].share)

    def sentence(self, names: Sequence[str]) -> str:
        """For people; `names` are the tensors that are quantized."""
        known = [name for name in names if name in self.draws]
        scores = f"with such ranges scores of {self.seen} calibration pictures move by {self.moved:.4f} at most"
        worst = self.unstable(known)
        if not worst:
            least = min((self.draws[name].share for name in known), default=1.0)
            return (
                f"in 19 of 20 other draws of the {self.pictures} calibration pictures each range keeps at least "
                f"{least:.0%} of its width; {scores}"
            )
        shown = ", ".join(
            f"{name} {self.draws[name].share:.0%} ({self.draws[name].picture})" for name in worst[:NAMED]
        )
        return (
            f"{len(worst)} of {len(known)} ranges rest on a few of the {self.pictures} calibration pictures: 1 of 20 "
            f"other draws leaves less than {UNSTABLE:.0%} of the width, {shown}; {scores}: calibrate with more "
            "pictures like these"
        )

    def amiss(self, names: Iterable[str]) -> bool:
        """Whether that is to be told in the summary."""
        return bool(self.unstable(names)) or self.moved > TOLERANCE


def stability(
    extremes: Extremes,
    pictures: Sequence[str],
    judged: Sequence[Judged],
    judge: Callable[[Extremes], Sequence[Judged]],
    seed: int,
) -> Stability:
    """What other draws (with replacement, as many of the `pictures`, which are names) would change.

    `judge` tells what the model says of some of them with other ranges, `judged` is what it says of the same with its
    own. The same seed gives the same result. Blocks for what `judge` takes.
    """
    width = extremes.widths()
    places = np.random.default_rng(seed).integers(0, len(pictures), (DRAWS, len(pictures)))
    drawn = np.array([extremes.drawn(row).widths() for row in places])
    shares = np.where(width > 0, drawn / np.where(width > 0, width, 1), 1)
    left = np.quantile(shares, WORST, axis=0)
    bad = places[np.argsort(shares.mean(1), kind="stable")[round(WORST * DRAWS)]]
    draws = {
        name: Draw(float(left[place]), pictures[_farthest(extremes.low[:, place], extremes.high[:, place])])
        for place, name in enumerate(extremes.names)
    }
    moves = [abs(a.score - b.score) for a, b in zip(judged, judge(extremes.drawn(bad)), strict=True)]
    return Stability(len(pictures), draws, max(moves, default=0.0), len(moves))


def _farthest(low: NDArray[np.float32], high: NDArray[np.float32]) -> int:
    """The picture without which most of the range would be gone."""
    above, below = np.maximum(high, 0), -np.minimum(low, 0)
    return int(max((above, below), key=_ahead).argmax())


def _ahead(reached: NDArray[np.float32]) -> float:
    """By how much the farthest is ahead of the next."""
    first_two = np.sort(reached)[-2:]
    return float(first_two[-1] - first_two[0])
