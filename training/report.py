"""`edge-train report`: what a proof of concept has shown, gathered from the files that the other commands wrote."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from calibration.bounds import trials_needed, upper_bound
from calibration.scores import Score, read_scores
from calibration.threshold import WorkingThreshold, read_threshold
from edge.errors import ConfigError
from edge.manifest import Evidence
from edge.picture_set import GOOD
from training.costs import Costs, Rates, Reckoning, read_costs
from training.labelling.log import Effort, effort, read_log
from training.labelling.sheet import pictures_in
from training.suggestions import read_suggestions

CURVE_KEYS = ("averages", "differences", "notes", "settings", "measure")


@dataclass(frozen=True, slots=True)
class Sources:
    """The files that a report is made of, each optional."""

    threshold: Path | None = None
    scores: Path | None = None
    pictures: Path | None = None
    suggested: tuple[Path, ...] = ()
    curve: Path | None = None
    costs: Path | None = None


@dataclass(frozen=True, slots=True)
class Labels:
    """How many pictures of the set have which label ("" = none), and what giving them has cost, where it was logged."""

    counts: Mapping[str, int]
    groups: int
    cost: Effort | None

    @property
    def defects(self) -> int:
        return sum(count for label, count in self.counts.items() if label not in ("", GOOD))


@dataclass(frozen=True, slots=True)
class DefectShare:
    """What the labelled random suggestions of a list say of the pictures that were unlabelled when it was written.

    `defects` of `drawn`, at `confidence`.
    """

    file: Path
    defects: int
    drawn: int
    confidence: float

    @property
    def upper(self) -> float:
        return upper_bound(self.defects, self.drawn, self.confidence)

    @property
    def lower(self) -> float:
        return 1 - upper_bound(self.drawn - self.defects, self.drawn, self.confidence)


@dataclass(frozen=True, slots=True)
class Pay:
    """The figures of one reckoning at the measured rates, and at their upper bounds."""

    costs: Costs
    measured: Reckoning
    bound: Reckoning | None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a report tells; None where no file said it."""

    sources: Sources
    threshold: WorkingThreshold | None = None
    scores: tuple[Score, ...] = ()
    labels: Labels | None = None
    shares: tuple[DefectShare, ...] = ()
    curve: Mapping[str, Any] | None = None
    pay: Pay | None = None

    @property
    def evidence(self) -> Evidence | None:
        """That of the locked set, else that of the training pictures."""
        return None if self.threshold is None else self.threshold.acceptance or self.threshold.choice

    @property
    def locked(self) -> bool:
        """Whether the evidence is of pictures that nothing has seen."""
        return self.threshold is not None and self.threshold.acceptance is not None

    @property
    def proven(self) -> bool:
        """Whether pictures that nothing has seen prove the target."""
        evidence = self.evidence
        return evidence is not None and self.locked and evidence.escape_upper <= evidence.target_escape

    @property
    def defects_needed(self) -> int:
        """How many held-out defects would prove the target with as many misses."""
        evidence = self.evidence
        assert evidence is not None
        return trials_needed(evidence.target_escape, evidence.confidence, evidence.missed)


def gather(sources: Sources) -> Facts:
    """Read the files. Raises ConfigError for one that is wrong, for none at all, and for those that do not fit."""
    if not any((sources.threshold, sources.pictures, sources.curve, sources.costs)):
        raise ConfigError("nothing to report: give --threshold, --set, --curve or --costs")
    threshold = read_threshold(sources.threshold)[0] if sources.threshold else None
    labels = _labels(sources.pictures) if sources.pictures else None
    confidence = threshold.confidence if threshold else 0.95
    facts = Facts(
        sources,
        threshold,
        _scores(sources, threshold),
        labels,
        tuple(_shares(sources, confidence)),
        _curve(sources.curve) if sources.curve else None,
    )
    if sources.costs is None:
        return facts
    return replace(facts, pay=_pay(read_costs(sources.costs), facts.evidence, labels))


def _scores(sources: Sources, threshold: WorkingThreshold | None) -> tuple[Score, ...]:
    if sources.scores is None:
        return ()
    if threshold is None:
        raise ConfigError("--scores are drawn against a threshold: give --threshold threshold.json too")
    scores = read_scores(sources.scores)
    if sha256(sources.scores.read_bytes()).hexdigest() != threshold.scores_sha256:
        raise ConfigError(
            f"{sources.threshold} was chosen on other scores than {sources.scores}: run edge-calibrate threshold again"
        )
    return tuple(scores)


def _labels(folder: Path) -> Labels:
    pictures = pictures_in(folder)
    counts = Counter(picture.label for picture in pictures)
    log = read_log(folder)
    return Labels(counts, len({picture.group for picture in pictures}), effort(log) if log else None)


def _shares(sources: Sources, confidence: float) -> Iterator[DefectShare]:
    """Of lists that were not labelled to their end too: any beginning of the random ones is random.

    Each list for itself: a later one was drawn from what the earlier ones had left.
    """
    if not sources.suggested:
        return
    if sources.pictures is None:
        raise ConfigError("--suggested needs the labels of its pictures: give --set SET too")
    label_of = {picture.name: picture.label for picture in pictures_in(sources.pictures)}
    for path in sources.suggested:
        drawn = [label_of[one.file] for one in read_suggestions(path, label_of) if one.reason == "random"]
        labels = [label for label in drawn if label]
        if labels:
            yield DefectShare(path, sum(label != GOOD for label in labels), len(labels), confidence)


def _curve(path: Path) -> Mapping[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}; give curve.json of edge-train curve") from error
    if not isinstance(report, dict) or not all(key in report for key in CURVE_KEYS):
        raise ConfigError(f"{path} lacks {', '.join(CURVE_KEYS)}: run the same edge-train curve again, it resumes")
    return report


def _pay(costs: Costs, evidence: Evidence | None, labels: Labels | None) -> Pay:
    minutes = labels.cost.minutes if labels and labels.cost else None
    measured = bound = None
    if evidence is not None and evidence.defects and evidence.goods:
        measured = Rates(evidence.missed / evidence.defects, evidence.overkill / evidence.goods)
        bound = Rates(evidence.escape_upper, evidence.overkill_upper)
    return Pay(
        costs,
        Reckoning(costs, measured, minutes),
        Reckoning(costs, bound, minutes) if bound else None,
    )
