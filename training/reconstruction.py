"""What a masked cell is asked for: normalised pixels and edges at three scales, less where only noise is to be seen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

SCALES = (4, 8, 16)  # pixels of a patch; each counts alike, so a scratch of three pixels counts as much as a stain
SOFT = 0.03  # of the Charbonnier loss: below it an error counts squared
LEAST_NOISE = 1.0  # grey levels: what quantization alone gives
LEAST_SHARE = 0.25  # keeps the weight of a patch without noise finite
MAD = 1.4826  # a median of absolute deviations times this is a normal distribution's sigma
LAPLACIAN = 20**0.5  # how much stronger the Laplacian's noise is than the picture's


def reconstruction(told: Sequence[Tensor], images: Tensor, keep: Tensor) -> Tensor:
    """The loss over what `keep` (B x 1 x H x W) hides of float B x H x W x C pictures of 0..255.

    told: for each scale B x (scale^2 x (C + 1)) x H/scale x W/scale. Patches that a mask hides in part do not count.
    """
    planes = images.permute(0, 3, 1, 2)
    noise = noise_of(images)
    target = torch.cat((planes, _edges(planes)), 1)
    return torch.stack(
        [_at(scale, levels, target, keep, noise) for scale, levels in zip(SCALES, told, strict=True)]
    ).mean()


def noise_of(images: Tensor) -> Tensor:
    """The sensor noise of float B x H x W x C pictures in their own units: B. Edges are rare, so the median skips them.

    J. Immerkaer, "Fast noise variance estimation", 1996, with the median for the mean.
    """
    grey = images.mean(3)[:, None]
    kernel = grey.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    apart = F.conv2d(grey, kernel).abs().flatten(1)
    colours = images.shape[3] ** 0.5  # the mean of the colours has less noise than each
    noise: Tensor = (apart.median(1).values * MAD / LAPLACIAN * colours).clamp_min(LEAST_NOISE)
    return noise


def _edges(planes: Tensor) -> Tensor:
    """The gradient's length: B x 1 x H x W."""
    grey = F.pad(planes.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = (grey[:, :, 1:-1, 2:] - grey[:, :, 1:-1, :-2]) / 2
    down = (grey[:, :, 2:, 1:-1] - grey[:, :, :-2, 1:-1]) / 2
    return (across.square() + down.square() + 1e-6).sqrt()


def _at(scale: int, told: Tensor, target: Tensor, keep: Tensor, noise: Tensor) -> Tensor:
    height, width = (side // scale * scale for side in target.shape[2:])
    patches = _patches(F.pixel_unshuffle(target[:, :, :height, :width], scale), target.shape[1])
    hidden = F.max_pool2d(keep[:, :, :height, :width], scale)[:, 0] == 0
    spread = patches.var(2, keepdim=True, correction=0)
    floor = noise.square()[:, None, None, None, None]
    wanted = (patches - patches.mean(2, keepdim=True)) / (spread + floor).sqrt()
    answered = _patches(told.float()[:, :, : height // scale, : width // scale], target.shape[1])
    loss = ((answered - wanted).square() + SOFT**2).sqrt().mean((1, 2)) - SOFT
    # the noise in units of the target: 1 / (sigma^2 + eps)
    share = (floor / (spread + floor))[:, :, 0].mean(1)
    weight = hidden / (share + LEAST_SHARE)
    mean: Tensor = (loss * weight).sum() / weight.sum().clamp_min(1e-6)
    return mean


def _patches(planes: Tensor, channels: int) -> Tensor:
    """B x channels x pixels x h x w of B x (channels x pixels) x h x w."""
    count, _, height, width = planes.shape
    return planes.reshape(count, channels, -1, height, width)
