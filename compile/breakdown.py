"""What each class of defects, and each group of the acceptance set, says of each model: the whole may hide a class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from calibration.bounds import lower_bound, trials_needed
from calibration.evidence import Judged, evidence_of
from compile.verify import MOST_OVERKILL, Trial
from edge.manifest import Evidence

NAMELESS = "pictures without a group"
NAMED = 6  # classes in one sentence
PROVEN, FEW, ABOVE = "proven", "too few to say", "above the target"


@dataclass(frozen=True, slots=True)
class Row:
    """One class or group: its evidence for each trial, in the order of the trials."""

    name: str
    evidence: tuple[Evidence, ...]


def by_class(trials: Sequence[Trial]) -> list[Row]:
    """One row for each class of defects, in the order of their names."""
    return _rows(trials, lambda one: one.label if one.defect else None)


def by_group(trials: Sequence[Trial]) -> list[Row]:
    """One row for each named group, with the most misses and overkill first; pictures without one share a row."""
    rows = _rows(trials, lambda one: one.group if one.group != one.name else NAMELESS)
    return sorted(rows, key=lambda row: (-_worst(row, "missed"), -_worst(row, "overkill"), row.name))


def _worst(row: Row, what: str) -> int:
    return max(int(getattr(one, what)) for one in row.evidence)


def _rows(trials: Sequence[Trial], key: Callable[[Judged], str | None]) -> list[Row]:
    first = trials[0].evidence
    names = sorted({name for one in trials[0].judged if (name := key(one)) is not None})
    return [
        Row(
            name,
            tuple(
                evidence_of(
                    [one for one in trial.judged if key(one) == name], first.confidence, first.target_escape
                )
                for trial in trials
            ),
        )
        for name in names
    ]


def verdict(evidence: Evidence) -> str:
    """What its defects say of the escape rate at the confidence: within the target, above it, or nothing yet."""
    if evidence.escape_upper <= evidence.target_escape:
        return PROVEN
    above = lower_bound(evidence.missed, evidence.defects, evidence.confidence) > evidence.target_escape
    return ABOVE if above else FEW


def few_goods(evidence: Evidence) -> bool:
    """Whether its good pictures could not even with none rejected prove a tenth of overkill."""
    return evidence.goods < trials_needed(MOST_OVERKILL, evidence.confidence)


def notes(trials: Sequence[Trial]) -> list[str]:
    """What people must know of single classes and groups: those above the target at its confidence, classes of which a
    model misses more than the first does, and those of which there are too few to say."""
    classes, groups = by_class(trials), by_group(trials)
    told = [_worse(row, trials, place) for row in classes for place in range(len(trials)) if len(classes) > 1]
    told += [_worse(row, trials, 0) for row in groups if len(groups) > 1]
    few = [row for row in classes if verdict(row.evidence[0]) == FEW]
    if len(classes) > 1 and few:
        target, confidence = few[0].evidence[0].target_escape, few[0].evidence[0].confidence
        told.append(
            f"too few held-out defects to say by class: {_listed(few)}; it takes {trials_needed(target, confidence)} "
            f"of one class with none missed to prove <= {target:.1%} for it"
        )
    return [words for words in told if words]


def _worse(row: Row, trials: Sequence[Trial], place: int) -> str:
    one, first = row.evidence[place], row.evidence[0]
    name = f"{trials[place].precision.upper()} on {trials[place].target}"
    missed = f"{row.name}: {name} misses {one.missed} of {one.defects} (<= {one.escape_upper:.1%})"
    if place:
        return f"{missed}, FP32 {first.missed}" if one.missed > first.missed else ""
    return f"{missed}, above the target of {one.target_escape:.1%}" if verdict(one) == ABOVE else ""


def _listed(rows: Iterable[Row]) -> str:
    names = [f"{row.name} ({row.evidence[0].missed} of {row.evidence[0].defects} missed)" for row in rows]
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
