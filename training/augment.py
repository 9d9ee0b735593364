"""What a line does to its pictures (light, gain, noise, a few pixels of place), never what would hide a defect."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

SHIFT_PX = 4  # with mirroring, every phase of the 8-pixel grid of the heat map
GAIN = 0.25  # exposure, as a natural logarithm: 0.78 to 1.28
GAMMA = 0.2
TINT = 0.05
RAMP = 0.2  # brightness from one edge to the other
VIGNETTE = 0.3  # darker at the corners by
GLARE = 40.0  # grey levels
SHOT = 0.2  # of the square root of the grey level
NOISE_LEVELS = 3.0  # grey levels of 255: more would drown a faint scratch


def vary(images: Tensor, masks: Tensor, draw: Generator, strength: float = 1.0) -> tuple[Tensor, Tensor]:
    """Another shot of the same parts: uint8 B x H x W x C and masks B x H x W -> float 0..255, moved alike.

    `strength` is how far the light may vary, of what is usual.

    Pictures are mirrored and moved by whole pixels, which blurs nothing; no crop, blur, cut-out or rotation.
    """
    moved, masks = _move(images, masks, draw)
    return noise(light(moved, draw, strength), draw), masks


def _move(images: Tensor, masks: Tensor, draw: Generator) -> tuple[Tensor, Tensor]:
    count, height, width = masks.shape
    picture = torch.arange(count, device=draw.device)[:, None, None]
    rows = _places(count, height, draw)[:, :, None]
    columns = _places(count, width, draw)[:, None, :]
    return images[picture, rows, columns], masks[picture, rows, columns]


def _places(count: int, side: int, draw: Generator) -> Tensor:
    """Which row (or column) of the picture each of the `side` rows shows: count x side."""
    shift = torch.randint(-SHIFT_PX, SHIFT_PX + 1, (count, 1), generator=draw, device=draw.device)
    mirror = torch.rand((count, 1), generator=draw, device=draw.device) < 0.5
    place = (torch.arange(side, device=draw.device) + shift).clamp(0, side - 1)
    return torch.where(mirror, side - 1 - place, place)


def light(images: Tensor, draw: Generator, strength: float = 1.0) -> Tensor:
    """B x H x W x C of 0..255 -> float: exposure, gamma, tint and a gradient of the light."""
    count, height, width, channels = images.shape
    gamma = torch.exp(spread((count, 1, 1, 1), GAMMA * strength, draw))
    gain = spread((count, 1, 1, 1), GAIN * strength, draw) + spread((count, 1, 1, channels), TINT * strength, draw)
    down = torch.linspace(-0.5, 0.5, height, device=draw.device)[None, :, None, None]
    across = torch.linspace(-0.5, 0.5, width, device=draw.device)[None, None, :, None]
    slopes = [spread((count, 1, 1, 1), RAMP * strength, draw) for _ in range(2)]
    ramp = 1 + slopes[0] * down + slopes[1] * across
    return (images.float() / 255).pow_(gamma).mul_(torch.exp(gain) * ramp).mul_(255)


def noise(images: Tensor, draw: Generator) -> Tensor:
    """Sensor noise of another strength on every picture, then what a sensor can say: 0 to 255."""
    sigma = torch.rand((len(images), 1, 1, 1), generator=draw, device=draw.device) * NOISE_LEVELS
    return torch.addcmul(images, torch.randn(images.shape, generator=draw, device=draw.device), sigma).clamp_(
        0, 255
    )


def spread(shape: tuple[int, ...], most: float, draw: Generator) -> Tensor:
    """Even random numbers from -most to most."""
    return (torch.rand(shape, generator=draw, device=draw.device) * 2 - 1) * most


def glare(images: Tensor, draw: Generator) -> Tensor:
    """Float B x H x W x C of 0..255: darker corners, and one bright spot that a lamp leaves on a glossy part."""
    count, height, width, _ = images.shape
    y = torch.linspace(-1, 1, height, device=draw.device)[None, :, None, None]
    x = torch.linspace(-1, 1, width, device=draw.device)[None, None, :, None]
    corners = 1 - VIGNETTE * torch.rand((count, 1, 1, 1), generator=draw, device=draw.device) * (y * y + x * x) / 2
    place = [spread((count, 1, 1, 1), 1.0, draw) for _ in range(2)]
    wide = 0.15 + 0.35 * torch.rand((count, 1, 1, 1), generator=draw, device=draw.device)
    height_of = GLARE * torch.rand((count, 1, 1, 1), generator=draw, device=draw.device)
    spot = height_of * torch.exp(-((y - place[0]).square() + (x - place[1]).square()) / (2 * wide.square()))
    return images * corners + spot


def shot_noise(images: Tensor, draw: Generator) -> Tensor:
    """Float B x H x W x C of 0..255: noise that grows with the light, on top of the sensor's own."""
    sigma = SHOT * torch.rand((len(images), 1, 1, 1), generator=draw, device=draw.device)
    shot = torch.randn(images.shape, generator=draw, device=draw.device) * images.clamp_min(0).sqrt()
    return noise(images + sigma * shot, draw)
