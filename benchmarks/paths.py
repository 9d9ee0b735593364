"""Which figures a result will have, known before anything is measured: a budget's mistakes cost no measurement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from benchmarks.course import Steadiness
from benchmarks.gaps import LEAST_S, TENTHS
from benchmarks.idle import IdleGap, gap_name
from benchmarks.paired import Paired
from benchmarks.ranks import RANKS
from benchmarks.steady import Usage
from benchmarks.watch import Growth
from edge.records import Reason
from edge.report import Counts, report
from edge.timing import Timing

_NUMBERS = (
    *("beyond_engine_ms", "sustained_per_s", "possible_per_s", "rate_hz"),
    *("pictures", "version", "threads", "seconds", "load_average"),
)
_RANKS = dict.fromkeys(("n", *RANKS))


def of_a_bundle(gaps_s: Sequence[float], against: str | None, has_rival: bool = False) -> set[str]:
    """The paths of a bundle's result, but those of its hardware."""
    ratios = ("overhead", "sustained", *(("speed_up",) if against else ()))
    bench: dict[str, Any] = dict.fromkeys(_NUMBERS)
    bench |= dict.fromkeys(("engine", "pixels", "paced", "saturation"), _RANKS)
    bench |= {"ratios": dict.fromkeys(ratios), "per_part": Usage.empty(), "steadiness": _of(Steadiness)}
    bench["idle"] = {gap_name(gap_s): _of(IdleGap) for gap_s in gaps_s}
    if has_rival:
        bench["against_bundle"] = {"version": None, "engine": _of(Paired), "saturation": _of(Paired)}
    return set(_paths(_report() | {"bench": bench}, ""))


def of_a_station() -> set[str]:
    """The paths of a station's result, but those of its hardware."""
    per_part = dict.fromkeys(("page_faults", "disk_faults"))
    capacity = dict.fromkeys(("per_s", "possible_per_s", "sustained", "busy"))
    gaps = {gap_name(least_s): _RANKS for least_s in LEAST_S}
    bench: dict[str, Any] = {"per_part": per_part, "capacity": capacity, "steadiness": _of(Steadiness)}
    bench |= {"after_gap": gaps, "tenths": dict.fromkeys(TENTHS, _RANKS), "memory": _of(Growth)}
    bench |= dict.fromkeys(("asked", "threads", "load_average"))
    return set(_paths(_report() | {"bench": bench}, ""))


def _report() -> dict[str, Any]:
    values = report(Counts(), Timing(1), None, "", "", 0).to_dict()
    return values | {"unknown_reasons": dict.fromkeys(reason.name for reason in Reason)}


def _of(kind: Any) -> dict[str, None]:
    return dict.fromkeys(field.name for field in fields(kind))


def _paths(values: Mapping[str, Any], before: str) -> Iterator[str]:
    for key, value in values.items():
        path = f"{before}{key}"
        if isinstance(value, Mapping) and path != "host":
            yield from _paths(value, f"{path}.")
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield path
