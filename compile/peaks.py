"""What a quantized model leaves of the peaks of defects: clipped ranges cut them long before a verdict changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from calibration.evidence import Judged
from calibration.threshold import log_odds
from compile.saturation import Tensor, often
from compile.verify import Trial
from edge.judge import has_clear_margin

CUT = 0.8  # a median below: peaks are cut, whatever the verdicts say


@dataclass(frozen=True, slots=True)
class Left:
    """The share that is left of something, over some defects: the median, the least, and the picture of the least."""

    median: float
    least: float
    name: str

    @property
    def words(self) -> str:
        return f"{self.median:.0%} in the median, {self.least:.0%} at least ({self.name})"


@dataclass(frozen=True, slots=True)
class Peaks:
    """Of so many `defects` with a clear margin: what a model leaves of the heat map's highest value (None: no model
    gives one above 0), and of the distance from the threshold to the score, in log-odds, since scores near 1 hide a
    cut. Nothing is left of the margin of a defect that is passed."""

    defects: int
    heat: Left | None
    margin: Left

    @property
    def cut(self) -> bool:
        """Whether half of the peaks are lower by more than is harmless."""
        return self.margin.median < CUT or (self.heat is not None and self.heat.median < CUT)


def peaks(reference: Sequence[Judged], judged: Sequence[Judged], threshold: float) -> Peaks | None:
    """What is left where `reference` rejects a defect with a clear margin, both in the same order; None where it does
    so nowhere."""
    pairs = [
        (before, after)
        for before, after in zip(reference, judged, strict=True)
        if before.defect and has_clear_margin(before.score, threshold) and math.isfinite(after.score)
    ]
    if not pairs:
        return None
    margins = [max(0.0, _over(after.score, threshold)) / _over(before.score, threshold) for before, after in pairs]
    heats = [(after.peak / before.peak, after.name) for before, after in pairs if before.peak > 0]
    return Peaks(
        len(pairs),
        _left(heats) if heats else None,
        _left([(share, after.name) for share, (_, after) in zip(margins, pairs, strict=True)]),
    )


def _over(score: float, threshold: float) -> float:
    """The distance from the threshold to a score, in log-odds."""
    high, low = log_odds(np.array([score, threshold], np.float64))
    return float(high - low)


def _left(shares: Sequence[tuple[float, str]]) -> Left:
    least = min(shares)
    return Left(median(share for share, _ in shares), *least)


def of_trials(trials: Sequence[Trial], threshold: float) -> list[Peaks | None]:
    """For each trial what it leaves of the first one's peaks, on drawn defects where no real one was held out."""
    first = (*trials[0].judged, *trials[0].drawn)
    return [peaks(first, (*one.judged, *one.drawn), threshold) for one in trials]


def notes(trials: Sequence[Trial], found: Sequence[Peaks | None], clipped: Sequence[Sequence[Tensor]]) -> list[str]:
    """Where peaks are cut: by how much, the likely cause, and what to do."""
    each = zip(trials, found, clipped, strict=True)
    return [_note(one, left, often(tensors)) for one, left, tensors in each if left and left.cut]


def _note(one: Trial, left: Peaks, tensors: Sequence[Tensor]) -> str:
    heat = f", of the heat map's peaks {left.heat.words}" if left.heat else ""
    cause = (
        f"of its tensors {len(tensors)} often at the end of their range, most of all {tensors[0].words}: calibrate "
        "with more pictures of defects as strong as those of the acceptance set"
        if tensors
        else "no tensor of it is often at the end of its range, so its steps are too coarse"
    )
    return (
        f"{one.precision.upper()} on {one.target} cuts the peaks of {left.defects} clear defects: of their margin "
        f"{left.margin.words}{heat}; {cause}"
    )
