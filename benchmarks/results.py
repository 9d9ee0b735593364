"""Results of `edge-bench --json` as figures by their paths, held to a budget, and compared with each other."""

from __future__ import annotations

import difflib
import json
import math
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.records import Reason

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Limits = dict[str, dict[str, float]]  # by one of SIDES, then by the figure's path

SIDES = ("at_most", "at_least")
LOADS_APART = 1.0  # of two load averages: a core more or less that others used
DRAWS = 10_000
COVERED = 0.95
_SHOWN = 8  # paths that a message lists
# what two results should have in common, and what it is called
_OF_THE_BENCH = {"name": "station", "products": "bundle", "bundle_sha256": "bundle", "model": "model"}
_OF_THE_BENCH |= {"threads": "threads", "rate_hz": "rate_hz", "seconds": "seconds", "asked": "parts asked for"}


@dataclass(frozen=True, slots=True)
class Miss:
    """A figure that a budget does not allow; None where too little was measured to know it."""

    path: str
    value: float | None
    side: str
    limit: float

    def words(self) -> str:
        """For people."""
        said = f"the budget says {self.side.replace('_', ' ')} {self.limit:g}"
        if self.value is None:
            return f"{self.path} is not known, too little was measured; {said}"
        return f"{self.path} is {self.value:g}, {said}"


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a figure, with the 95 % interval of so many runs each; no interval with fewer than three.

    `ratio` is the second result over the first, and so is the interval; where a run's figure is zero or less there is
    no ratio, and the interval is of the difference.
    """

    path: str
    before: float
    after: float
    ratio: float | None
    interval: tuple[float, float] | None

    @property
    def difference(self) -> float:
        """The second result less the first."""
        return self.after - self.before

    @property
    def is_sure(self) -> bool:
        """Whether the interval says that it changed."""
        same = 0 if self.ratio is None else 1
        return self.interval is not None and not self.interval[0] <= same <= self.interval[1]


def read_result(path: Path) -> dict[str, Any]:
    """What `edge-bench --json` wrote. Raises ConfigError for anything else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}; give a file that edge-bench --json wrote") from error
    if not isinstance(values, dict) or not isinstance(values.get("latency_ms"), dict):
        raise ConfigError(f"{path} is no result of edge-bench --json")
    for key in ("host", "hardware", "bench"):
        if not isinstance(values.get(key, {}), dict):
            raise ConfigError(f'{path} is no result of edge-bench --json: its "{key}" is no table')
    for where, runs in (("bench.runs", values.get("bench", {}).get("runs", [])), ("runs", values.get("runs", []))):
        if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
            raise ConfigError(f'{path} is no result of edge-bench --json: its "{where}" is no list of runs')
    return values


def figures(values: Mapping[str, Any]) -> dict[str, float]:
    """Every number of a result by its path, such as "bench.engine.p50"; what is of single runs is left out, and a
    reason that no part was unknown for is 0."""
    none = {f"unknown_reasons.{reason.name}": 0.0 for reason in Reason} if "unknown_reasons" in values else {}
    return none | dict(_figures(values, ""))


