"""What the gate saw beyond its counts: single classes and groups, what is left of peaks, and what INT8 clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compile import breakdown, peaks
from compile.breakdown import Row, by_class, by_group
from compile.peaks import Peaks
from compile.saturation import LOOKED_AT, Tensor, saturation, spread
from compile.stability import Stability
from compile.verify import Trial
from edge.picture_set import GOOD, Picture, read_image
from edge.pixels import Image, InputSpec, to_input


@dataclass(frozen=True, slots=True)
class Detail:
    """Rows for each class and group; for each trial, in their order, what it leaves of peaks, its quantized tensors
    (none of a model in float); what other draws of the calibration pictures would change (None: no INT8 from extremes);
    and what of it people must know."""

    classes: Sequence[Row]
    groups: Sequence[Row]
    peaks: Sequence[Peaks | None]
    tensors: Sequence[Sequence[Tensor]]
    stability: Stability | None
    notes: Sequence[str]


def detail(
    trials: Sequence[Trial],
    held_out: Sequence[Picture],
    spec: InputSpec,
    threshold: float,
    redrawn: Stability | None = None,
) -> Detail:
    """A closer look at the trials on what was held out. Blocks for about a second for each quantized model."""
    left = peaks.of_trials(trials, threshold)
    tensors = _tensors(trials, held_out, spec)
    quantized = list(dict.fromkeys(tensor.name for each in tensors for tensor in each))
    words = [redrawn.sentence(quantized)] if redrawn and redrawn.amiss(quantized) else []
    notes = [*breakdown.notes(trials), *peaks.notes(trials, left, tensors), *words]
    return Detail(by_class(trials), by_group(trials), left, tensors, redrawn, notes)


def _tensors(trials: Sequence[Trial], held_out: Sequence[Picture], spec: InputSpec) -> list[list[Tensor]]:
    """Each model is looked at once, however many engines run it."""
    defects = _inputs([one for one in held_out if one.label != GOOD], spec)
    goods = _inputs([one for one in held_out if one.label == GOOD], spec)
    of_file = {one.file: one.model for one in trials}
    found = {file: saturation(model, defects, goods) for file, model in of_file.items()}
    return [found[one.file] for one in trials]


def _inputs(pictures: Sequence[Picture], spec: InputSpec) -> list[Image]:
    return [to_input(read_image(one.path), spec) for one in spread(pictures, LOOKED_AT)]
