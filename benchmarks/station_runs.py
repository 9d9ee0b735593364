"""Several runs of one station as one result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.course import Steadiness
from benchmarks.ranks import Figures

_BY_RANK: dict[str, Callable[[Sequence[float]], float]] = {"n": sum, "max": max}
_COUNTED = ("verdicts", "unknown_reasons", "frames", "deadline", "journal")


def together(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The results of runs, at least one, as one; of several each one is kept under "runs".

    Counts, processor time and histograms are of all runs, `max` and memory the most of them, and the rest medians of
    the runs; the steadiness is of the one that was least steady, state and cause are the last one's.
    """
    if len(each) == 1:
        return each[0]
    told = each[-1] | {name: _summed([one[name] for one in each]) for name in _COUNTED}
    told |= {name: sum(one[name] for one in each) for name in ("parts", "cpu_s")}
    told["rss_mb"] = max(one["rss_mb"] for one in each)
    told["startup_ms"] = _middle([one["startup_ms"] for one in each])
    told["latency_ms"] = _by_name([one["latency_ms"] for one in each], _ranks)
    told["gate"] = _gate([one["gate"] for one in each])
    told["bench"] = _bench([one["bench"] for one in each])
    told["runs"] = [{name: value for name, value in one.items() if name != "host"} for one in each]
    return told


def _bench(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    told = dict(each[0])
    for name in ("per_part", "memory", "capacity"):
        told[name] = _by_name([one.get(name, {}) for one in each], _middle)
    for name in ("after_gap", "tenths"):
        told[name] = _by_name([one[name] for one in each], _ranks)
    told["histograms"] = _by_name([one.get("histograms", {}) for one in each], _histogram)
    known = [steady for one in each if (steady := one.get("steadiness"))]
    told["steadiness"] = max(known, key=lambda steady: Steadiness(**steady).unsteady_by(), default=None)
    return told


def _gate(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    edges = _ranks([one["edge_error_us"] for one in each])
    counts = [{name: value for name, value in one.items() if name != "edge_error_us"} for one in each]
    return _summed(counts) | {"edge_error_us": edges}


def _by_name(each: Sequence[Mapping[str, Any]], join: Callable[[list[Any]], Any]) -> dict[str, Any]:
    names = dict.fromkeys(name for one in each for name in one)
    return {name: join([one[name] for one in each if name in one]) for name in names}


def _summed(each: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    return _by_name(each, sum)


def _middle(each: Sequence[float | None]) -> float | None:
    known = [one for one in each if one is not None]
    return round(median(known), 4) if known else None


def _ranks(each: Sequence[Figures]) -> Figures:
    told: Figures = {}
    for rank in each[0]:
        known = [value for one in each if (value := one[rank]) is not None]
        told[rank] = _BY_RANK[rank](known) if known and rank in _BY_RANK else _middle(known)
    return told


def _histogram(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Their bins are of one ladder, and each is trimmed to what it holds."""
    bounds = sorted({bound for one in each for bound in one["bounds_ms"]})
    counts = dict.fromkeys(bounds[:-1], 0)
    for one in each:
        for low, count in zip(one["bounds_ms"], one["counts"], strict=False):
            counts[low] += count
    return {"bounds_ms": bounds, "counts": list(counts.values())}
