"""Looks for an INT8 model that turns no calibration defect into a PASS: by recipes, then by layers back in float.

All of this happens on calibration pictures: the acceptance set is read for the evidence only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.evidence import Judged
from compile.quantize import EXTREMES, RECIPES, Recipe, int8_convolutions, quantize
from compile.ranges import Extremes
from compile.verify import changes

MOST_REVERTED = 8  # layers: beyond, INT8 gains little
RANKED_ON = 24  # pictures, for the order in which layers go back

Image = NDArray[np.uint8]
Judge = Callable[[bytes], Sequence[Judged]]


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """One INT8 model on the calibration pictures: how many defects it passes that FP32 rejects, how many of them had a
    clear margin, and by how much it moves a score at most; and what it judged of all."""

    recipe: Recipe
    model: bytes
    passed: int
    lost: int
    moved: float
    judged: Sequence[Judged] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What is there to search with: the student, its calibration inputs (uint8 1 x H x W x C), what FP32 says of their
    pictures and what `judge` would say of another model, at the threshold. `tell` hears what is tried. `extremes` are
    those of the inputs, measured anew for each attempt where they are not given."""

    student: bytes
    inputs: Sequence[Image]
    reference: Sequence[Judged]
    judge: Judge
    threshold: float
    tell: Callable[[str], None]
    extremes: Extremes | None = None

    def run(self) -> list[Attempt]:
        """All attempts, one after the other, until one passes no defect that FP32 rejects.

        Ranges that clip tails, and then layers in float, are tried only while every attempt has lost a defect of clear
        margin: they take minutes.
        """
        tried: list[Attempt] = []
        for recipe in self._recipes(tried):
            tried.append(self._attempt(recipe))
            if not tried[-1].passed:
                break
        return tried

    def _recipes(self, tried: Sequence[Attempt]) -> Iterator[Recipe]:
        """What to try next, after what was `tried` so far."""
        for recipe in RECIPES:
            if recipe.ranges == EXTREMES or all(one.lost for one in tried):
                yield recipe
        base = best(tried)
        if not base.lost:
            return
        names = self._ranked(base.recipe, base.model)
        for count in range(1, min(len(names) - 1, MOST_REVERTED) + 1):
            if all(one.lost for one in tried):
                yield _with_float(base.recipe, tuple(names[:count]))

    def _attempt(self, recipe: Recipe) -> Attempt:
        self.tell(f"quantizing: {recipe.words}")
        model = quantize(self.student, self.inputs, recipe, extremes=self.extremes)
        judged = self.judge(model)
        found = changes(self.reference, judged, self.threshold)
        return Attempt(
            recipe,
            model,
            sum(change.after.missed for change in found),
            sum(change.lost for change in found),
            _moved(self.reference, judged),
            judged,
        )

    def _ranked(self, recipe: Recipe, model: bytes) -> list[str]:
        """The convolutions in INT8, the one first that moves the scores most when it alone is."""
        few = self.inputs[:: max(1, len(self.inputs) // RANKED_ON)]
        names = int8_convolutions(model)
        moves = {}
        for name in names:
            self.tell(f"what {name} costs in INT8")
            alone = _with_float(recipe, tuple(other for other in names if other != name))
            pairs = zip(
                self.reference, self.judge(quantize(self.student, few, alone, extremes=self.extremes)), strict=True
            )
            moves[name] = sum(abs(before.score - after.score) for before, after in pairs)
        return sorted(names, key=lambda name: -moves[name])


def best(attempts: Sequence[Attempt]) -> Attempt:
    """The one with the fewest defects passed, those of clear margin counting first; of equals the one that moves scores
    least."""
    return min(attempts, key=lambda one: (one.lost, one.passed, one.moved))


def _with_float(recipe: Recipe, names: tuple[str, ...]) -> Recipe:
    return replace(recipe, words=f"{recipe.words}; in float also {', '.join(names)}", float_also=names)


def _moved(reference: Sequence[Judged], judged: Sequence[Judged]) -> float:
    return max(abs(before.score - after.score) for before, after in zip(reference, judged, strict=True))
