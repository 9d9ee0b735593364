"""Which pictures to label next: typical ones, those that a student doubts or condemns, and always some at random."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.bounds import trials_needed
from calibration.copies import copies, joined, looks
from calibration.threshold import log_odds
from edge.errors import ConfigError
from edge.picture_set import GOOD, Picture
from edge.pixels import InputSpec
from training.computing import computing
from training.features import USUAL, Features, features, unit
from training.suggestions import Suggestion

RANDOM, HIGHEST, NEAR = 0.1, 0.4, 0.2  # of the suggestions; the rest is typical
MOST = 4_000  # pictures that the typical ones are chosen for, and among: a kernel of 64 MB

Tick = Callable[[str, int], None]
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Plan:
    """How many to suggest; `threshold`: the score (0..1) near which a student is in doubt, None: unknown."""

    count: int = 50
    seed: int = 0
    threshold: float | None = None
    spec: InputSpec = USUAL
    threads: int = 2


def suggest(pictures: Sequence[Picture], scores: dict[str, float], plan: Plan, tick: Tick) -> list[Suggestion]:
    """Up to `plan.count` of the unlabelled pictures, in the order to label them; the same seed, the same ones.

    `scores` (0..1, by file) may be empty or lack some. The random ones are drawn from all unlabelled exposures alike,
    so that what they show holds for all; no exposure is suggested twice, nor one that is labelled already.
    Raises ConfigError where nothing is unlabelled, or a picture cannot be read.
    """
    if all(picture.label for picture in pictures):
        raise ConfigError("every picture has a label: add unlabelled pictures to the set")
    with computing(plan.threads):
        kept = _single_exposures(pictures, tick)
        seen = unit(features(kept, plan.spec, lambda: tick("features", 1)))
    tick("features", len(pictures) - len(kept))
    picker = Picker(kept, seen, scores, plan)
    return picker.picked()


def steps(pictures: Sequence[Picture]) -> int:
    """How many ticks `suggest` gives."""
    return 2 * len(pictures)


def _single_exposures(pictures: Sequence[Picture], tick: Tick) -> list[Picture]:
    """One picture of each exposure, the labelled one where there is one."""
    alone = [replace(picture, group=picture.name) for picture in pictures]
    linked = joined(alone, copies(alone, looks(alone, lambda: tick("copies", 1))))
    order = sorted(range(len(pictures)), key=lambda index: not pictures[index].label)
    first: dict[str, int] = {}
    for index in order:
        name = pictures[index].name
        first.setdefault(linked.get(name, name), index)
    kept = set(first.values())
    return [picture for index, picture in enumerate(pictures) if index in kept or picture.label]


class Picker:
    """Chooses among the unlabelled of `pictures`, whose unit features are `seen`: N x D."""

    def __init__(self, pictures: Sequence[Picture], seen: Features, scores: dict[str, float], plan: Plan) -> None:
        self._pictures = pictures
        self._seen = seen
        self._scores: Scores = np.array([scores.get(picture.name, math.nan) for picture in pictures])
        self._plan = plan
        self._rng = np.random.default_rng(plan.seed)
        self._free = np.array([not picture.label for picture in pictures])
        self._groups = np.unique([picture.group for picture in pictures], return_inverse=True)[1]

    def picked(self) -> list[Suggestion]:
        chosen = {"random": self._random()}
        if np.isfinite(self._scores[self._free]).any():
            chosen["highest"] = self._in_turn(-self._scores, self._share(HIGHEST))
            if self._plan.threshold is not None:
                away = np.abs(log_odds(self._scores) - log_odds(np.array(self._plan.threshold)))
                chosen["near"] = self._in_turn(away, self._share(NEAR))
        left = self._plan.count - sum(map(len, chosen.values()))
        chosen["typical"] = self._typical(left)
        return [self._suggestion(index, reason) for reason, index in _interleaved(chosen)]

    def _share(self, share: float) -> int:
        return round(share * self._plan.count)

    def _random(self) -> list[int]:
        free = np.flatnonzero(self._free)
        count = min(math.ceil(RANDOM * self._plan.count), len(free))
        drawn = self._rng.choice(free, count, replace=False)
        self._free[drawn] = False
        return [int(index) for index in drawn]

    def _in_turn(self, worth: Scores, count: int) -> list[int]:
        """Those with the lowest `worth`, spread over the groups: few of one group while others have any."""
        order = [int(index) for index in np.argsort(worth, kind="stable") if np.isfinite(worth[index])]
        order = [index for index in order if self._free[index]]
        limit = self._limit(order, count)
        taken: Counter[int] = Counter()
        first: list[int] = []
        rest: list[int] = []
        for index in order:
            taken[self._groups[index]] += 1
            (first if taken[self._groups[index]] <= limit else rest).append(index)
        chosen = [*first, *rest][:count]
        self._free[chosen] = False
        return chosen

    def _limit(self, candidates: Sequence[int], count: int) -> int:
        groups = len({int(self._groups[index]) for index in candidates})
        return max(1, math.ceil(2 * count / max(1, groups)))

    def _typical(self, count: int) -> list[int]:
        """Greedy cover (MaxHerding): each time the picture that most others resemble which none yet chosen does."""
        known = np.flatnonzero(~self._free)
        free = np.flatnonzero(self._free)
        if len(free) > MOST:
            free = np.sort(self._rng.choice(free, MOST, replace=False))
        count = min(count, len(free))
        if count <= 0:
            return []
        kernel, covered = _resemblance(self._seen, free, known, count)
        limit = self._limit([int(index) for index in free], count)
        taken: Counter[int] = Counter()
        chosen: list[int] = []
        there = np.ones(len(free), np.bool_)
        for _ in range(count):
            open_to = there & np.array([taken[self._groups[index]] < limit for index in free])
            gain = np.maximum(kernel - covered, 0).sum(1)
            best = int(np.argmax(np.where(open_to if open_to.any() else there, gain, -1)))
            covered = np.maximum(covered, kernel[best])
            there[best] = False
            taken[self._groups[free[best]]] += 1
            chosen.append(int(free[best]))
        self._free[chosen] = False
        return chosen

    def _suggestion(self, index: int, reason: str) -> Suggestion:
        score = float(self._scores[index])
        picture = self._pictures[index]
        return Suggestion(picture.name, picture.group, reason, None if math.isnan(score) else score)


def _resemblance(
    seen: Features, free: NDArray[np.int64], known: NDArray[np.int64], count: int
) -> tuple[Features, Features]:
    """How much each free picture resembles every free one, 0..1, and how well the known ones cover these already.

    The width of the kernel is the usual distance at which a picture has as many others around it as each of `count`
    chosen ones stands for; what all pictures have in common is taken out first.
    """
    away = seen - seen[free].mean(0)
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    squares = np.maximum(2 - 2 * away[free] @ away[free].T, 0)
    around = min(max(1, len(free) // count), len(free) - 1)
    width = max(float(np.median(np.partition(squares, around, axis=1)[:, around])), 1e-6)
    kernel = np.exp(-squares / (2 * width))
    covered = np.zeros(len(free), np.float32)
    for start in range(0, len(known), MOST):
        near = np.maximum(2 - 2 * away[known[start : start + MOST]] @ away[free].T, 0)
        covered = np.maximum(covered, np.exp(-near / (2 * width)).max(0))
    return np.asarray(kernel, np.float32), covered


def _interleaved(chosen: dict[str, list[int]]) -> Iterator[tuple[str, int]]:
    """All of them, so mixed that the first of the list hold each reason in about its share."""
    placed = [
        ((place + 0.5) / len(indexes), number, reason, index)
        for number, (reason, indexes) in enumerate(chosen.items())
        for place, index in enumerate(indexes)
    ]
    for _, _, reason, index in sorted(placed):
        yield reason, index


def still_needed(pictures: Sequence[Picture], escape: float, confidence: float) -> str:
    """How many more labelled defects the claim takes: a sentence. escape, confidence: shares."""
    defects = [picture for picture in pictures if picture.label not in ("", GOOD)]
    groups = len({picture.group for picture in defects})
    none, one = trials_needed(escape, confidence), trials_needed(escape, confidence, 1)
    claim = (
        f"an escape rate <= {escape:.1%} at {confidence:.0%} confidence takes {none} held-out defects with none "
    )
    claim += f"missed, {one} with one"
    more = f"{none - len(defects)} more at least" if len(defects) < none else "enough if none of them is missed"
    return f"{len(defects)} defects of {groups} groups are labelled; {claim}: {more}."
