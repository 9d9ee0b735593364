"""A linear probe: the student's heads begin as logistic regressions on what its backbone sees already."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from training.backbones import pool
from training.pictures import Labelled
from training.student import RARE, Student

STRENGTH = 1.0  # scikit-learn's C
_MOST_STEPS = 2_000
_AT_ONCE = 32
_FLAT = 1e-6  # a feature that varies less says nothing


def probe(student: Student, data: Labelled, members: Tensor) -> None:
    """Fit `student`'s score and classes to the pictures `members` (int64 indices into `data`), its backbone as it is.

    Every stage counts alike, however many channels it has. Good pictures and defects weigh alike.
    """
    seen = _seen(student, data, members)
    usual, scale = standard(seen, student.kind.climbed)
    student.usual.copy_(usual)
    student.scale.copy_(scale)
    features = ((seen - student.usual) * student.scale).numpy()
    bad = data.bad[members].numpy()
    found = regression(features, bad.astype(np.int64), 2)
    if found is not None:
        weights, bias = (side[1:] - side[:1] for side in found)
        _set(student.to_score, weights, bias - RARE)
    if student.to_classes is not None:
        found = regression(features[bad], data.kinds[members].numpy()[bad], len(data.classes))
        if found is not None:
            _set(student.to_classes, *found)


def _seen(student: Student, data: Labelled, members: Tensor) -> Tensor:
    with torch.no_grad():
        maps = (student.climb(student.see(data.images[batch])) for batch in torch.split(members, _AT_ONCE))
        return torch.cat([pool(*one) for one in maps])


def standard(seen: Tensor, widths: Sequence[int]) -> tuple[Tensor, Tensor]:
    """What to take from the features of each picture (N x D of stages of so many channels), and what to multiply by.

    To unit spread, and down by the root of the number of features of the same stage.
    """
    sizes = torch.cat([torch.full((2 * width,), 2.0 * width) for width in widths])
    spread = seen.std(0)
    return seen.mean(0), torch.where(spread > _FLAT, 1 / (spread * sizes.sqrt()), 0.0)


def regression(
    features: NDArray[np.float32], truth: NDArray[np.int64], classes: int
) -> tuple[Tensor, Tensor] | None:
    """Weights (K x D) and biases (K) of the classes' logits; None where all pictures are of one.

    A class that no picture is of is ruled out.
    """
    there = np.unique(truth)
    if len(there) < 2:
        return None
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=_MOST_STEPS).fit(features, truth)
    rows = torch.from_numpy(np.column_stack((model.coef_, model.intercept_))).float()
    if len(there) == 2:
        rows = torch.cat((-rows / 2, rows / 2))  # one row tells two classes apart
    weights, bias = torch.zeros(classes, features.shape[1]), torch.full((classes,), RARE)
    weights[there], bias[there] = rows[:, :-1], rows[:, -1]
    return weights, bias


def _set(head: torch.nn.Linear, weights: Tensor, bias: Tensor) -> None:
    with torch.no_grad():
        head.weight.zero_()
        head.weight[:, : weights.shape[1]] = weights
        assert head.bias is not None
        head.bias.copy_(bias)
