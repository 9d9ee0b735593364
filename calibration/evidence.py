"""From judged pictures to what they prove, in numbers and in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from calibration.bounds import trials_needed, upper_bound
from edge.manifest import Evidence
from edge.picture_set import GOOD
from edge.records import Kind


@dataclass(frozen=True, slots=True)
class Judged:
    """One labelled picture with the score (0..1) and the verdict that the device's own code gave it.

    `likeliest` is the place of the class that it is most probably of; -1 where the model tells none apart. `peak` is
    the highest value of the heat map.
    """

    name: str
    label: str
    group: str
    score: float
    kind: Kind
    likeliest: int = -1
    peak: float = 0.0

    @property
    def defect(self) -> bool:
        """Whether the picture shows a defect."""
        return self.label != GOOD

    @property
    def missed(self) -> bool:
        """A defect that was passed."""
        return self.defect and self.kind is Kind.PASS

    @property
    def overkill(self) -> bool:
        """A good part that was not passed."""
        return not self.defect and self.kind is not Kind.PASS


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """What one group contributes: pictures of one thing or lot are alike, so few groups prove less than n says."""

    group: str
    defects: int
    missed: int
    goods: int
    overkill: int


def evidence_of(judged: Sequence[Judged], confidence: float, target_escape: float) -> Evidence:
    """The counts with their exact upper bounds; `groups` are those that hold defects.

    Each picture counts as one independent trial: see `count_by_group` for how far that may be trusted.
    """
    defects = [one for one in judged if one.defect]
    missed = sum(one.missed for one in defects)
    goods = len(judged) - len(defects)
    overkill = sum(one.overkill for one in judged)
    return Evidence(
        defects=len(defects),
        missed=missed,
        goods=goods,
        overkill=overkill,
        groups=len({one.group for one in defects}),
        confidence=confidence,
        escape_upper=upper_bound(missed, len(defects), confidence),
        overkill_upper=upper_bound(overkill, goods, confidence),
        target_escape=target_escape,
    )


def count_by_group(judged: Iterable[Judged]) -> list[GroupCounts]:
    """The counts of each group, in the order of their names."""
    of_group: dict[str, list[Judged]] = {}
    for one in judged:
        of_group.setdefault(one.group, []).append(one)
    return [_count(group, of_group[group]) for group in sorted(of_group)]


def _count(group: str, judged: Sequence[Judged]) -> GroupCounts:
    defects = sum(one.defect for one in judged)
    missed = sum(one.missed for one in judged)
    return GroupCounts(group, defects, missed, len(judged) - defects, sum(one.overkill for one in judged))


def sentence(evidence: Evidence, what: str = "held-out") -> str:
    """The evidence in plain words; `what` says which defects were counted."""
    rate = f"{evidence.overkill / evidence.goods:.1%}" if evidence.goods else "not measured"
    if not evidence.defects:
        return (
            f"No {what} defect: too few to say, escape rate <= 100%; overkill {rate} of {evidence.goods} good pictures "
            f"(<= {evidence.overkill_upper:.1%} with {evidence.confidence:.0%} confidence)."
        )
    counted = (
        f"{evidence.defects} {what} {_plural(evidence.defects, 'defect')} "
        f"from {evidence.groups} {_plural(evidence.groups, 'group')}"
    )
    return (
        f"On {counted}, {evidence.missed} missed: escape rate <= {evidence.escape_upper:.1%} with "
        f"{evidence.confidence:.0%} confidence; overkill {rate} (<= {evidence.overkill_upper:.1%})."
    )


def group_sentence(counts: Sequence[GroupCounts], confidence: float) -> str:
    """What the groups alone prove, were the pictures of each one and the same trial."""
    with_defects = [group for group in counts if group.defects]
    if not with_defects:
        return "Counted by groups: none holds a defect."
    hit = sum(group.missed > 0 for group in with_defects)
    bound = upper_bound(hit, len(with_defects), confidence)
    return (
        f"Counted by groups: a defect was missed in {hit} of {len(with_defects)}, so <= {bound:.1%} of groups "
        "at that confidence; the truth lies between the two where pictures of a group are alike."
    )


def shortfall(evidence: Evidence) -> str:
    """Why the target is not met, and what to do next."""
    needed = trials_needed(evidence.target_escape, evidence.confidence, evidence.missed)
    claim = f"an escape rate <= {evidence.target_escape:.1%} at {evidence.confidence:.0%} confidence"
    if evidence.missed == 0:
        return (
            f"too few defects to say: {evidence.defects} with none missed prove <= {evidence.escape_upper:.1%}; "
            f"{claim} takes {needed}: hold out more defects or choose a larger --escape"
        )
    return (
        f"{evidence.missed} of {evidence.defects} held-out defects missed prove <= {evidence.escape_upper:.1%}, "
        f"not {claim} (that many misses would take {needed} defects): train better, choose the threshold for a "
        "smaller --aim, or accept a larger --escape"
    )


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else noun + "s"
