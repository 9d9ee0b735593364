"""Fits one student to labelled pictures: a linear probe, then balanced batches; image labels always, masks and classes
where known. Where no mask shows a defect, drawn ones show what a heat map is."""

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
from training.backbones import STAGES
from training.lesson import Lesson
from training.pictures import Labelled, to_cells
from training.probe import probe
from training.student import Answers, Network, Student
from training.synthetic import add_defects

FOCUS = 2.0  # focal loss: how much less a cell counts that is right already
FALSE_ALARMS = 4.0  # how much the cells without a defect weigh: few of the many are hard
LEAST_STEPS = 400  # of a whole training, where nobody says how many epochs
USUAL_EPOCHS = 12
FEW, QUICKER = 50, 3.0  # labelled defects that allow gentle training only, and how much faster many may teach


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to fit: `part` of `epochs` passes in batches of `batch`; None = 12 passes, more for a small set.

    `tail_rate` is for what has weights already and 50 labelled defects or fewer; more teach it faster, up to thrice.
    `strength` is how far the light varies, of what is usual. `drawn` is the share of each batch that are good pictures
    with a drawn defect, where no labelled one has a mask.
    """

    epochs: int | None = None
    batch: int = 16
    head_rate: float = 1e-3
    tail_rate: float = 1e-4
    weight_decay: float = 0.02
    strength: float = 1.0
    part: float = 1.0
    drawn: float = 1 / 3

    def steps(self, pictures: int) -> int:
        """The optimiser's steps for a set of so many pictures."""
        once = math.ceil(pictures / self.batch)
        epochs = self.epochs or max(USUAL_EPOCHS, math.ceil(LEAST_STEPS / once))
        return math.ceil(once * epochs * self.part)

    def tail(self, defects: int) -> float:
        """The rate for what has weights already, with so many labelled defects."""
        return self.tail_rate * min(max(defects / FEW, 1.0), QUICKER)

    def flawed(self, data: Labelled, members: Tensor) -> int:
        """How many pictures of a batch get a drawn defect, where `members` (int64 indices into `data`) teach."""
        shown = bool((data.bad & data.masked)[members].any())
        return 0 if shown or not data.has_goods else int(self.batch * self.drawn)


def fit(
    student: Student,
    data: Labelled,
    members: Tensor,
    recipe: Recipe,
    seed: int,
    tick: Callable[[], None],
    lesson: Lesson | None = None,
) -> None:
    """Train `student` in place on the pictures `members` (int64 indices into `data`); `tick` after each step.

    With a `lesson` it learns from teachers too. Where its backbone has given weights, its heads begin as a linear
    probe: training from there is gentle and forgets less. The same seed, pictures and thread count give the same
    weights.
    """
    if not student.begin.scratch:
        probe(student, data, members)
    draw = Generator().manual_seed(seed)
    steps, drawn = recipe.steps(len(members)), recipe.flawed(data, members)
    optimiser = _optimiser(student, recipe, recipe.tail(int(data.bad[members].sum())))
    if lesson is not None:
        optimiser.add_param_group({"params": lesson.begin(student), "lr": recipe.head_rate, "weight_decay": 0.0})
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: warm_cosine(step, steps))
    student.train()
    for batch in _batches(data, members, recipe.batch, drawn, steps, draw):
        images, masks = vary(data.images[batch], data.cells[batch], draw, recipe.strength)
        if drawn:
            images[-drawn:], masks[-drawn:] = add_defects(images[-drawn:], draw)
        with torch.set_grad_enabled(not student.begin.public):
            seen = student.see(images)
        loss = _loss(student.judge(seen), data, batch, to_cells(masks), drawn)
        if lesson is not None:
            loss = loss + lesson.loss(student, draw)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        tick()
    student.eval()


