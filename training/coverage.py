"""`edge-train coverage`: how one-sided a pool of unlabelled pictures is, and what it lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.copies import copies, joined, looks
from edge import __version__
from edge.capture.appraisal import look_at
from edge.errors import ConfigError
from edge.picture_set import LABELS, Picture, read_image
from edge.pixels import InputSpec
from training import pool as pools
from training.computing import computing
from training.features import USUAL, Features, features, unit

FEWEST = 10  # pictures of a pool that statistics say anything about
USUAL_SHARE = 0.95  # of the pool's own pictures lie within the radius of another one
EXAMPLES = 12
SCARCE = 0.5  # of the mean number of pictures of a group
LOOK = ("mean", "contrast", "focus", "dark", "bright")
_BLOCK = 512

Tick = Callable[[str, int], None]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Covered:
    """Other pictures: the cosine distance of each to the nearest of the pool, and whether that is within its radius."""

    pictures: tuple[Picture, ...]
    distance: NDArray[np.float32]
    within: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """The report, and what its page shows: pictures to see and the sets that were compared."""

    report: dict[str, Any]
    examples: tuple[tuple[Picture, str], ...]


def pictures_in(folder: Path) -> list[Picture]:
    """The pictures of a set, or of a folder with folders; a picture's folder is then its group. Raises ConfigError."""
    found = pools.pictures_in(folder)
    if (folder / LABELS).is_file():
        return found
    return [replace(one, group=Path(one.name).parent.as_posix()) for one in found]


def coverage(
    pool: Sequence[Picture], others: dict[str, Sequence[Picture]], threads: int, tick: Tick, spec: InputSpec = USUAL
) -> Findings:
    """What the pool holds and lacks; `others` are pictures that it should cover, by what they are (labelled, live).

    Raises ConfigError for fewer than 10 pictures and for one that cannot be read.
    """
    if len(pool) < FEWEST:
        raise ConfigError(
            f"{len(pool)} pictures are too few to say anything about a pool; collect {FEWEST} or more"
        )
    with computing(threads):
        seen = unit(features(pool, spec, lambda: tick("features", 1)))
        pairs = copies(one_by_one(pool), looks(pool, lambda: tick("copies", 1)))
        looked = np.array([_look(picture, tick) for picture in pool])
        nearest = nearest_of(seen, seen, apart=True)
        radius = float(np.quantile(nearest, USUAL_SHARE))
        held = {
            name: _covered(some, unit(features(some, spec, lambda: tick("features", 1))), seen, radius)
            for name, some in others.items()
            if some
        }
    repeated = len(joined(one_by_one(pool), pairs))
    report = {
        "kenpin": __version__,
        "pictures": len(pool),
        "input": spec.to_dict(),
        "copies": {"pairs": len(pairs), "repeated": repeated, "share": round(repeated / len(pool), 4)},
        "groups": balance([picture.group for picture in pool]),
        "looks": {name: _quantiles(looked[:, column]) for column, name in enumerate(LOOK)},
        "different_pictures": round(different(seen), 1),
        "radius": round(radius, 6),
        "covered": {
            name: {"pictures": len(one.pictures), "share": round(float(one.within.mean()), 4)}
            for name, one in held.items()
        },
    }
    report["next"] = advice(report)
    return Findings(report, examples(pool, nearest, held))


def one_by_one(pool: Sequence[Picture]) -> list[Picture]:
    """The pictures, each a group of its own."""
    return [replace(picture, group=picture.name) for picture in pool]


def _look(picture: Picture, tick: Tick) -> list[float]:
    seen = look_at(read_image(picture.path), 0)
    tick("light and focus", 1)
    return [seen.mean, seen.contrast, seen.focus, seen.dark, seen.bright]


def _quantiles(values: Floats) -> dict[str, float]:
    return {f"p{share}": round(float(np.percentile(values, share)), 4) for share in (5, 50, 95)}


