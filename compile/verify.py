"""Holds every model to the same evidence: counts at the working threshold, and each verdict that INT8 changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from calibration.evidence import Judged, evidence_of, shortfall
from compile.drawn import LABEL as DRAWN
from edge.errors import BundleError
from edge.evidence import is_proven
from edge.judge import has_clear_margin
from edge.manifest import Evidence
from edge.records import Kind

FEWEST_SHOWN = 10  # drawn defects that FP32 rejects with a clear margin: fewer say nothing of INT8
MOST_PASSED = 0.1  # of the drawn defects that FP32 rejects, which INT8 may pass
MOST_OVERKILL = 0.1  # the bound where no defect is held out, and so overkill is all that is measured
WORTH = 1.1  # INT8 that is not this much faster than FP32 is not worth its differences


@dataclass(frozen=True, slots=True)
class Rule:
    """What a model must meet: see `WorkingThreshold`; `int8_only`: the bundle may hold no FP32 model; `most_overkill`:
    the most that the bound on the overkill rate may be (None: it is told only)."""

    threshold: float
    target_escape: float
    confidence: float
    allow_unproven: bool = False
    int8_only: bool = False
    most_overkill: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A picture whose verdict differs from FP32's; `lost`: a defect with clear margin that is passed now."""

    before: Judged
    after: Judged
    lost: bool


@dataclass(frozen=True, slots=True)
class StandIns:
    """What a model made of drawn defects, where no real one was held out: of so many `drawn` the FP32 student rejects
    `shown`, `clear` of them with a clear margin; this model passes `passed` of the first and `lost` of the second."""

    drawn: int
    shown: int
    clear: int
    passed: int
    lost: int

    def refusal(self, precision: str) -> str:
        """Why a model of this precision must not ship; "" where it may. Only INT8 must be shown to be harmless."""
        if precision == "int8" and self.clear < FEWEST_SHOWN:
            return (
                f"no defect was held out, and of {self.drawn} drawn ones FP32 rejects only {self.clear} with a clear "
                f"margin, fewer than {FEWEST_SHOWN}: nothing shows what this model would do to defects"
            )
        if self.lost or self.passed > MOST_PASSED * self.shown:
            return (
                f"of {self.shown} drawn defects that FP32 rejects it passes {self.passed}, {self.lost} of them with a "
                "clear margin"
            )
        return ""

    def sentence(self, name: str) -> str:
        """For people; `name` says which model it is."""
        return (
            f"no defect was held out: of {self.drawn} drawn defects FP32 rejects {self.shown}, and {name} passes "
            f"{self.passed} of those; that holds {name} to FP32 and is no evidence"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One model after acceptance on the engine of its target: its bytes, what it judged, and `refusal`, why it must
    not ship ("" = it may).

    `ms` is the median time of an inference on one thread of this machine, None where its engine is the device's alone.
    `drawn` is what it judged of drawn defects and `stand_ins` what that says, where no real defect was held out.
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
    drawn: Sequence[Judged] = ()
    stand_ins: StandIns | None = None

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


def stand_ins(reference: Sequence[Judged], judged: Sequence[Judged], threshold: float) -> StandIns:
    """What drawn defects say of a model; `reference` is what FP32 says of the same."""
    found = [one for one in changes(reference, judged, threshold) if one.after.missed]
    shown = [one for one in reference if one.kind is Kind.REJECT]
    clear = sum(has_clear_margin(one.score, threshold) for one in shown)
    return StandIns(len(judged), len(shown), clear, len(found), sum(one.lost for one in found))


def refusal(
    evidence: Evidence, found: Sequence[Change], allow_unproven: bool, most_overkill: float | None = None
) -> str:
    """Why a model with this evidence and these changed verdicts must not ship; "" where it may."""
    lost = [change.before.name for change in found if change.lost]
    if lost:
        return (
            f"{len(lost)} defects with a clear margin turned PASS ({', '.join(lost[:5])}): give more calibration "
            "pictures with such defects, or ship FP32"
        )
    if most_overkill is not None and evidence.overkill_upper > most_overkill:
        return (
            f"{evidence.overkill} of {evidence.goods} good pictures rejected prove an overkill <= "
            f"{evidence.overkill_upper:.1%}, not <= {most_overkill:.1%}: hold out more good pictures, train with more "
            "of them, or accept more with --most-overkill"
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
    """The trial of a model that judged the acceptance set and drawn defects, if there are any; `reference` is what FP32
    judged on ONNX Runtime. Drawn defects are no part of the evidence."""
    (told, drawn), (known, drawn_known) = _apart(judged), _apart(reference)
    evidence = evidence_of(told, rule.confidence, rule.target_escape)
    found = changes(known, told, rule.threshold)
    refused = refusal(evidence, found, rule.allow_unproven, rule.most_overkill)
    shown = stand_ins(drawn_known, drawn, rule.threshold) if drawn else None
    if shown and judged is not reference:
        refused = refused or shown.refusal(precision)
    return Trial(precision, file, model, words, told, evidence, ms, found, refused, target, drawn, shown)


def _apart(judged: Sequence[Judged]) -> tuple[list[Judged], list[Judged]]:
    """The pictures of the acceptance set, and the drawn defects."""
    return [one for one in judged if one.label != DRAWN], [one for one in judged if one.label == DRAWN]


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
