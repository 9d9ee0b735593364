"""The page inside the bundle that a person reads before installing it: self-contained, no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from calibration.bounds import trials_needed
from calibration.evidence import Judged, count_by_group, group_sentence, sentence
from calibration.threshold import WorkingThreshold
from compile.breakdown import ABOVE, FEW, PROVEN, few_goods, verdict
from compile.detail import Detail
from compile.gallery import thumbnail
from compile.layers import Layer
from compile.layers import sentence as in_words
from compile.lint import Finding
from compile.peaks import CUT
from compile.saturation import Tensor, often
from compile.search import Attempt
from compile.verify import MOST_OVERKILL, WORTH, Trial
from edge.judge import CLEAR
from edge.manifest import Manifest
from edge.picture_set import Picture
from edge.report import host

TEMPLATE = Path(__file__).with_name("report.html")
MOST_SHOWN = 12  # pictures in one row of the page
BINS = 48
EDGE = 8.0  # log-odds at the ends of the score axis: 0.0003 and 0.9997
TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
WIDTH, HALF = 640, 90  # of a chart, in its own units


@dataclass(frozen=True, slots=True)
class Page:
    """What the report tells; `calibrated` is the number of calibration pictures, `detail` and `layers` are told for
    each of the `trials`, `findings` are those of lint, `tried` are the attempts at INT8 with their median ms, if there
    were several."""

    manifest: Manifest
    threshold: WorkingThreshold
    trials: Sequence[Trial]
    shipped: Sequence[Trial]
    notes: Sequence[str]
    acceptance: Sequence[Picture]
    calibrated: int
    detail: Detail
    findings: Sequence[Finding] = ()
    layers: Sequence[Sequence[Layer]] = ()
    tried: Sequence[tuple[Attempt, float]] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """A small picture with what was said of it."""

    image: str
    name: str
    label: str
    words: str
    bad: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the chart, in the chart's own units."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """The scores of the acceptance set on a log-odds axis: good parts above the line, defects below."""

    title: str
    bars: Sequence[Bar]
    ticks: Sequence[tuple[float, str]]
    threshold_x: float


def page(content: Page) -> str:
    """The report as one HTML file. Raises ConfigError for a picture that cannot be read."""
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    paths = {picture.name: picture for picture in content.acceptance}
    first = content.shipped[0]
    confidence, target = first.evidence.confidence, first.evidence.target_escape
    return template.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        page=content,
        first=first,
        sentence=sentence(first.evidence),
        group_sentence=group_sentence(count_by_group(first.judged), confidence),
        verdict=verdict,
        tones={PROVEN: "", FEW: "soft", ABOVE: "no-text"},
        few_goods=few_goods,
        defects_needed=trials_needed(target, confidence),
        goods_needed=trials_needed(MOST_OVERKILL, confidence),
        most_overkill=MOST_OVERKILL,
        cut=CUT,
        redrawn=_redrawn(content.detail),
        clipped=[_clipped(tensors) for tensors in content.detail.tensors],
        charts=[chart(trial, content.threshold.threshold) for trial in content.trials],
        changed=_changed(content, paths),
        moved=[_moved(trial, content.trials[0]) for trial in content.trials],
        layered=[(*pair, in_words(pair[1])) for pair in zip(content.trials, content.layers, strict=False)],
        wrong=_wrong(first.judged, paths, content.threshold.threshold),
        most_shown=MOST_SHOWN,
        clear=CLEAR,
        worth=WORTH,
        host=host(),
        width=WIDTH,
        half=HALF,
    )


def _redrawn(detail: Detail) -> str:
    """What other draws of the calibration pictures would change, as a sentence; "" where that was not asked."""
    told = detail.stability
    words = told.sentence([one.name for one in max(detail.tensors, key=len)]) if told else ""
    return words[:1].upper() + words[1:]


def _clipped(tensors: Sequence[Tensor]) -> str:
    """Of a model's quantized tensors, in a few words; "" of a model in float."""
    if not tensors:
        return ""
    any_defect = max(tensors, key=lambda one: (one.in_defects, one.share))
    if not any_defect.in_defects:
        return f"none of {len(tensors)} in any of {any_defect.defects} defects"
    return f"{len(often(tensors))} of {len(tensors)} often; most of all {any_defect.words}"


