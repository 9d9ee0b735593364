"""Fits one student to labelled pictures: balanced batches, image labels always, masks where there are any."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from training.augment import vary
from training.pictures import Labelled, to_cells
from training.student import Answers, Student

FOCUS = 2.0  # focal loss: how much less a cell counts that is right already
FALSE_ALARMS = 4.0  # how much the cells without a defect weigh: few of the many are hard
LEAST_STEPS = 400  # of a whole training, where nobody says how many epochs
USUAL_EPOCHS = 12


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to fit: `epochs` passes in batches of `batch`; None = 12 passes, more for a small set."""

    epochs: int | None = None
    batch: int = 16
    head_rate: float = 1e-3
    tail_rate: float = 3e-4
    weight_decay: float = 0.02

    def steps(self, pictures: int) -> int:
        """The optimiser's steps for a set of so many pictures."""
        once = math.ceil(pictures / self.batch)
        epochs = self.epochs or max(USUAL_EPOCHS, math.ceil(LEAST_STEPS / once))
        return once * epochs


def fit(
    student: Student, data: Labelled, members: Tensor, recipe: Recipe, seed: int, tick: Callable[[], None]
) -> None:
    """Train `student` in place on the pictures `members` (int64 indices into `data`); `tick` after each step.

    The same seed, pictures and thread count give the same weights.
    """
    draw = Generator().manual_seed(seed)
    steps = recipe.steps(len(members))
    optimiser = _optimiser(student, recipe)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    for batch in _batches(data, members, recipe.batch, steps, draw):
        images, masks = vary(data.images[batch], data.cells[batch], draw)
        with torch.no_grad():
            seen = student.see(images)
        loss = _loss(student.judge(seen), data, batch, to_cells(masks))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        tick()


def score(student: Student, data: Labelled, members: Tensor) -> NDArray[np.float32]:
    """The scores in [0, 1] of the pictures `members`, in their order."""
    with torch.no_grad():
        told = [student(data.images[batch]).score.sigmoid() for batch in torch.split(members, 32)]
    scores: NDArray[np.float32] = torch.cat(told).numpy()
    return scores


def _optimiser(student: Student, recipe: Recipe) -> torch.optim.Optimizer:
    """The pretrained tail learns slower than the new layers; biases and batch norms do not decay."""
    tail = {id(weight) for part in (student.fine, student.coarse) for weight in part.parameters()}
    groups = []
    for weight in (weight for weight in student.parameters() if weight.requires_grad):
        rate = recipe.tail_rate if id(weight) in tail else recipe.head_rate
        decay = recipe.weight_decay if weight.ndim > 1 else 0.0
        groups.append({"params": [weight], "lr": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups, foreach=True)


def _rate(step: int, steps: int) -> float:
    """Warm up over the first tenth, then a cosine down to nearly nothing."""
    warm = max(1, steps // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _batches(data: Labelled, members: Tensor, size: int, steps: int, draw: Generator) -> Iterator[Tensor]:
    """`steps` batches, half defects and half good pictures, each kind dealt out evenly however rare it is."""
    bad = _endless(members[data.bad[members]], draw)
    good = _endless(members[~data.bad[members]], draw)
    for _ in range(steps):
        yield torch.stack([next(bad if index % 2 else good) for index in range(size)])


def _endless(members: Tensor, draw: Generator) -> Iterator[Tensor]:
    while True:
        yield from members[torch.randperm(len(members), generator=draw)]


def _loss(told: Answers, data: Labelled, batch: Tensor, cells: Tensor) -> Tensor:
    """Image label on the score and on the heat map's share of it, pixel loss where the cells are known."""
    bad = data.bad[batch].float()
    loss = F.binary_cross_entropy_with_logits(told.score, bad)
    loss = loss + 0.5 * F.binary_cross_entropy_with_logits(told.pooled, bad)
    known = data.masked[batch]
    if known.any():
        loss = loss + _pixel_loss(told.heat[known], cells[known])
    of_bad = data.bad[batch]
    if told.classes.shape[1] and of_bad.any():
        loss = loss + 0.5 * F.cross_entropy(told.classes[of_bad], data.kinds[batch][of_bad])
    return loss


def _pixel_loss(heat: Tensor, cells: Tensor) -> Tensor:
    """Focal loss of B x h x w logits, each picture's defect cells counting as much as its others.

    So a scratch of three cells weighs as much as a stain of three hundred.
    """
    entropy = F.binary_cross_entropy_with_logits(heat, cells, reduction="none")
    focal = entropy * (1 - torch.exp(-entropy)) ** FOCUS
    inside, outside = cells, 1 - cells
    hit = (focal * inside).sum((1, 2)) / inside.sum((1, 2)).clamp_min(1)
    raised = (focal * outside).sum((1, 2)) / outside.sum((1, 2)).clamp_min(1)
    return (hit + FALSE_ALARMS * raised).mean()
