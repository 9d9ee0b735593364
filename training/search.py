"""`edge-train finetune --search`: how to fit these pictures, by successive halving over a few recipes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.fit import Recipe
from training.ranking import ranked, resampled

RATES = (1.0, 1 / 3, 3.0)  # of what has weights already, times the usual
STRENGTHS = (1.0, 0.5)  # of the light's variation
RUNGS = (0.25, 0.5)  # of the usual steps; after each but the last, half of the recipes go on
DRAWS = 1_000
SURE = 0.9  # the share of the draws of the groups in which another recipe must be better than the usual one

ScoresOf = Callable[[Recipe], NDArray[np.float32]]
"""Held-out scores of all pictures (float32 N) by models that were fitted so."""


@dataclass(frozen=True, slots=True)
class Found:
    """The recipe to go on with, and `tried`: what each reached, in the order in which they were tried."""

    recipe: Recipe
    tried: tuple[dict[str, Any], ...]


def recipes(usual: Recipe) -> list[Recipe]:
    """What is tried, the usual recipe first."""
    return [
        replace(usual, tail_rate=usual.tail_rate * rate, strength=strength)
        for strength in STRENGTHS
        for rate in RATES
    ]


def rungs(usual: Recipe) -> list[tuple[int, float]]:
    """How many recipes are fitted with which part of the steps."""
    count, found = len(recipes(usual)), []
    for part in RUNGS:
        found.append((count, part))
        count = max(2, count // 2)
    return found


def search(usual: Recipe, scores_of: ScoresOf, bad: NDArray[np.bool_], groups: Sequence[str], seed: int) -> Found:
    """The recipe with the best held-out AUROC, or the usual one where none is surely better.

    Surely: in nine of ten draws of the groups. The usual one is never dropped, and so always compared.
    """
    weights = resampled(groups, DRAWS, seed)
    left, tried = recipes(usual), []
    reached: dict[Recipe, NDArray[np.float64]] = {}
    for count, part in rungs(usual):
        left = [usual, *(recipe for recipe in left if recipe != usual)][:count]
        reached = {recipe: ranked(scores_of(replace(recipe, part=part)), bad, weights)["auroc"] for recipe in left}
        tried += [_told(recipe, part, value) for recipe, value in reached.items()]
        left = sorted(left, key=lambda recipe: -reached[recipe][0])
    best = left[0]
    return Found(best if _surely(reached[best], reached[usual]) else usual, tuple(tried))


def _surely(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    gain = one[1:] - other[1:]
    gain = gain[np.isfinite(gain)]
    return len(gain) > 0 and float((gain > 0).mean()) >= SURE


def _told(recipe: Recipe, part: float, reached: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "tail_rate": recipe.tail_rate,
        "strength": recipe.strength,
        "part": part,
        "auroc": round(float(reached[0]), 4),
    }
