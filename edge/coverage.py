"""Where the embeddings of the pictures lie that a student learned from, as a bundle keeps it, and what lies outside."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

Floats = NDArray[np.float32]
Spread = Annotated[float, Field(gt=0)]
_STORED = np.dtype("<f2")
FARTHEST = 10.0  # limits: what lies farther out, or is no number, is told as this far


@dataclass(frozen=True, slots=True)
class Coverage:
    """Mean and principal axes of the embeddings of learned pictures, with their `variances`, and the mean square of
    what is left beside the axes, `rest`. `limit`: the squared distance, in these variances, that 95 % of the pictures
    stay within that were held out. `table`: float16 little-endian in base64, 1 + K rows of `length`: the mean, then the
    axes.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    length: Annotated[int, Field(ge=1, le=100_000)]
    variances: Annotated[tuple[Spread, ...], Field(min_length=1, max_length=256)]
    rest: Spread
    limit: Spread
    table: Annotated[str, Field(max_length=400_000)]

    def __post_init__(self) -> None:
        rows = self._rows()
        if not np.isfinite(rows).all():
            raise ValueError("a mean or axes that are no numbers")

    def _rows(self) -> Floats:
        data = base64.b64decode(self.table, validate=True)
        shape = 1 + len(self.variances), self.length
        if len(data) != shape[0] * shape[1] * _STORED.itemsize:
            raise ValueError(f"a table of {len(data)} bytes, not of {shape[0]} rows of {shape[1]}")
        return np.frombuffer(data, _STORED).reshape(shape).astype(np.float32)

    def outside(self) -> Outside:
        """What to compare embeddings with."""
        mean, *axes = self._rows()
        return Outside(mean, np.array(axes), np.array(self.variances, np.float32), self.rest, self.limit)


@dataclass(frozen=True, slots=True, eq=False)
class Outside:
    """mean: D. axes: K x D. variances: K. All float32."""

    mean: Floats
    axes: Floats
    variances: Floats
    rest: float
    limit: float

    def distance(self, embedding: Floats) -> float:
        """Squared, in the variances of learned pictures. embedding: float32 D. Some microseconds."""
        beside = embedding - self.mean
        along = self.axes @ beside
        left = max(0.0, float(beside @ beside - along @ along))
        return float((along * along / self.variances).sum()) + left / self.rest

    def in_limits(self, embedding: Floats) -> float:
        """How far out it lies, not squared: at 1 is what 95 % of those held out stay within. At most FARTHEST, where
        what is no number lies too."""
        squared = self.distance(embedding)
        return min(FARTHEST, math.sqrt(squared / self.limit)) if squared < math.inf else FARTHEST


def table_of(mean: Floats, axes: Floats) -> str:
    """`Coverage.table` of these."""
    return base64.b64encode(np.vstack([mean[None], axes]).astype(_STORED).tobytes()).decode()
