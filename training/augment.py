"""What a line does to its pictures (light, gain, noise, a few pixels of place), never what would hide a defect."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

SHIFT_PX = 4  # with mirroring, every phase of the 8-pixel grid of the heat map
GAIN = 0.25  # exposure, as a natural logarithm: 0.78 to 1.28
GAMMA = 0.2
TINT = 0.05
RAMP = 0.2  # brightness from one edge to the other
NOISE_LEVELS = 3.0  # grey levels of 255: more would drown a faint scratch


def vary(images: Tensor, masks: Tensor, draw: Generator) -> tuple[Tensor, Tensor]:
    """Another shot of the same parts: uint8 B x H x W x C and masks B x H x W -> float 0..255, moved alike.

    Pictures are mirrored and moved by whole pixels, which blurs nothing; no crop, blur, cut-out or rotation.
    """
    moved, masks = _move(images, masks, draw)
    return _noise(_light(moved, draw), draw), masks


def _move(images: Tensor, masks: Tensor, draw: Generator) -> tuple[Tensor, Tensor]:
    count, height, width = masks.shape
    picture = torch.arange(count)[:, None, None]
    rows = _places(count, height, draw)[:, :, None]
    columns = _places(count, width, draw)[:, None, :]
    return images[picture, rows, columns], masks[picture, rows, columns]


def _places(count: int, side: int, draw: Generator) -> Tensor:
    """Which row (or column) of the picture each of the `side` rows shows: count x side."""
    shift = torch.randint(-SHIFT_PX, SHIFT_PX + 1, (count, 1), generator=draw)
    mirror = torch.rand((count, 1), generator=draw) < 0.5
    place = (torch.arange(side) + shift).clamp(0, side - 1)
    return torch.where(mirror, side - 1 - place, place)


def _light(images: Tensor, draw: Generator) -> Tensor:
    """Exposure, gamma, tint and a gradient of the light across the picture."""
    count, height, width, channels = images.shape
    gamma = torch.exp(_spread((count, 1, 1, 1), GAMMA, draw))
    gain = torch.exp(_spread((count, 1, 1, 1), GAIN, draw) + _spread((count, 1, 1, channels), TINT, draw))
    down = torch.linspace(-0.5, 0.5, height)[None, :, None, None]
    across = torch.linspace(-0.5, 0.5, width)[None, None, :, None]
    ramp = 1 + _spread((count, 1, 1, 1), RAMP, draw) * down + _spread((count, 1, 1, 1), RAMP, draw) * across
    return (images.float() / 255).pow_(gamma).mul_(gain * ramp).mul_(255)


def _noise(images: Tensor, draw: Generator) -> Tensor:
    """Sensor noise of another strength on every picture, then what a sensor can say: 0 to 255."""
    sigma = torch.rand((len(images), 1, 1, 1), generator=draw) * NOISE_LEVELS
    return torch.addcmul(images, torch.randn(images.shape, generator=draw), sigma).clamp_(0, 255)


def _spread(shape: tuple[int, ...], most: float, draw: Generator) -> Tensor:
    return (torch.rand(shape, generator=draw) * 2 - 1) * most
