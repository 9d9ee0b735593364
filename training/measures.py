"""How well scores part good pictures from defects, overall and by group, and how well classes are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import binary_auroc, binary_average_precision


@dataclass(frozen=True, slots=True)
class Separation:
    """AUROC and average precision of `goods` good pictures and `defects`; None where one of the two is missing."""

    goods: int
    defects: int
    auroc: float | None
    average_precision: float | None


def separation(scores: NDArray[np.float32], bad: NDArray[np.bool_]) -> Separation:
    """Of N scores (higher = worse) and which of the N pictures are defects."""
    defects = int(bad.sum())
    goods = len(bad) - defects
    if not goods or not defects:
        return Separation(goods, defects, None, None)
    told, truth = torch.from_numpy(scores), torch.from_numpy(bad.astype(np.int64))
    # float32 sums: the seventh digit is noise, and can lift a perfect 1 above 1
    auroc, precision = (
        round(float(measure(told, truth)), 6) for measure in (binary_auroc, binary_average_precision)
    )
    return Separation(goods, defects, auroc, precision)


def by_group(scores: NDArray[np.float32], bad: NDArray[np.bool_], groups: Sequence[str]) -> dict[str, Separation]:
    """`separation` within each group, sorted by the group's name."""
    names = np.array(groups)
    return {str(name): separation(scores[names == name], bad[names == name]) for name in np.unique(names)}


@dataclass(frozen=True, slots=True)
class Sorting:
    """How K classes of defects are told apart: the share of all that is right, the mean of each class's share (its
    recall), and how often (row) was taken for (column): K x K counts."""

    accuracy: float
    mean_recall: float
    confusion: tuple[tuple[int, ...], ...]


def sorting(told: NDArray[np.int64], truth: NDArray[np.int64], classes: int) -> Sorting:
    """Of N told classes and N true ones, each in 0 .. classes - 1; a class without a picture counts for nothing."""
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (truth, told), 1)
    there = confusion.sum(1) > 0
    recalls = confusion.diagonal()[there] / confusion.sum(1)[there]
    rows = tuple(tuple(int(count) for count in row) for row in confusion)
    return Sorting(round(float((told == truth).mean()), 6), round(float(recalls.mean()), 6), rows)
