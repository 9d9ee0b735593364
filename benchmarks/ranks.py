"""Percentiles as a result tells them: with how many values they are of, and none that so few values cannot have."""

from __future__ import annotations

from collections.abc import Mapping

from edge.clock import MS
from edge.timing import Series

RANKS = ("p50", "p90", "p99", "p999", "max")
NEEDED = {"p90": 10, "p99": 100, "p999": 1_000}  # with fewer values it is the longest one, which is told as such

Figures = dict[str, float | None]


def ranks_ms(series: Series) -> Figures:
    """`n` and RANKS of times in ns, in milliseconds; None where too few values were measured."""
    return known({"n": series.count} | series.summary(MS))


def known(figures: Mapping[str, float | None]) -> Figures:
    """`figures` has `n` and RANKS; those that `n` values cannot have become None."""
    count = figures["n"] or 0
    return {rank: None if count < NEEDED.get(rank, 0) else value for rank, value in figures.items()}