def balance(groups: Sequence[str]) -> dict[str, Any]:
    """How many pictures each group has, and how many groups of one size would be as even (e to the entropy)."""
    counts = Counter(groups)
    shares = np.array(list(counts.values())) / len(groups)
    even = float(np.exp(-(shares * np.log(shares)).sum()))
    return {"count": len(counts), "as_even_as": round(even, 1), "pictures": dict(counts.most_common())}


def different(seen: Features) -> float:
    """How many entirely different pictures vary as much: the Vendi score (Friedman, Dieng 2022) of N unit features.

    e to the entropy of the eigenvalues of the kernel of cosines, after the mean picture is taken out.
    """
    away = seen - seen.mean(0)
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    kernel = away @ away.T if len(away) < away.shape[1] else away.T @ away
    values = np.maximum(np.linalg.eigvalsh(kernel.astype(np.float64) / len(away)), 0)
    shares = values[values > 1e-12] / max(values.sum(), 1e-12)
    return float(np.exp(-(shares * np.log(shares)).sum()))


def nearest_of(asked: Features, seen: Features, apart: bool = False) -> NDArray[np.float32]:
    """The cosine distance of each of `asked` to the nearest of `seen`; `apart`: both are the same, itself left out."""
    found = np.empty(len(asked), np.float32)
    for start in range(0, len(asked), _BLOCK):
        alike = asked[start : start + _BLOCK] @ seen.T
        if apart:
            rows = np.arange(len(alike))
            alike[rows, start + rows] = -1.0
        found[start : start + _BLOCK] = 1 - alike.max(1)
    return np.maximum(found, 0)


def _covered(pictures: Sequence[Picture], theirs: Features, seen: Features, radius: float) -> Covered:
    distance = nearest_of(theirs, seen)
    return Covered(tuple(pictures), distance, distance <= radius)


def advice(report: dict[str, Any]) -> list[str]:
    """What to collect next, most urgent first."""
    words = []
    for name, one in report["covered"].items():
        if one["share"] < USUAL_SHARE:
            words.append(
                f"Only {one['share']:.0%} of the {name} pictures resemble one of the pool as its own pictures "
                f"resemble each other ({USUAL_SHARE:.0%} of them do): collect more like those shown below."
            )
    groups = report["groups"]
    mean = report["pictures"] / groups["count"]
    scarce = [name for name, count in groups["pictures"].items() if count < SCARCE * mean]
    if scarce and groups["count"] < report["pictures"]:
        more = f" and {len(scarce) - 5} more" if len(scarce) > 5 else ""
        words.append(
            f"{len(scarce)} of {groups['count']} groups have less than half as many pictures as is usual: "
            f"{', '.join(scarce[-5:])}{more}. Collect more of them."
        )
    if report["copies"]["share"] > 0.05:
        words.append(
            f"{report['copies']['share']:.0%} of the pictures repeat another one: collect by change or by trigger, "
            "not by time."
        )
    for name, what in (("dark", "black"), ("bright", "white")):
        if report["looks"][name]["p50"] > 0.05:
            words.append(
                f"Half of the pictures are {what} in more than 5 % of their area: set exposure or light anew."
            )
    return words or ["Nothing is conspicuously missing from the pool."]


def examples(
    pool: Sequence[Picture], nearest: NDArray[np.float32], held: dict[str, Covered]
) -> tuple[tuple[Picture, str], ...]:
    """What is farthest from the pool, of each other set; then the pool's own loners."""
    shown = []
    for name, one in held.items():
        order = [index for index in np.argsort(-one.distance)[:EXAMPLES] if not one.within[index]]
        shown += [(one.pictures[index], f"{name}, {one.distance[index]:.3f} away") for index in order]
    loners = np.argsort(-nearest)[:EXAMPLES]
    return (*shown, *((pool[index], f"alone in the pool, {nearest[index]:.3f} away") for index in loners))
