"""How well scores rank defects above good pictures, also when groups are drawn again: what every interval rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t  # type: ignore[import-untyped]

MEASURES = {"auroc": "AUROC", "ap": "average precision", "recall": "recall at 1 % overkill"}
ACCURACY = "accuracy"  # where classes are told apart
OVERKILL = 0.01
_COVERED = 0.95

Floats = NDArray[np.float64]


def ranked(
    scores: NDArray[np.float32], bad: NDArray[np.bool_], weights: Floats | None = None
) -> Mapping[str, Floats]:
    """The MEASURES of N scores (higher = worse), once for each row of `weights` (B x N; one row of ones without).

    Each value is float64 B; NaN where a row leaves no defect or no good picture. A picture of weight w counts w
    times; equal scores count half in AUROC and share their place in the others.
    """
    rows = np.ones((1, len(scores))) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    # where a run of equal scores ends: thresholds lie there only
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found, raised = (np.cumsum(rows[:, order] * kind[order], axis=1)[:, ends] for kind in (bad, ~bad))
    defects, goods = found[:, -1:], raised[:, -1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        recall, overkill = found / defects, raised / goods
        precision = found / np.maximum(found + raised, 1e-12)
    steps = np.diff(recall, axis=1, prepend=0)
    area = (np.diff(overkill, axis=1, prepend=0) * (recall - steps / 2)).sum(1)
    within = np.where(overkill <= OVERKILL, recall, 0).max(1)
    whole = (defects > 0) & (goods > 0)
    values = {"auroc": area, "ap": (steps * precision).sum(1), "recall": within}
    return {name: np.where(whole[:, 0], value, np.nan) for name, value in values.items()}


def sorted_right(right: NDArray[np.bool_], weights: Floats) -> Floats:
    """The share of N defects that were taken for what they are, once for each row of `weights` (B x N); NaN where a row
    leaves none."""
    with np.errstate(invalid="ignore"):
        return np.asarray((weights * right).sum(1) / weights.sum(1), np.float64)


def drawn_again(groups: Sequence[str], times: int, seed: int) -> tuple[dict[str, int], Floats]:
    """Groups drawn with replacement: each group's column, and how often each of `times` draws took it."""
    names = sorted(set(groups))
    draw = np.random.default_rng(seed)
    counts = draw.multinomial(len(names), np.full(len(names), 1 / len(names)), size=times)
    return {name: column for column, name in enumerate(names)}, counts.astype(np.float64)


def resampled(groups: Sequence[str], times: int, seed: int) -> Floats:
    """The weights that `ranked` takes for pictures of these groups: 1 each, then one row for every draw."""
    columns, counts = drawn_again(groups, times, seed)
    return np.vstack((np.ones(len(groups)), counts[:, [columns[group] for group in groups]]))


def over_seeds(values: Sequence[float]) -> tuple[float, float] | None:
    """Where the mean over all seeds lies with 95 % confidence (Student's t); None for fewer than two seeds."""
    if len(values) < 2:
        return None
    middle, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    reach = float(student_t.ppf((1 + _COVERED) / 2, len(values) - 1)) * spread / len(values) ** 0.5
    return middle - reach, middle + reach


def middle_of(values: Floats) -> tuple[float, float] | None:
    """The middle 95 % of bootstrap values; None where groups are too few for half of them to have a value."""
    sound = values[np.isfinite(values)]
    if len(sound) < len(values) / 2:
        return None
    low, high = np.quantile(sound, ((1 - _COVERED) / 2, (1 + _COVERED) / 2))
    return float(low), float(high)