def _changed(content: Page, paths: dict[str, Picture]) -> list[tuple[Trial, list[Card]]]:
    """Every changed verdict of every model; pictures for the first few, lost defects before the others."""
    rows = []
    for trial in content.trials:
        ordered = sorted(trial.changes, key=lambda change: (not change.lost, not change.after.missed))
        cards = [
            _card(
                change.after,
                paths,
                f"{change.before.kind.name} {change.before.score:.4f} became "
                f"{change.after.kind.name} {change.after.score:.4f}, {_margin(change.after, content)}",
                number,
            )
            for number, change in enumerate(ordered)
        ]
        rows.append((trial, cards))
    return rows


def _moved(trial: Trial, reference: Trial) -> str:
    """By how much scores differ from the reference's."""
    pairs = zip(reference.judged, trial.judged, strict=True)
    moves = sorted(abs(before.score - after.score) for before, after in pairs)
    return f"scores moved by {moves[len(moves) // 2]:.4f} in the median, by {moves[-1]:.4f} at most"


def _margin(judged: Judged, content: Page) -> str:
    return f"{judged.score - content.threshold.threshold:+.4f} from the threshold"


def _wrong(judged: Sequence[Judged], paths: dict[str, Picture], threshold: float) -> list[Card]:
    """The missed defects, then the overkill, nearest to the threshold first."""
    wrong = [one for one in judged if one.missed or one.overkill]
    wrong.sort(key=lambda one: (not one.missed, abs(one.score - threshold)))
    return [
        _card(one, paths, f"{'missed' if one.missed else 'overkill'}, score {one.score:.4f}", number)
        for number, one in enumerate(wrong)
    ]


def _card(judged: Judged, paths: dict[str, Picture], words: str, number: int) -> Card:
    image = thumbnail(paths[judged.name]) if number < MOST_SHOWN else ""
    return Card(image, judged.name, judged.label, words, judged.missed)


def chart(trial: Trial, threshold: float) -> Chart:
    """The histogram of a trial's scores; scores that are no number are left out."""
    sound = [one for one in trial.judged if math.isfinite(one.score)]
    bars = [
        bar
        for kind, of_kind in (
            ("good", [one.score for one in sound if not one.defect]),
            ("defect", [one.score for one in sound if one.defect]),
        )
        for bar in _bars(of_kind, kind)
    ]
    ticks = [(_x(tick), f"{tick:g}") for tick in TICKS]
    return Chart(f"{trial.precision.upper()} on {trial.target}", bars, ticks, _x(threshold))


def _bars(scores: Sequence[float], kind: str) -> list[Bar]:
    """One bar for each bin that holds scores; heights go with the square root, so that a single part is seen."""
    counts = [0] * BINS
    for score in scores:
        counts[min(BINS - 1, int(_x(score) / WIDTH * BINS))] += 1
    step = WIDTH / BINS
    tall = [HALF * math.sqrt(count / max(counts)) if count else 0.0 for count in counts]
    return [
        Bar(
            round(number * step + 0.5, 1),
            round(HALF - height, 1) if kind == "good" else HALF,
            round(step - 1, 1),
            round(height, 1),
            kind,
            f"{counts[number]} {kind}",
        )
        for number, height in enumerate(tall)
        if height
    ]


def _x(score: float) -> float:
    """Where a score lies on the chart's axis (0 .. WIDTH)."""
    kept = min(1 - 1e-9, max(1e-9, score))
    odds = math.log(kept / (1 - kept))
    return round((min(EDGE, max(-EDGE, odds)) + EDGE) / (2 * EDGE) * WIDTH, 1)
