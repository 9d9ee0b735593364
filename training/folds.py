"""Which pictures are held out together: whole groups, with defects spread evenly over the folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.picture_set import GOOD, Picture


def split(pictures: Sequence[Picture], folds: int, seed: int, good_only: bool = False) -> NDArray[np.int64]:
    """The fold (0 .. folds - 1) of each labelled picture: N. A group is never split; the same seed, the same folds.

    Groups are dealt in the order of how much they hold, each to the fold where the labels then stay most even.
    Raises ConfigError when a model would see no defect or no good picture; where none is good, not all classes; with
    `good_only`, no good picture.
    """
    taught = np.array([not good_only or picture.label == GOOD for picture in pictures])
    teachers = [picture for picture, teaches in zip(pictures, taught, strict=True) if teaches]
    _check(teachers, folds, set() if good_only else {"defects"})
    fold_of = spread(pictures, folds, seed)
    _check_folds(fold_of[taught], _kinds(teachers), folds)
    return fold_of


def spread(pictures: Sequence[Picture], folds: int, seed: int) -> NDArray[np.int64]:
    """The folds of `split` for any labels, also where a fold then lacks one of them."""
    groups, of_picture = np.unique([picture.group for picture in pictures], return_inverse=True)
    labels, of_label = np.unique([picture.label for picture in pictures], return_inverse=True)
    counts = np.zeros((len(groups), len(labels)))
    np.add.at(counts, (of_picture, of_label), 1)
    # defects of all classes together count as one label more, or two classes could share the one fold
    bad = counts[:, labels != GOOD].sum(1, keepdims=True)
    counts = np.hstack((counts, bad))
    return _deal(counts / np.maximum(counts.sum(0), 1), folds, seed)[of_picture]


def _kinds(pictures: Sequence[Picture]) -> NDArray[np.str_]:
    """What every training must see some of: good pictures and defects, or each class where none is good."""
    labels = np.array([picture.label for picture in pictures])
    return np.where(labels == GOOD, "good pictures", "defects") if (labels == GOOD).any() else labels


def _deal(shares: NDArray[np.float64], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each group, given which share of every label it holds: groups x labels."""
    order = np.random.default_rng(seed).permutation(len(shares))
    order = order[np.argsort(-shares[order].max(1), kind="stable")]
    held = np.zeros((folds, shares.shape[1]))
    fold_of = np.zeros(len(shares), np.int64)
    for group in order:
        fold = int(np.argmin([_unevenness(held, fold, shares[group]) for fold in range(folds)]))
        held[fold] += shares[group]
        fold_of[group] = fold
    return fold_of


def _unevenness(held: NDArray[np.float64], fold: int, more: NDArray[np.float64]) -> float:
    after = held.copy()
    after[fold] += more
    return float(np.square(after).sum())


def _check(pictures: Sequence[Picture], folds: int, beside_goods: set[str]) -> None:
    kinds = _kinds(pictures)
    names = np.array([picture.group for picture in pictures])
    for kind in sorted(set(kinds.tolist()) | (beside_goods if "good pictures" in kinds else set())):
        groups = np.unique(names[kinds == kind])
        if len(groups) < 2:
            raise ConfigError(
                f"the groups that hold {kind}: {', '.join(groups) or 'none'}; a score needs a model that did not see "
                f"the group, so label {kind} of at least two"
            )
        if len(groups) < folds:
            raise ConfigError(
                f"{folds} folds, but only {len(groups)} groups hold {kind}: use --folds {len(groups)} "
                "or label more groups"
            )


def _check_folds(fold_of: NDArray[np.int64], kinds: NDArray[np.str_], folds: int) -> None:
    for fold in range(folds):
        if len(np.unique(kinds[fold_of != fold])) < len(np.unique(kinds)):
            raise ConfigError(f"without fold {fold} one label is missing: use fewer --folds or another --seed")
