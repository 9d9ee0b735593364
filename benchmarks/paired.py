"""Two students measured in turns within one run: a machine's moods meet both, so their ratio has an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 10_000
COVERED = 0.95


@dataclass(frozen=True, slots=True)
class Paired:
    """The median of the rounds' ratios, this student's p50 over the other's, with its 95 % interval by rounds that are
    drawn again.

    Rounds that follow each other are alike, so the interval is that of this run, not of another day.
    """

    rounds: int
    ratio: float
    low: float
    high: float


def paired(ratios: Sequence[float]) -> Paired:
    """Of the ratios of all rounds, at least one."""
    draw = np.random.default_rng(0)
    drawn = np.median(draw.choice(np.array(ratios), (DRAWS, len(ratios))), axis=1)
    low, high = np.quantile(drawn, ((1 - COVERED) / 2, (1 + COVERED) / 2))
    return Paired(len(ratios), *(round(float(value), 4) for value in (np.median(ratios), low, high)))
