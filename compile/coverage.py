"""What embeddings a model gives the pictures that it learned from and those held out, for the eye to tell others by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration.judging import embeddings
from calibration.sample import sample
from compile.drawn import LABEL as DRAWN
from edge.coverage import Coverage, Floats, table_of
from edge.picture_set import Picture

AXES = 32
LEARNED, ACCEPTED = 160, 120  # pictures that are looked at, at most
FEWEST = 20  # of each; fewer do not tell what is usual
_FOR_AN_AXIS = 4  # pictures
_LARGEST = 50_000  # numbers of a table
_WITHIN = 0.95
_LEAST = 1e-9  # a variance: embeddings are of length 1


def coverage_of(
    model: bytes, target: str, learned: Sequence[Picture], held_out: Sequence[Picture], seed: int
) -> Coverage | None:
    """Of the real ones of these pictures; None where they are too few. Raises as `judge_pictures`."""
    sets = [[one for one in pictures if one.label != DRAWN] for pictures in (learned, held_out)]
    if min(map(len, sets)) < FEWEST:
        return None
    chosen = [sample(pictures, most, seed) for pictures, most in zip(sets, (LEARNED, ACCEPTED), strict=True)]
    return fitted(*(embeddings(model, pictures, target) for pictures in chosen))


def fitted(learned: Floats, held_out: Floats) -> Coverage | None:
    """N x D and M x D. None where the embedding is too long or says nothing."""
    count, length = learned.shape
    axes = min(AXES, count // _FOR_AN_AXIS, length - 1, _LARGEST // length - 1)
    if axes < 1:
        return None
    mean = learned.mean(axis=0)
    _, stretch, directions = np.linalg.svd(learned - mean, full_matrices=False)
    spread = np.maximum(stretch**2 / (count - 1), _LEAST)
    made = Coverage(
        length=length,
        variances=tuple(map(float, spread[:axes])),
        rest=float(max(spread[axes:].sum(), _LEAST)),
        limit=1.0,
        table=table_of(mean, directions[:axes]),
    )
    outside = made.outside()  # as it is stored
    limit = float(np.quantile([outside.distance(one) for one in held_out], _WITHIN))
    return Coverage(made.length, made.variances, made.rest, max(limit, _LEAST), made.table)
