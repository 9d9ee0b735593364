"""The working threshold: chosen on cross-fitted scores of the training pictures, with what stands behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from calibration.bounds import most_events, trials_needed
from calibration.evidence import GroupCounts, Judged, count_by_group, evidence_of
from calibration.scores import Score
from edge.durable import write_whole
from edge.errors import ConfigError, JournalError
from edge.manifest import Evidence
from edge.records import Kind

SMALLEST = 1e-6  # of a score, where its log-odds would grow without end

Share = Annotated[float, Field(ge=0, le=1)]
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Goal:
    """What the threshold is for: an escape rate of at most `escape` at `confidence`; `overkill` is the share of good
    parts that may be lost for a wider margin (0..1).

    `aim` is the escape rate that it is chosen for on the training pictures (None: `escape`): a smaller one leaves the
    locked set a reserve, since lots that training has not seen are harder than those it was cross-fitted on.
    """

    escape: float
    confidence: float = 0.95
    overkill: float = 0.01
    aim: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.escape < 1:
            raise ConfigError(f"escape {self.escape:g}: use a share between 0 and 1, such as 0.05")
        if not 0.5 <= self.confidence < 1:
            raise ConfigError(f"confidence {self.confidence:g}: use a share from 0.5 to below 1, such as 0.95")
        if self.aim is not None and not 0 < self.aim <= self.escape:
            raise ConfigError(f"aim {self.aim:g}: use a share above 0 and not above --escape {self.escape:g}")
        if not 0 <= self.overkill < 1:
            raise ConfigError(f"overkill {self.overkill:g}: use a share from 0 to below 1, such as 0.01")

    @property
    def chosen_for(self) -> float:
        """The escape rate that the choice itself must meet."""
        return self.escape if self.aim is None else self.aim


@dataclass(frozen=True, slots=True)
class WorkingThreshold:
    """What threshold.json holds: a part is a REJECT where its score is at least `threshold`.

    `choice` is the evidence on the training pictures that it was chosen on, `groups` the same by group,
    `acceptance` that on the locked set where one was given. `seen_groups` and `seen_pictures` (fingerprints) are
    what training and choice have seen: no acceptance picture may be among them. `proven`: the choice meets its
    target.
    """

    __pydantic_config__ = _STRICT

    threshold: Share
    target_escape: Share
    confidence: Share
    proven: bool
    choice: Evidence
    groups: tuple[GroupCounts, ...]
    scores_sha256: str
    student_sha256: str | None = None
    seen_groups: tuple[str, ...] = ()
    seen_pictures: tuple[str, ...] = ()
    acceptance: Evidence | None = None
    missed: tuple[str, ...] = ()


def choose(scores: Sequence[Score], goal: Goal, allow_unproven: bool = False) -> float:
    """The working threshold for these scores.

    The ceiling is the largest threshold whose upper bound on the escape rate meets the goal: the (k + 1)-th lowest
    defect score, k being the most misses the bound allows. Misses only grow with the threshold, so taking the last
    one that passes is a fixed sequence of tests and needs no correction (Learn then Test, Angelopoulos 2021).
    The floor is the lowest threshold that rejects no more good parts than the goal's overkill. Where the floor is
    below the ceiling, the threshold lies halfway in log-odds, in which the network's errors are about even;
    otherwise the ceiling it is, because the escape rate comes first.

    The bound holds for the models that gave the scores. The one that ships is proven by the locked acceptance set.
    Without any defect there is no ceiling, and nothing is proven: it is the floor. Raises ConfigError where the defects
    are too few for any threshold, unless `allow_unproven`.
    """
    bad = sorted(score.score for score in scores if score.defect)
    allowed = most_events(len(bad), goal.chosen_for, goal.confidence)
    if allowed < 0 and not allow_unproven:
        raise ConfigError(_too_few(len(bad), goal))
    good = sorted((score.score for score in scores if not score.defect), reverse=True)
    floor = good[int(goal.overkill * len(good))] if good else 0.0
    if not bad:
        return math.nextafter(floor, 1.0)
    ceiling = bad[max(allowed, 0)]
    return _halfway(floor, ceiling) if floor < ceiling else ceiling


def _too_few(defects: int, goal: Goal) -> str:
    needed = trials_needed(goal.chosen_for, goal.confidence)
    return (
        f"too few defects to say: {defects} labelled, and an escape rate <= {goal.chosen_for:.1%} at "
        f"{goal.confidence:.0%} confidence takes {needed} with none missed; label more defects, choose a larger "
        "--escape, or take an unproven threshold with --allow-unproven"
    )


def _halfway(low: float, high: float) -> float:
    middle = float(log_odds(np.array([low, high])).mean())
    return min(high, max(math.nextafter(low, 1.0), 1 / (1 + math.exp(-middle))))


def log_odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log-odds of scores (0..1) of any shape, finite at both ends; NaN stays NaN."""
    kept = np.clip(scores, SMALLEST, 1 - SMALLEST)
    return np.log(kept / (1 - kept))


def judged_at(scores: Sequence[Score], threshold: float) -> list[Judged]:
    """The verdicts that these scores would get; as the judge: PASS only below the threshold."""
    return [
        Judged(one.file, one.label, one.group, one.score, Kind.PASS if one.score < threshold else Kind.REJECT)
        for one in scores
    ]


def working_threshold(
    scores: Sequence[Score], goal: Goal, scores_sha256: str, allow_unproven: bool = False
) -> WorkingThreshold:
    """The chosen threshold with its evidence on the training pictures; see `choose`."""
    threshold = choose(scores, goal, allow_unproven)
    judged = judged_at(scores, threshold)
    choice = evidence_of(judged, goal.confidence, goal.escape)
    return WorkingThreshold(
        threshold=threshold,
        target_escape=goal.escape,
        confidence=goal.confidence,
        proven=choice.escape_upper <= goal.escape,
        choice=choice,
        groups=tuple(count_by_group(judged)),
        scores_sha256=scores_sha256,
    )


_ADAPTER = TypeAdapter(WorkingThreshold)


def write_threshold(path: Path, threshold: WorkingThreshold) -> None:
    """Write threshold.json, whole or not at all. Raises JournalError when the disk fails."""
    data = _ADAPTER.dump_json(threshold, indent=1)
    try:
        write_whole(path, data + b"\n")
    except OSError as error:
        raise JournalError(f"cannot write {path}: {error.strerror}; free disk space or check the rights") from error


def read_threshold(path: Path) -> tuple[WorkingThreshold, str]:
    """What `write_threshold` wrote, and the file's SHA-256 in hex. Raises ConfigError."""
    try:
        data = path.read_bytes()
        return _ADAPTER.validate_json(data), sha256(data).hexdigest()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; run edge-calibrate threshold") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"]) or "file"
        raise ConfigError(f"{path}: {where}: {first['msg']}; run edge-calibrate threshold again") from error
