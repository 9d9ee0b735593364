"""What the cells of a label curve say together: means with intervals, paired differences, labels saved, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression

from training.curve_plan import ARMS, Cell, told
from training.ranking import MEASURES, drawn_again, middle_of, over_seeds, ranked

DRAWS = 1_000
NAMES = {
    "floor": "frozen features",
    "scratch": "from scratch",
    "public": "public weights",
    "distil": "distilling",
    "ssl": "SSL",
}

Floats = NDArray[np.float64]
Results = Mapping[Cell, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """One measure of one point: what every seed gave, and the mean over seeds in every draw of the groups."""

    seeds: Floats
    draws: Floats

    def __sub__(self, other: Values) -> Values:
        return Values(self.seeds - other.seeds, self.draws - other.draws)

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(self.seeds.mean())

    def to_dict(self) -> dict[str, Any]:
        """As curve.json has it."""
        return {
            "mean": _short(self.mean),
            "seeds": [_short(value) for value in self.seeds],
            "over_seeds": _shorts(over_seeds(self.seeds.tolist())),
            "over_groups": _shorts(middle_of(self.draws)),
        }

    def sign(self) -> int:
        """1 or -1 where both intervals lie above or below zero, else 0; 0 without intervals."""
        spans = (over_seeds(self.seeds.tolist()), middle_of(self.draws))
        if None in spans:
            return 0
        lows, highs = zip(*(span for span in spans if span), strict=True)
        return int(min(lows) > 0) - int(max(highs) < 0)


Points = Mapping[tuple[str, int], Mapping[str, Values]]


def name_of(arm: str) -> str:
    """An arm in words."""
    return NAMES.get(arm, f"SSL {arm}")


def points(results: Results, tested: Mapping[int, Sequence[tuple[str, bool]]]) -> Points:
    """The values of every (arm, labels) and measure.

    tested: for each seed the group of every picture of its test part, and whether it is a defect, in the order of
    the cells' scores. Groups are drawn again for all seeds and arms alike, so differences are paired.
    """
    columns, counts = drawn_again([group for part in tested.values() for group, _ in part], DRAWS, 0)
    of: dict[tuple[str, int], list[tuple[Mapping[str, Any], Mapping[str, Floats]]]] = {}
    for cell, result in results.items():
        part = tested[cell.seed]
        weights = counts[:, [columns[group] for group, _ in part]]
        scores = np.array(result["scores"], np.float32)
        again = ranked(scores, np.array([bad for _, bad in part]), weights)
        of.setdefault((cell.arm, cell.labels), []).append((result["measures"], again))
    return {
        point: {
            name: Values(
                np.array([seed[name] for seed, _ in there]), np.mean([again[name] for _, again in there], axis=0)
            )
            for name in MEASURES
        }
        for point, there in of.items()
    }


def needed(values: Points, arm: str, measure: str, xs: Mapping[int, float], target: Values) -> tuple[float, Any]:
    """How many labels `arm` needs to be as good as `target`, and the middle 95 % of that over groups.

    The arm's means are made to rise with the labels (isotonic), then read between them on a logarithmic scale. 0 or
    infinity where that is fewer, or more, than was measured.
    """
    asked = sorted(((xs[labels], values[arm, labels][measure]) for labels in xs), key=lambda one: one[0])
    at = [x for x, _ in asked]
    draws = np.stack([value.draws for _, value in asked], axis=1)
    sound = np.isfinite(draws).all(1) & np.isfinite(target.draws)
    again = [_reached(at, row, goal) for row, goal in zip(draws[sound], target.draws[sound], strict=True)]
    span = None
    if len(again) >= DRAWS / 2:
        low, high = np.quantile(again, (0.025, 0.975), method="nearest")
        span = [float(low), float(high)]
    return _reached(at, np.array([value.mean for _, value in asked]), target.mean), span


def _reached(at: Sequence[float], heights: Floats, goal: float) -> float:
    rising = isotonic_regression(heights)
    if goal > rising[-1]:
        return float("inf")
    if goal <= rising[0]:
        return at[0] if goal == rising[0] else 0.0
    upper = int(np.searchsorted(rising, goal))
    share = (goal - rising[upper - 1]) / (rising[upper] - rising[upper - 1])
    return float(np.exp(np.interp(share, (0, 1), np.log(at[upper - 1 : upper + 1]))))


def average(values: Points, arm: str, than: str, labels: Sequence[int], measure: str) -> Values:
    """The paired difference of two arms, averaged over the numbers of labels."""
    parts = [values[arm, count][measure] - values[than, count][measure] for count in labels]
    return Values(np.mean([one.seeds for one in parts], axis=0), np.mean([one.draws for one in parts], axis=0))


def verdict(values: Points, arm: str, than: str, xs: Mapping[int, float], measure: str) -> list[str]:
    """Whether `arm` is better than `than`, and by how many labels: sentences."""
    labels = list(xs)
    gain = average(values, arm, than, labels, measure)
    name, other, sign = name_of(arm), name_of(than), gain.sign()
    spans = over_seeds(gain.seeds.tolist()), middle_of(gain.draws)
    if spans[0] is None:
        return [
            f"{name} against {other}: {MEASURES[measure]} {gain.mean:+.3f}; one seed cannot say whether that is "
            "chance: measure 3 or more (--seeds)."
        ]
    sure = f"95 %: {_span(spans[0])} over {len(gain.seeds)} seeds, {_span(spans[1])} over groups"
    about = f"{MEASURES[measure]} {gain.mean:+.3f} on average over {_listed([told(one) for one in labels])} labels"
    first = {
        1: f"{name} helped against {other}: {about} ({sure}).",
        0: f"No gain of {name} against {other}: {about} ({sure}); that may be chance.",
        -1: f"{name} did harm against {other}: {about} ({sure}).",
    }[sign]
    return [_capital(first), *([_saved(values, arm, than, xs, measure)] if sign > 0 else [])]


def _saved(values: Points, arm: str, than: str, xs: Mapping[int, float], measure: str) -> str:
    most = max(xs.values())
    parts = []
    for labels, count in xs.items():
        worth, span = needed(values, than, measure, xs, values[arm, labels][measure])
        ends = [_labels(end, most) for end in span or ()]
        likely = f" ({ends[0]} to {ends[1]} over groups)" if ends and ends[0] != ends[1] else ""
        parts.append(f"{count:.0f} labels are worth {_labels(worth, most)}{likely}")
    return f"With {name_of(arm)}, {_listed(parts)} of {name_of(than)}."


def _needs(values: Points, arm: str, than: str, xs: Mapping[int, float], measure: str) -> str:
    """How many labels a start takes to reach what another one reaches."""
    most, parts = max(xs.values()), []
    for labels, count in xs.items():
        takes, span = needed(values, arm, measure, xs, values[than, labels][measure])
        ends = f" ({_labels(span[0], most)} to {_labels(span[1], most)} over groups)" if span else ""
        parts.append(f"{_labels(takes, most)}{ends} for {count:.0f}")
    return f"Labels that it takes with {name_of(arm)}, by those of {name_of(than)}: {_listed(parts)}."


def _labels(count: float, most: float) -> str:
    if count == float("inf"):
        return f"more than {most:.0f}"
    return f"{count:.0f}" if count else "fewer than were measured"


def summary(values: Points, xs: Mapping[int, float], measure: str, transfer: bool = False) -> dict[str, Any]:
    """Everything above, as curve.json has it. xs: how many defects each number of labels stands for.

    With `transfer` it tells how many labels each encoder takes (`takes`) to be as good as its start is with others.
    """
    arms = list(dict.fromkeys(arm for arm, _ in values))
    compared = _pairs(arms)
    moved = [
        (arm, than) for arm, than in compared if transfer and arm not in ARMS and than in ("public", "scratch")
    ]
    return {
        "points": [
            {"arm": arm, "labels": told(labels), "defects": xs[labels]}
            | {name: values[arm, labels][name].to_dict() for name in MEASURES}
            for arm in arms
            for labels in xs
        ],
        "differences": [
            {"arm": arm, "than": than, "labels": told(labels), "defects": xs[labels]}
            | {name: (values[arm, labels][name] - values[than, labels][name]).to_dict() for name in MEASURES}
            | {"as_good_with": _as_good(values, arm, than, xs, labels, measure)}
            | ({"takes": _as_good(values, than, arm, xs, labels, measure)} if (arm, than) in moved else {})
            for arm, than in compared
            for labels in xs
        ],
        "averages": [
            {"arm": arm, "than": than, "sign": gain.sign(), **gain.to_dict()}
            for arm, than in compared
            for gain in [average(values, arm, than, list(xs), measure)]
        ],
        "verdict": [
            line
            for arm, than in compared
            for line in (
                *verdict(values, arm, than, xs, measure),
                *([_needs(values, arm, than, xs, measure)] if (arm, than) in moved else []),
            )
        ],
    }


def _as_good(
    values: Points, arm: str, than: str, xs: Mapping[int, float], labels: int, measure: str
) -> dict[str, Any]:
    """How many labels the other arm needs; None = more than were measured."""
    count, span = needed(values, than, measure, xs, values[arm, labels][measure])
    finite = [None if value == float("inf") else round(value, 1) for value in (count, *(span or ()))]
    return {"labels": finite[0], "over_groups": finite[1:] or None}


def _pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    """Every encoder against what it began with, and the first one against the others; then the plain starts."""
    encoders = [arm for arm in arms if arm not in ARMS]
    begun = "public" if "public" in arms else "scratch"
    pairs = [
        *((arm, begun) for arm in encoders),
        *((encoders[0], other) for other in encoders[1:]),
        ("distil", begun),
        ("public", "scratch"),
        *((arm, "floor") for arm in (*encoders, "public", "distil")),
    ]
    return [(arm, than) for arm, than in pairs if arm in arms and than in arms]


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _span(span: tuple[float, float] | None) -> str:
    return f"{span[0]:+.3f} to {span[1]:+.3f}" if span else "unknown"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _short(value: float) -> float:
    return round(float(value), 6)


def _shorts(span: tuple[float, float] | None) -> list[float] | None:
    return None if span is None else [_short(value) for value in span]


def defects_of(results: Results, labels: Sequence[int]) -> dict[int, float]:
    """How many defects each number of labels stands for; ALL is the mean over the seeds."""
    return {
        count: float(np.mean([one["learnt"]["defects"] for cell, one in results.items() if cell.labels == count]))
        for count in labels
    }
