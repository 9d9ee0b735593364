"""Defects drawn into pictures: soft stains and scratches, and pieces of other pictures, faint against the noise."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from training.augment import spread

LEAST_AREA, MOST_AREA = 1e-4, 0.05  # of the picture
LONGEST = 12.0  # a scratch's length over its width
FAINTEST, STRONGEST = 1.5, 6.0  # contrast in local standard deviations
FLOOR = 2.0  # grey levels: what a perfectly flat surface counts as its deviation
WINDOW = 17  # pixels over which that deviation is taken
PIECES = 0.4  # of the defects are pieces of another picture


def add_defects(images: Tensor, draw: Generator) -> tuple[Tensor, Tensor]:
    """Float B x H x W x C of 0..255 -> the same with one defect in most pictures, and where it is: bool B x H x W."""
    count, height, width, _ = images.shape
    cover = _shapes(count, height, width, draw)
    cover[torch.rand(count, generator=draw, device=draw.device) < 0.15] = 0
    change = torch.where(_chance(count, PIECES, draw), _piece(images, draw), _stain(images, draw))
    changed = (images + cover[..., None] * change).clamp(0, 255)
    visible = (changed - images).abs().amax(3) > 0.5
    return changed, (cover > 0.5) & visible


def _shapes(count: int, height: int, width: int, draw: Generator) -> Tensor:
    """How much of each pixel a defect covers, 0..1: bent ellipses, from dots to scratches. B x H x W."""

    def rand() -> Tensor:
        return torch.rand((count, 1, 1), generator=draw, device=draw.device)

    area = torch.exp(math.log(LEAST_AREA) + rand() * math.log(MOST_AREA / LEAST_AREA)) * height * width
    aspect = torch.exp(rand() ** 2 * math.log(LONGEST))
    long = (area * aspect / math.pi).sqrt().clamp_min(1.0)
    short = (area / aspect / math.pi).sqrt().clamp_min(0.6)
    turn = rand() * math.pi
    y = torch.arange(height, device=draw.device)[None, :, None] - rand() * height
    x = torch.arange(width, device=draw.device)[None, None, :] - rand() * width
    along = x * turn.cos() + y * turn.sin()
    across = y * turn.cos() - x * turn.sin() + spread((count, 1, 1), 0.3, draw) * along.square() / long
    distance = ((along / long).square() + (across / short).square()).clamp_min(1e-6).sqrt()
    return ((1 - distance) * short / 0.7 + 0.5).clamp(0, 1)


def _stain(images: Tensor, draw: Generator) -> Tensor:
    """A change of brightness, so many of the local deviations: B x H x W x C."""
    count, channels = images.shape[0], images.shape[3]
    grey = images.mean(3)[:, None]
    mean = F.avg_pool2d(grey, WINDOW, 1, WINDOW // 2, count_include_pad=False)
    square = F.avg_pool2d((grey - mean).square(), WINDOW, 1, WINDOW // 2, count_include_pad=False)
    deviation = square.sqrt().clamp_min(FLOOR)[:, 0, ..., None]
    strength = FAINTEST + (STRONGEST - FAINTEST) * torch.rand((count, 1, 1, 1), generator=draw, device=draw.device)
    sign = torch.where(_chance(count, 0.5, draw), 1.0, -1.0)
    return deviation * strength * sign * (1 + spread((count, 1, 1, channels), 0.3, draw))


def _piece(images: Tensor, draw: Generator) -> Tensor:
    """What it takes to show the next picture of the batch, moved, in place of this one: B x H x W x C."""
    height, width = images.shape[1:3]
    dy, dx = (int(torch.randint(0, side, (), generator=draw, device=draw.device)) for side in (height, width))
    return images.roll((1, dy, dx), (0, 1, 2)) - images


def _chance(count: int, share: float, draw: Generator) -> Tensor:
    return torch.rand((count, 1, 1, 1), generator=draw, device=draw.device) < share
