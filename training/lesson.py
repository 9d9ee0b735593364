"""What teachers say of pictures, labelled or not, and how far a student is from saying the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from edge.pixels import STEP
from training.augment import vary
from training.kept import WHOLE, of_fold
from training.student import Answers, Network, Student

SURE = 8.0  # logits beyond this say no more
SCORE, HEAT, FEATURES, CLASSES = 1.0, 0.1, 0.5, 0.5  # weights
ANGLE = 0.9  # of the features' term; the rest is their distance


class Said(NamedTuple):
    """What was said of N pictures, before any sigmoid, float32: score N, heat N x h x w, embedding N x D of length 1,
    classes N x K."""

    score: Tensor
    heat: Tensor
    embedding: Tensor
    classes: Tensor


def say(teacher: Network, images: Tensor) -> Said:
    """What one teacher says of uint8 B x H x W x C pictures in its own size."""
    with torch.no_grad():
        told = teacher(images)
    return Said(told.score, told.heat, F.normalize(told.embedding, dim=1), told.classes)


def agreed(all_said: Sequence[Said], height: int, width: int) -> Said:
    """The mean of what several teachers said, with heat maps of `height` x `width` cells.

    Networks that were trained apart have axes of their own, so the embedding is the first one's.
    """
    heats = [_resized(one.heat, height, width) for one in all_said]
    return Said(
        torch.stack([one.score for one in all_said]).mean(0),
        torch.stack(heats).mean(0),
        all_said[0].embedding,
        torch.stack([one.classes for one in all_said]).mean(0),
    )


def _resized(heat: Tensor, height: int, width: int) -> Tensor:
    if heat.shape[1:] == (height, width):
        return heat
    return F.interpolate(heat[:, None], (height, width), mode="bilinear", antialias=True)[:, 0]


@dataclass(eq=False)
class Lesson:
    """Pictures (uint8 N x H x W x C, as the student sees them) and what the teachers say of them.

    Without `knows_goods` they learnt the classes of defects alone, and their scores and heat maps say nothing.
    """

    images: Tensor
    said: Said
    batch: int
    knows_goods: bool = True

    def __post_init__(self) -> None:
        self.adapter: nn.Module = nn.Identity()

    def begin(self, student: Student) -> list[nn.Parameter]:
        """What learns beside this student, and is thrown away: it turns its embedding into the teachers'."""
        width = student.kind.climbed[-1]
        self.adapter = nn.Sequential(
            nn.Linear(width, width), nn.LayerNorm(width), nn.GELU(), nn.Linear(width, self.said.embedding.shape[1])
        )
        return list(self.adapter.parameters())

    def loss(self, student: Student, draw: Generator) -> Tensor:
        """How far the student is from the teachers on some of the pictures, each in another light and place.

        The teachers have seen them as they are: a verdict must not depend on either.
        """
        chosen = torch.randint(len(self.images), (self.batch,), generator=draw)
        heat = self.said.heat[chosen].repeat_interleave(STEP, 1).repeat_interleave(STEP, 2)
        images, heat = vary(self.images[chosen], heat, draw)
        told = student(images)
        wanted = Said(*(part[chosen] for part in self.said))
        return self._distance(told, wanted, F.avg_pool2d(heat[:, None], STEP)[:, 0])

    def _distance(self, told: Answers, wanted: Said, heat: Tensor) -> Tensor:
        loss = torch.zeros(())
        if self.knows_goods:
            loss = loss + SCORE * F.binary_cross_entropy_with_logits(told.score, wanted.score.sigmoid())
            loss = loss + HEAT * F.mse_loss(told.heat.clamp(-SURE, SURE), heat.clamp(-SURE, SURE))
        features = F.normalize(self.adapter(told.embedding), dim=1)
        angle = 1 - (features * wanted.embedding).sum(1).mean()
        distance = F.smooth_l1_loss(features, wanted.embedding, reduction="sum") / len(features)
        loss = loss + FEATURES * (ANGLE * angle + (1 - ANGLE) * distance)
        if told.classes.shape[1] > 1:
            loss = loss + CLASSES * correlation(told.classes.softmax(1), wanted.classes.softmax(1))
        return loss


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """What the models of each teacher say of N pictures (uint8 N x H x W x C, as the student sees them).

    said: by the models' names. fold_of: int64 N, -1 for a picture whose group no fold holds. identity stands for the
    teachers and the pictures; facts are what a report says of them. knows_goods: see Lesson.
    """

    images: Tensor
    fold_of: Tensor
    said: Mapping[str, Said]
    batch: int
    identity: str
    facts: Mapping[str, Any]
    knows_goods: bool = True

    def without(self, fold: int) -> Lesson:
        """By the models that did not see that fold, on pictures of the other ones."""
        there = torch.nonzero(self.fold_of != fold)[:, 0]
        return Lesson(
            self.images[there],
            Said(*(part[there] for part in self.said[of_fold(fold)])),
            self.batch,
            self.knows_goods,
        )

    def whole(self) -> Lesson:
        """By all models together, on all pictures."""
        names = (WHOLE, *(name for name in self.said if name != WHOLE))
        _, height, width = self.said[WHOLE].heat.shape
        return Lesson(
            self.images, agreed([self.said[name] for name in names], height, width), self.batch, self.knows_goods
        )


def correlation(told: Tensor, wanted: Tensor) -> Tensor:
    """DIST (Huang et al. 2022): B x K probabilities must correlate, picture by picture and class by class.

    Their relations are learnt, not their values, which a strong teacher has too sure.
    """
    return 2 - _pearson(told, wanted) - _pearson(told.T, wanted.T)


def _pearson(one: Tensor, other: Tensor) -> Tensor:
    return F.cosine_similarity(one - one.mean(1, keepdim=True), other - other.mean(1, keepdim=True), dim=1).mean()
