"""The backbones a student can have, by name, and the weights each can begin with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import timm
import torch
from torch import Tensor, nn

from edge.errors import ConfigError
from training.weights import lite0, to_mono

STAGES = ("early", "fine", "coarse", "deep", "top")


@dataclass(frozen=True, slots=True)
class Backbone:
    """A convolutional network of timm, cut at strides 4, 8, 16 and 32, with so many `early` to `deep` channels there.

    `top` are those of what stands above the deep stage, 0 with nothing there.

    Each stage lists the parts of timm's network it is made of. A pixel p of 0..255 goes in as (p - mean) * scale.
    `public`: its ImageNet weights are installed.
    """

    timm: str
    stages: tuple[tuple[str, ...], ...]
    early: int
    fine: int
    coarse: int
    deep: int
    top: int
    mean: float
    scale: float
    public: bool

    @property
    def climbed(self) -> tuple[int, ...]:
        """The channels of every stage but the early one."""
        return tuple(width for width in (self.fine, self.coarse, self.deep, self.top) if width)


_RESNET = (("conv1", "bn1", "act1", "maxpool", "layer1"), ("layer2",), ("layer3",), ("layer4",), ())

BACKBONES: Mapping[str, Backbone] = {
    "lite0": Backbone(
        "tf_efficientnet_lite0",
        (
            ("conv_stem", "bn1", "blocks.0", "blocks.1"), ("blocks.2",), ("blocks.3", "blocks.4"),
            ("blocks.5", "blocks.6"), ("conv_head", "bn2"),
        ),
        24, 40, 112, 320, 1_280, 127.0, 1 / 128, public=True,
    ),
    # the mean and the spread of ImageNet's grey values
    "resnet18": Backbone("resnet18", _RESNET, 64, 128, 256, 512, 0, 114.0, 1 / 58, public=False),
    "resnet10t": Backbone("resnet10t", _RESNET, 64, 128, 256, 512, 0, 114.0, 1 / 58, public=False),
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Which backbone a network has and what it begins with: `weights` by stage, else public ones or random ones.

    `weights` are named as `Stages` names them. `public`: they are the public weights, or were adapted from them; then
    the early stage, which holds for any picture, is not trained. Both unset: from scratch. `told` is what a report
    says of it.
    """

    backbone: str = "lite0"
    public: bool = True
    weights: Mapping[str, Tensor] | None = None
    told: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        known = known_backbone(self.backbone)
        if self.public and self.weights is None and not known.public:
            raise ConfigError(
                f"{self.backbone} has no public weights: begin from scratch, or pretrain it on your pictures"
            )

    @property
    def scratch(self) -> bool:
        """Whether it begins with random weights."""
        return not self.public and self.weights is None

    def identity(self) -> str:
        """Stands for the weights, hex; of public ones for which they are."""
        digest = sha256(json.dumps([self.backbone, self.public]).encode())
        for name, weight in sorted((self.weights or {}).items()):
            digest.update(name.encode() + weight.numpy().tobytes())
        return digest.hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """What a report says of it."""
        kind = "public" if self.public else "scratch"
        return {"backbone": self.backbone, "weights": kind} | dict(self.told or {})


def known_backbone(name: str) -> Backbone:
    """The backbone of that name. Raises ConfigError that lists the names."""
    if name not in BACKBONES:
        raise ConfigError(f"no backbone {name!r}: use one of {', '.join(BACKBONES)}")
    return BACKBONES[name]


def start(backbone: str) -> Start:
    """What a network of that backbone begins with where nothing else is given: public weights if there are any."""
    return Start(backbone, public=known_backbone(backbone).public)


class Stages(nn.Module):
    """The stages of a backbone: `early` to stride 4, `fine` to 8, `coarse` to 16, `deep` to 32, and its `top`.

    From scratch, batch norms learn their statistics in train mode. Where weights were given, those statistics are
    the weights' own and stay: a few hundred pictures would only blur them.
    """

    def __init__(self, begin: Start, channels: int) -> None:
        super().__init__()
        self.begin = begin
        self.kind = known_backbone(begin.backbone)
        whole = _whole(begin, self.kind, channels)
        self.early, self.fine, self.coarse, self.deep, self.top = (
            _stage(whole, names) for names in self.kind.stages
        )
        if begin.weights is not None:
            self.load_state_dict(dict(begin.weights))
        if begin.public:
            self.early.requires_grad_(False)

    def train(self, mode: bool = True) -> Stages:
        """Train mode is for batch norms without statistics of their own."""
        return super().train(mode and self.begin.scratch)

    def see(self, images: Tensor) -> Tensor:
        """The early features of B x H x W x C pictures (uint8, or float of the same range): B x early x H/4 x W/4."""
        pixels = (images.float() - self.kind.mean) * self.kind.scale
        features: Tensor = self.early(pixels.permute(0, 3, 1, 2))
        return features

    def climb(self, seen: Tensor) -> tuple[Tensor, ...]:
        """The maps of all other stages, finest first, of what `see` returned."""
        fine = self.fine(seen)
        coarse = self.coarse(fine)
        deep = self.deep(coarse)
        return (fine, coarse, deep, self.top(deep)) if self.kind.top else (fine, coarse, deep)


def pool(*maps: Tensor) -> Tensor:
    """The average and the maximum of every channel of each map, one after the other: B x D."""
    return torch.cat([value for one in maps for value in (one.mean((2, 3)), one.amax((2, 3)))], 1)


def _whole(begin: Start, kind: Backbone, channels: int) -> nn.Module:
    if begin.public and begin.weights is None:
        return lite0(channels)
    whole: nn.Module = timm.create_model(kind.timm)
    if channels == 1:
        to_mono(whole)
    return whole


def _stage(whole: nn.Module, names: tuple[str, ...]) -> nn.Sequential:
    return nn.Sequential(*(whole.get_submodule(name) for name in names))
