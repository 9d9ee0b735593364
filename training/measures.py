"""How well scores part good pictures from defects: AUROC and average precision, overall and by group."""

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
