"""The encoder file: a backbone's weights as `edge-train pretrain` wrote them, with where they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from edge.errors import ConfigError
from edge.pixels import InputSpec
from training.backbones import BACKBONES, Stages, Start
from training.results import write

FACTS = "kenpin.encoder"  # the key of the file's metadata
POOL = "pool"  # the tensor of the fingerprints, beside the weights
FINGERPRINT = 32  # bytes


@dataclass(frozen=True, slots=True, eq=False)
class Encoder:
    """What an encoder file holds: how a network begins with it, and the pictures it was pretrained on.

    spec: their input geometry. pool: their fingerprints, as `calibration.leaks.fingerprint` gives them.
    """

    begin: Start
    spec: InputSpec
    pool: frozenset[str]


def write_encoder(path: Path, stages: Stages, spec: InputSpec, pool: Iterable[str], facts: dict[str, Any]) -> None:
    """Write the file, as `training.results.write` does. `pool`: fingerprints. `facts`: plain values, for readers."""
    backbone, public = stages.begin.backbone, stages.begin.public
    about = {"backbone": backbone, "public": public, "input": spec.to_dict(), "facts": facts}
    tensors = {name: weight.detach().cpu().contiguous() for name, weight in stages.state_dict().items()}
    prints = [[*bytes.fromhex(one)] for one in sorted(set(pool))]
    tensors[POOL] = torch.tensor(prints, dtype=torch.uint8).reshape(-1, FINGERPRINT)
    write(path, save(tensors, {FACTS: json.dumps(about, sort_keys=True)}))


def read_encoder(path: Path, channels: int) -> Encoder:
    """The encoder in `path` for networks of `channels`. Raises ConfigError for any other or damaged file."""
    tensors, about = _read(path)
    try:
        backbone, public, spec = about["backbone"], about["public"] is True, InputSpec.from_dict(about["input"])
        pool = _fingerprints(tensors.pop(POOL))
        facts = dict(about["facts"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} lacks {error}; pretrain again with this version") from error
    if backbone not in BACKBONES:
        raise ConfigError(
            f"{path} holds the backbone {backbone!r}, known are {', '.join(BACKBONES)}; "
            "use the version of Kenpin that wrote it"
        )
    if spec.channels != channels:
        kinds = {1: "grey pictures (--mono)", 3: "colour pictures"}
        raise ConfigError(
            f"{path} was pretrained on {kinds[spec.channels]}, this network takes {kinds[channels]}: "
            "pretrain and train alike"
        )
    told = {"encoder": {"file": path.name, "sha256": _sha256(path), "input": spec.to_dict()} | facts}
    begin = Start(backbone, public, tensors, told)
    _check_weights(path, begin, channels)
    return Encoder(begin, spec, pool)


def _fingerprints(pool: Tensor) -> frozenset[str]:
    if pool.dtype is not torch.uint8 or pool.ndim != 2 or pool.shape[1] != FINGERPRINT:
        raise ValueError("the fingerprints of its pictures")
    return frozenset(row.tobytes().hex() for row in pool.numpy())


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get(FACTS, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
    except OSError as error:
        reason = error.strerror or "no such file"
        raise ConfigError(f"cannot read {path}: {reason}; give the encoder.safetensors of a pretraining") from error
    except (SafetensorError, ValueError) as error:
        raise ConfigError(f"{path} is damaged or no encoder ({error}); give an encoder.safetensors") from error
    if not isinstance(about, dict):
        raise ConfigError(f"{path} was not written by edge-train pretrain; give its encoder.safetensors")
    return tensors, about


def _check_weights(path: Path, begin: Start, channels: int) -> None:
    """Every weight of the backbone is there, in its shape, and finite."""
    try:
        Stages(begin, channels)
    except RuntimeError as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise ConfigError(f"{path} does not fit {begin.backbone} ({first}); pretrain again") from error
    assert begin.weights is not None
    if not all(torch.isfinite(weight).all() for weight in begin.weights.values()):
        raise ConfigError(f"{path} holds weights that are no numbers; pretrain again")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
