"""The student: a backbone, a light pyramid that draws the heat map, and a head on what all its strides see."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from edge.pixels import InputSpec
from training.backbones import Stages, Start, pool

WIDTH = 64  # channels of the pyramid: a multiple of 16, which INT8 kernels like
SHARPNESS = 4.0  # of the pooled heat map: towards a maximum, so that a small defect counts as much as a large one
RARE = -4.6  # a heat-map cell's logit before training: 1 % are defects
PUBLIC = Start()


class Answers(NamedTuple):
    """What a student says of B pictures, before any sigmoid: all float32.

    score: B. heat: B x H/8 x W/8. pooled: B, the heat map's share of the score. embedding: B x D.
    classes: B x K, K = 0 with fewer than two defect classes.
    """

    score: Tensor
    heat: Tensor
    pooled: Tensor
    embedding: Tensor
    classes: Tensor


class Network(Stages, ABC):
    """A backbone and what judges by it. Born in eval mode."""

    def forward(self, images: Tensor) -> Answers:
        """Answers for uint8 B x H x W x C pictures, as `edge.pixels` makes them."""
        return self.judge(self.see(images))

    @abstractmethod
    def judge(self, seen: Tensor) -> Answers:
        """Answers for what `see` returned."""


class Student(Network):
    """A backbone with a pyramid of its strides 16 and 8; every layer quantizes well.

    Score and classes are read, linearly, from the averages and maxima of all stages above stride 4 and of the pyramid.
    `classes` is the number of defect classes. Train mode is for batch norms from scratch.
    """

    usual: Tensor
    scale: Tensor

    def __init__(self, spec: InputSpec, classes: int, begin: Start = PUBLIC) -> None:
        super().__init__(begin, spec.channels)
        self.from_fine = nn.Conv2d(self.kind.fine, WIDTH, 1)
        self.from_coarse = nn.Conv2d(self.kind.coarse, WIDTH, 1)
        self.mix = nn.Sequential(_conv(), nn.ReLU6(), _conv(), nn.ReLU6())
        self.to_heat = nn.Conv2d(WIDTH, 1, 1)
        strides = 2 * sum(self.kind.climbed)
        self.register_buffer("usual", torch.zeros(strides))
        self.register_buffer("scale", torch.ones(strides))
        self.to_score = nn.Linear(strides + 2 * WIDTH, 1)
        self.to_classes = nn.Linear(strides + 2 * WIDTH, classes) if classes > 1 else None
        self._start()
        self.eval()

    def _start(self) -> None:
        """The whole picture's head begins silent: the first score is the pooled heat map's, moved to one half."""
        nn.init.constant_(_bias(self.to_heat), RARE)
        nn.init.zeros_(self.to_score.weight)
        nn.init.constant_(_bias(self.to_score), -RARE)

    def judge(self, seen: Tensor) -> Answers:
        """Answers for what `see` returned."""
        maps = self.climb(seen)
        fine, coarse = maps[:2]
        joined = F.relu6(self.from_fine(fine) + doubled(self.from_coarse(coarse), fine))
        mixed = self.mix(joined)
        heat = self.to_heat(mixed)[:, 0]
        pooled = log_mean_exp(heat)
        features = torch.cat(((pool(*maps) - self.usual) * self.scale, pool(mixed)), 1)
        score = pooled + self.to_score(features)[:, 0]
        classes = features[:, :0] if self.to_classes is None else self.to_classes(features)
        return Answers(score, heat, pooled, maps[-1].mean((2, 3)), classes)


def _conv() -> nn.Conv2d:
    return nn.Conv2d(WIDTH, WIDTH, 3, padding=1)


def _bias(layer: nn.Conv2d | nn.Linear) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def doubled(coarse: Tensor, fine: Tensor) -> Tensor:
    """The coarse map at twice its size; a row or column that an odd fine map has not is cut off."""
    large = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
    if large.shape[2:] == fine.shape[2:]:
        return large
    return large[:, :, : fine.shape[2], : fine.shape[3]]


def log_mean_exp(heat: Tensor) -> Tensor:
    """B from B x h x w logits: a maximum that every cell has a small say in."""
    cells = heat.flatten(1) * SHARPNESS
    top = cells.amax(1, keepdim=True)
    spread = (cells - top).exp().mean(1).log()
    return (top[:, 0] + spread) / SHARPNESS


class Deployed(nn.Module):
    """The student as it ships: one uint8 1 x H x W x C picture in; score, heat map and embedding out.

    score: 1, in [0, 1]. heat_map: 1 x H/8 x W/8, in [0, 1]. embedding: 1 x D, of length 1. class_scores: 1 x K that
    add up to 1, only with two or more classes.
    """

    def __init__(self, student: Network) -> None:
        super().__init__()
        self.student = student
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """The outputs in their order; any batch size where the caller exports none."""
        told = self.student(image)
        length = told.embedding.square().sum(1, keepdim=True).clamp_min(1e-12).sqrt()
        outputs = (told.score.sigmoid(), told.heat.sigmoid(), told.embedding / length)
        return (*outputs, told.classes.softmax(1)) if told.classes.shape[1] else outputs