def _figures(values: Mapping[str, Any], before: str) -> Iterator[tuple[str, float]]:
    for key, value in values.items():
        path = f"{before}{key}"
        if isinstance(value, Mapping) and path != "host":
            yield from _figures(value, f"{path}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield path, float(value)


# --- budget -----------------------------------------------------------------------------------------------------


def read_budget(path: Path) -> Limits:
    """The limits of a budget file: tables [at_most] and [at_least] of "path" = number. Raises ConfigError."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}; write TOML with [at_most] and [at_least]") from error
    unknown = sorted(set(told) - set(SIDES))
    if unknown or not told:
        words = f"{', '.join(unknown)}: no part of a budget" if unknown else "an empty budget"
        raise ConfigError(f"{path} holds {words}; write [at_most] and [at_least] with figures of a result")
    limits: Limits = {}
    for side, table in told.items():
        limits[side] = dict(_figures(table, "")) if isinstance(table, dict) else {}
        if (
            not limits[side]
            or len(limits[side]) < _leaves(table)
            or not all(map(math.isfinite, limits[side].values()))
        ):
            raise ConfigError(f'{path}: [{side}] must hold finite numbers only, such as "bench.engine.p50" = 5.0')
    return limits


def _leaves(table: Mapping[str, Any]) -> int:
    return sum(_leaves(value) if isinstance(value, dict) else 1 for value in table.values())


def check_paths(limits: Limits, known: Collection[str], where: Path | None) -> None:
    """Raise ConfigError for a figure that no result has; it names those that are spelt alike. What a machine tells of
    its hardware is known only afterwards."""
    for path in (path for table in limits.values() for path in table):
        if path not in known and not path.startswith("hardware."):
            near = difflib.get_close_matches(path, known, _SHOWN, 0.5) or sorted(known)[:_SHOWN]
            raise ConfigError(f"{where}: this result has no figure {path!r}; near it: {', '.join(near)}")


def misses(limits: Limits, known: Mapping[str, float]) -> list[Miss]:
    """What is over, or under, its limit, or not known."""
    return [
        Miss(path, value, side, limit)
        for side, table in limits.items()
        for path, limit in table.items()
        if (value := known.get(path)) is None or not (value <= limit if side == "at_most" else value >= limit)
    ]


# --- comparison -------------------------------------------------------------------------------------------------


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Every figure that both results have, in the order of the first; what is 0 in both is left out.

    What each run of several has (`bench.runs`, of a station `runs`) is compared by the medians of the runs; the
    interval comes from runs drawn again, of each result by itself: runs of two commands are no pairs. Raises
    ConfigError for a bundle's result and a station's, which have no figure in common.
    """
    kinds = ["a bundle" if "engine" in values.get("bench", {}) else "a station" for values in (before, after)]
    if kinds[0] != kinds[1]:
        raise ConfigError(f"{kinds[0]} cannot be compared with {kinds[1]}: give two results of the same kind")
    changes = []
    others = _of_runs(after)
    for path, first in _of_runs(before).items():
        second = others.get(path)
        if second is not None and not path.endswith(".n") and (any(first) or any(second)):
            changes.append(_change(path, np.array(first), np.array(second)))
    return changes


def _of_runs(values: Mapping[str, Any]) -> dict[str, list[float]]:
    """Each figure in each run that has it; of what is told once, one value."""
    found = {path: [value] for path, value in figures(values).items()}
    runs = [figures({"bench": run}) for run in values.get("bench", {}).get("runs", ())]
    runs += [figures(run) for run in values.get("runs", ())]
    for path in {path for run in runs for path in run}:
        found[path] = [run[path] for run in runs if path in run]
    return found


def _change(path: str, old: NDArray[np.float64], new: NDArray[np.float64]) -> Change:
    before, after = float(np.median(old)), float(np.median(new))
    if (old > 0).all() and (new > 0).all():
        return Change(path, before, after, after / before, _interval(old, new, np.divide))
    return Change(path, before, after, None, _interval(old, new, np.subtract))


def _interval(old: NDArray[np.float64], new: NDArray[np.float64], by: np.ufunc) -> tuple[float, float] | None:
    if min(len(old), len(new)) < 3:
        return None
    draw = np.random.default_rng(0)
    drawn = [np.median(draw.choice(values, (DRAWS, len(values))), axis=1) for values in (old, new)]
    low, high = np.quantile(by(drawn[1], drawn[0]), ((1 - COVERED) / 2, (1 + COVERED) / 2))
    return float(low), float(high)


def unlike(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """In what the two were measured differently: a ratio of two machines is none of two programs."""
    told = []
    for name in ("cpu", "flags", "cores", "kernel", "python", "versions"):
        one, other = (values.get("host", {}).get(name) for values in (before, after))
        if one != other:
            told.append(f"{name}: {_short(one)} before, {_short(other)} after")
    for name, words in _OF_THE_BENCH.items():
        one, other = ((values.get("bench") or {}).get(name) for values in (before, after))
        if one != other:
            told.append(f"{words}: {_short(one)} before, {_short(other)} after")
    old, new = ((values.get("bench") or {}).get("load_average") for values in (before, after))
    if old is not None and new is not None and abs(old - new) > LOADS_APART:
        told.append(f"load average: {old:g} before, {new:g} after")
    if before.get("partial") != after.get("partial"):
        told.append(f"partial: {before.get('partial', 'no')} before, {after.get('partial', 'no')} after")
    for name in ("facts", "unfit"):
        one, other = (values.get("hardware", {}).get(name) for values in (before, after))
        if one != other:
            told.append(f"hardware, {name}: {_short(one)} before, {_short(other)} after")
    return told


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(of)}" for name, of in value.items())
    if isinstance(value, list):
        return " ".join(map(_short, value)) or "none"
    return "unknown" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)