def tell(student: Network, data: Labelled, members: Tensor) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The scores in [0, 1] of the pictures `members` and the likeliest class of each, in their order: two N.

    Without several classes it is always the first.
    """
    with torch.no_grad():
        told = [student(data.images[batch]) for batch in torch.split(members, 32)]
    scores = torch.cat([answers.score.sigmoid() for answers in told])
    if told[0].classes.shape[1] < 2:
        return scores.numpy(), np.zeros(len(members), np.int64)
    return scores.numpy(), torch.cat([answers.classes.argmax(1) for answers in told]).numpy()


def _optimiser(student: Student, recipe: Recipe, tail_rate: float) -> torch.optim.Optimizer:
    """What has given weights, or a probe's, learns slower than the new layers; biases and batch norms do not decay."""
    heads = (student.to_score, student.to_classes or student.to_score)
    old = () if student.begin.scratch else (*(getattr(student, name) for name in STAGES), *heads)
    given = {id(weight) for part in old for weight in part.parameters()}
    groups = []
    for weight in (weight for weight in student.parameters() if weight.requires_grad):
        rate = tail_rate if id(weight) in given else recipe.head_rate
        decay = recipe.weight_decay if weight.ndim > 1 else 0.0
        groups.append({"params": [weight], "lr": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups, foreach=True)


def warm_cosine(step: int, steps: int) -> float:
    """Warm up over the first tenth, then a cosine down to nearly nothing."""
    warm = max(1, steps // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _batches(
    data: Labelled, members: Tensor, size: int, drawn: int, steps: int, draw: Generator
) -> Iterator[Tensor]:
    """`steps` batches, half defects and half good pictures, each kind dealt out evenly however rare it is.

    The last `drawn` of each are good ones more, to draw into.
    """
    bad = _classes(data, members[data.bad[members]], draw)
    good = _endless(members[~data.bad[members]], draw) if data.has_goods else bad
    for _ in range(steps):
        yield torch.stack([next(bad if index % 2 and index < size - drawn else good) for index in range(size)])


def _classes(data: Labelled, bad: Tensor, draw: Generator) -> Iterator[Tensor]:
    """Defects for ever: a class ten times as frequent as another one comes three times as often."""
    kinds, counts = torch.unique(data.kinds[bad], return_counts=True)
    decks = [_endless(bad[data.kinds[bad] == kind], draw) for kind in kinds]
    while len(decks) > 1:
        for deck in torch.multinomial(counts.sqrt(), 64, replacement=True, generator=draw):
            yield next(decks[deck])
    yield from decks[0]


def _endless(members: Tensor, draw: Generator) -> Iterator[Tensor]:
    while True:
        yield from members[torch.randperm(len(members), generator=draw)]


def _loss(told: Answers, data: Labelled, batch: Tensor, cells: Tensor, drawn: int) -> Tensor:
    """Image label on the score and on the heat map's share of it, pixel loss where the cells are known.

    The last `drawn` pictures teach the heat map alone. Without good pictures only the classes.
    """
    if not data.has_goods:
        return F.cross_entropy(told.classes, data.kinds[batch])
    bad, real = data.bad[batch].float(), len(batch) - drawn
    loss = F.binary_cross_entropy_with_logits(told.score[:real], bad[:real])
    shown = torch.cat((bad[:real], cells[real:].amax((1, 2))))
    loss = loss + 0.5 * F.binary_cross_entropy_with_logits(told.pooled, shown)
    known = data.masked[batch]
    if known.any():
        loss = loss + pixel_loss(told.heat[known], cells[known])
    of_bad = data.bad[batch]
    if told.classes.shape[1] and of_bad.any():
        loss = loss + 0.5 * F.cross_entropy(told.classes[of_bad], data.kinds[batch][of_bad])
    return loss


def pixel_loss(heat: Tensor, cells: Tensor) -> Tensor:
    """Focal loss of B x h x w logits, each picture's defect cells counting as much as its others.

    So a scratch of three cells weighs as much as a stain of three hundred.
    """
    entropy = F.binary_cross_entropy_with_logits(heat, cells, reduction="none")
    focal = entropy * (1 - torch.exp(-entropy)) ** FOCUS
    inside, outside = cells, 1 - cells
    hit = (focal * inside).sum((1, 2)) / inside.sum((1, 2)).clamp_min(1)
    raised = (focal * outside).sum((1, 2)) / outside.sum((1, 2)).clamp_min(1)
    return (hit + FALSE_ALARMS * raised).mean()
