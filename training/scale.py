"""How large the input must be where no mask tells: as large as a linear probe of the frozen backbone needs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.picture_set import GOOD, Picture
from edge.pixels import InputSpec
from training.backbones import Stages, Start, pool
from training.folds import split
from training.pictures import in_batches
from training.probe import regression, standard
from training.ranking import ranked, resampled

MOST = 400  # pictures that are looked at
DRAWS = 200  # times that the groups are drawn again
SURE = 0.9  # the share of the draws in which a larger input must be the better one
WORTH = 0.2  # the share of the errors (1 - AUROC) that a larger input must take away

Sizes = Sequence[tuple[int, int]]
Tick = Callable[[], None]


def steps(pictures: Sequence[Picture], sizes: Sizes) -> int:
    """How many ticks `smallest_size` gives at most."""
    return min(MOST, len(pictures)) * len(sizes)


def smallest_size(
    pictures: Sequence[Picture], spec: InputSpec, sizes: Sizes, begin: Start, folds: int, seed: int, tick: Tick
) -> tuple[tuple[int, int], dict[tuple[int, int], float]]:
    """The smallest of `sizes` (width, height; smallest first) at which the probe is no worse than at the largest.

    Returns it and the cross-fitted AUROC of every size that was tried. `pictures` are labelled, good ones and
    defects; `spec` is the input but for its size; `tick` is called for every picture and size. Raises ConfigError for
    a picture that cannot be read, and for groups that cannot be split.
    """
    some = _some(pictures, seed)
    fold_of = split(some, folds, seed)
    bad = np.array([picture.label != GOOD for picture in some])
    stages = Stages(begin, spec.channels).eval()
    weights = resampled([picture.group for picture in some], DRAWS, seed)

    def tried(size: tuple[int, int]) -> NDArray[np.float64]:
        """AUROC as it is, then in every draw of the groups."""
        seen = _seen(some, replace(spec, width=size[0], height=size[1]), stages, tick)
        return ranked(_cross_fit(seen, stages.kind.climbed, bad, fold_of), bad, weights)["auroc"]

    values = {size: tried(size) for size in dict.fromkeys((sizes[0], sizes[-1]))}
    best = values[sizes[-1]]
    if _better(best, values[sizes[0]]):
        for size in sizes[1:-1]:
            values[size] = tried(size)
    chosen = next(size for size in sizes if size in values and not _better(best, values[size]))
    return chosen, {size: round(float(values[size][0]), 4) for size in sizes if size in values}


def _better(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether the first is better by more than chance and by enough to be worth the time of a larger input."""
    gain = one[1:] - other[1:]
    sure = float((gain[np.isfinite(gain)] > 0).mean()) >= SURE if np.isfinite(gain).any() else False
    return sure and bool(1 - one[0] < (1 - WORTH) * (1 - other[0]))


def _some(pictures: Sequence[Picture], seed: int) -> list[Picture]:
    """At most MOST of the pictures, half of them defects where there are so many."""
    order = np.random.default_rng(seed).permutation(len(pictures))
    bad, good = ([index for index in order if (pictures[index].label == GOOD) is kind] for kind in (False, True))
    bad = bad[: max(MOST // 2, MOST - len(good))]
    return [pictures[index] for index in sorted([*bad, *good[: MOST - len(bad)]])]


def _seen(pictures: Sequence[Picture], spec: InputSpec, stages: Stages, tick: Tick) -> Tensor:
    """What the backbone's stages see of each picture: float32 N x D."""
    rows = []
    for images in in_batches(pictures, spec):
        with torch.no_grad():
            rows.append(pool(*stages.climb(stages.see(images))))
        for _ in images:
            tick()
    return torch.cat(rows)


def _cross_fit(
    seen: Tensor, widths: Sequence[int], bad: NDArray[np.bool_], fold_of: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The score of every picture by a probe that saw no picture of its fold."""
    scores = np.empty(len(bad), np.float32)
    for fold in np.unique(fold_of):
        held = fold_of == fold
        usual, scale = standard(seen[~held], widths)
        features = (seen - usual) * scale
        found = regression(features[~held].numpy(), bad[~held].astype(np.int64), 2)
        assert found is not None, "split gives every fold both kinds"
        weights, _ = found
        scores[held] = (features[held] @ (weights[1] - weights[0])).numpy()
    return scores
