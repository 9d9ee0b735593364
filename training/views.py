"""What one step of a pretraining looks at: masked pictures, two views of each, and pictures with drawn defects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from training.augment import glare, light, shot_noise, spread, vary
from training.synthetic import add_defects

CELL = 32  # pixels: the side of what is masked
MASKED = 0.6
LEAST_SIDE = 0.78  # of a view's side: 0.6 of the area
SMALL_SHIFT = 0.1  # of the picture, where a view is not cut smaller


class Look(NamedTuple):
    """One step's pictures, float B x H x W x C of 0..255; None where no term asks for them.

    plain: under another light; keep: B x 1 x H x W, 0 where it is masked. one, two: views of the same pictures, and
    where, B x H x W x 2, each place of `one` lies in `two` (-1..1, beyond = outside). flawed, flaws: with a drawn
    defect, and bool B x H x W where it is.
    """

    plain: Tensor | None
    keep: Tensor | None
    one: Tensor | None
    two: Tensor | None
    where: Tensor | None
    flawed: Tensor | None
    flaws: Tensor | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which parts of a look the terms ask for."""

    masked: bool
    views: bool
    flawed: bool


def look_at(images: Tensor, wanted: Wanted, draw: Generator) -> Look:
    """A look at uint8 B x H x W x C pictures; `draw` is on their device."""
    plain = keep = one = two = where = flawed = flaws = None
    if wanted.masked:
        plain = light(images, draw).clamp_(0, 255)
        keep = _keep(images, draw)
    if wanted.views:
        one, two, where = two_views(images, draw)
    if wanted.flawed:
        moved, _ = vary(images, torch.zeros(images.shape[:3], device=images.device), draw)
        flawed, flaws = add_defects(moved, draw)
    return Look(plain, keep, one, two, where, flawed, flaws)


def _keep(images: Tensor, draw: Generator) -> Tensor:
    """0 over the 60 % of the cells that are masked, the same number in every picture: B x 1 x H x W."""
    count, height, width, _ = images.shape
    down, across = -(-height // CELL), -(-width // CELL)
    order = torch.rand((count, down * across), generator=draw, device=draw.device).argsort(1).argsort(1)
    kept = (order >= round(MASKED * down * across)).float().view(count, 1, down, across)
    return kept.repeat_interleave(CELL, 2).repeat_interleave(CELL, 3)[:, :, :height, :width]


def two_views(images: Tensor, draw: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Two shots of the same pictures: place, mirror and light differ, nothing that would hide a defect."""
    scale, offset = zip(_cut(len(images), draw), _cut(len(images), draw), strict=True)
    shots = [
        shot_noise(glare(light(_shot(images, s, o), draw), draw), draw) for s, o in zip(scale, offset, strict=True)
    ]
    places = _grid(images) * scale[0] + offset[0]
    return shots[0], shots[1], (places - offset[1]) / scale[1]


def _cut(count: int, draw: Generator) -> tuple[Tensor, Tensor]:
    """Where a view lies in its picture: place = scale * view + offset, both -1..1; B x 1 x 1 x 2 each."""
    side = LEAST_SIDE + (1 - LEAST_SIDE) * torch.rand((count, 1, 1, 1), generator=draw, device=draw.device)
    room = (1 - side).clamp_min(SMALL_SHIFT)
    offset = spread((count, 1, 1, 2), 1.0, draw) * room
    mirror = torch.where(torch.rand((count, 1, 1, 2), generator=draw, device=draw.device) < 0.5, 1.0, -1.0)
    return side * mirror, offset


def _grid(images: Tensor) -> Tensor:
    """The places of a picture's pixels: 1 x H x W x 2 as (x, y) of -1..1 between the outer edges."""
    height, width = images.shape[1:3]
    y = (torch.arange(height, device=images.device) + 0.5) * 2 / height - 1
    x = (torch.arange(width, device=images.device) + 0.5) * 2 / width - 1
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), 2)[None]


def _shot(images: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    places = _grid(images) * scale + offset
    planes = images.permute(0, 3, 1, 2).float()
    seen = F.grid_sample(planes, places, padding_mode="reflection", align_corners=False)
    return seen.permute(0, 2, 3, 1)
