"""Holds every model to the same evidence: counts at the working threshold, and each verdict that INT8 changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from calibration.evidence import Judged, evidence_of, is_proven, shortfall
from edge.errors import BundleError
from edge.judge import has_clear_margin
from edge.manifest import Evidence
from edge.records import Kind

WORTH = 1.1  # INT8 that is not this much faster than FP32 is not worth its differences


@dataclass(frozen=True, slots=True)
class Rule:
    """What a model must meet: see `WorkingThreshold`; `int8_only`: the bundle may hold no FP32 model."""

    threshold: float
    target_escape: float
    confidence: float
    allow_unproven: bool = False
    int8_only: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A picture whose verdict differs from FP32's; `lost`: a defect with clear margin that is passed now."""

    before: Judged
    after: Judged
    lost: bool


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One model after acceptance on the engine of its target: its bytes, what it judged, and `refusal`, why it must
    not ship ("" = it may).

    `ms` is the median time of an inference on one thread of this machine, None where its engine is the device's alone.
    """

    precision: str
    file: str
    model: bytes
    words: str
    judged: Sequence[Judged]
    evidence: Evidence
    ms: float | None
    changes: Sequence[Change] = field(default_factory=tuple)
    refusal: str = ""
    target: str = "ort"

    @property
    def proven(self) -> bool:
        """Whether the bound on the escape rate meets its target."""
        return is_proven(self.evidence)


def changes(reference: Sequence[Judged], judged: Sequence[Judged], threshold: float) -> list[Change]:
    """The pictures whose verdict differs from the reference's; both in the same order."""
    pairs = zip(reference, judged, strict=True)
    return [
        Change(before, after, _is_lost(before, after, threshold))
        for before, after in pairs
        if before.kind is not after.kind
    ]


def _is_lost(before: Judged, after: Judged, threshold: float) -> bool:
    clear = has_clear_margin(before.score, threshold)
    return before.defect and before.kind is Kind.REJECT and clear and after.kind is Kind.PASS


def refusal(evidence: Evidence, found: Sequence[Change], allow_unproven: bool) -> str:
    """Why a model with this evidence and these changed verdicts must not ship; "" where it may."""
    lost = [change.before.name for change in found if change.lost]
    if lost:
        return (
            f"{len(lost)} defects with a clear margin turned PASS ({', '.join(lost[:5])}): give more calibration "
            "pictures with such defects, or ship FP32"
        )
    return "" if is_proven(evidence) or allow_unproven else shortfall(evidence)


def trial(
    precision: str,
    file: str,
    model: bytes,
    words: str,
    judged: Sequence[Judged],
    reference: Sequence[Judged],
    rule: Rule,
    ms: float | None,
    target: str = "ort",
) -> Trial:
    """The trial of a model that judged the acceptance set; `reference` is what FP32 judged on ONNX Runtime."""
    evidence = evidence_of(judged, rule.confidence, rule.target_escape)
    found = changes(reference, judged, rule.threshold)
    refused = refusal(evidence, found, rule.allow_unproven)
    return Trial(precision, file, model, words, judged, evidence, ms, found, refused, target)


def choose(fp32: Trial, int8: Trial | None, why_no_int8: str, rule: Rule) -> tuple[list[Trial], list[str]]:
    """The models that ship, preferred first, and the notes that say why.

    INT8 ships where it keeps its evidence and is at least 1.1 times as fast; FP32 beside it. Raises BundleError
    where nothing may ship.
    """
    refused = why_no_int8 or (int8.refusal if int8 else "")
    if int8 is None or refused:
        return _without_int8(fp32, f"INT8 does not ship: {refused}", rule)
    assert fp32.ms is not None and int8.ms is not None
    gain = fp32.ms / int8.ms
    speed = f"INT8 takes {int8.ms:.2f} ms, FP32 {fp32.ms:.2f} ms ({gain:.1f} x) on one thread of this machine"
    if rule.int8_only:
        slow = [] if gain >= WORTH else ["INT8 is not worth it here: it is hardly faster"]
        return [int8], [speed, *slow]
    if fp32.refusal:
        return [int8], [speed, f"FP32 does not ship: {fp32.refusal}"]
    if gain < WORTH:
        return [fp32], [f"INT8 is not worth it here: {speed}; FP32 ships alone"]
    return [int8, fp32], [speed]


def choose_untimed(tried: Mapping[str, Trial], why_no_int8: str, rule: Rule) -> tuple[list[Trial], list[str]]:
    """The models that ship for an engine which only the device has: all that keep their evidence, FP16 first, since
    INT8 is not faster everywhere; the station file may name another. Raises BundleError where nothing may ship."""
    notes = [
        "judged by ONNX Runtime on the models that the device builds its engines from; it accepts those itself"
    ]
    if why_no_int8:
        notes.append(f"INT8 does not ship: {why_no_int8}")
    order = ("int8",) if rule.int8_only else ("fp16", "int8", "fp32")
    wanted = [tried[precision] for precision in order if precision in tried]
    notes += [f"{one.precision.upper()} does not ship: {one.refusal}" for one in wanted if one.refusal]
    shipped = [one for one in wanted if not one.refusal]
    if not shipped:
        raise BundleError("; ".join(notes[1:]))
    return shipped, notes


def _without_int8(fp32: Trial, why: str, rule: Rule) -> tuple[list[Trial], list[str]]:
    if rule.int8_only:
        raise BundleError(f"{why}; leave --int8-only away to ship FP32")
    if fp32.refusal:
        raise BundleError(f"FP32 does not ship: {fp32.refusal}. {why}")
    return [fp32], [why]
