"""Finished trainings of one command, each a file of weights: a command that was killed goes on after the last."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from training.pictures import Labelled
from training.results import make_folder, write
from training.student import Network

FOLDER = "models"  # beside training.json
WHOLE = "whole"  # learnt from all pictures
SCORES = "scores"
_IDENTITY = "kenpin.training"  # the key of a file's metadata


def of_fold(fold: int) -> str:
    """The name of the training that saw all pictures but this fold's."""
    return f"fold-{fold}"


def identity(data: Labelled, facts: Any) -> str:
    """Stands for all that trainings depend on: the pictures as the network sees them, what is known of each, `facts`
    (as JSON has them)."""
    digest = sha256(json.dumps(facts, sort_keys=True).encode())
    named = [(picture.name, picture.label, picture.group) for picture in data.pictures]
    digest.update(json.dumps(named).encode())
    for part in (data.images, data.cells, data.masked):
        digest.update(part.numpy().data)
    return digest.hexdigest()


class Kept:
    """The weights in `out`/models. What is kept of another `identity` counts for nothing and is replaced."""

    def __init__(self, out: Path, identity: str) -> None:
        self._folder = out / FOLDER
        make_folder(self._folder)
        self._identity = identity

    def restore(self, name: str, student: Network) -> bool:
        """Give `student` the weights of that training. False where it has not ended yet."""
        weights = self._read(name)
        if weights is not None:
            student.load_state_dict(weights)
        return weights is not None

    def keep(self, name: str, student: Network) -> None:
        """Keep the weights of a training that has ended. Raises ConfigError when they cannot be written."""
        tensors = {key: weight.detach().cpu().contiguous() for key, weight in student.state_dict().items()}
        self._write(name, tensors)

    def scores(self, name: str) -> NDArray[np.float32] | None:
        """What `keep_scores` kept, float32 N. None where nothing is."""
        kept = self._read(name)
        return None if kept is None else kept[SCORES].numpy()

    def keep_scores(self, name: str, scores: NDArray[np.float32]) -> None:
        """Keep only what models said, where they themselves are not needed. Raises ConfigError as `keep` does."""
        self._write(name, {SCORES: torch.from_numpy(scores)})

    def _read(self, name: str) -> dict[str, Tensor] | None:
        try:
            tensors, held = read_weights(self._folder / f"{name}.safetensors")
        except (OSError, SafetensorError):
            return None
        return tensors if held == self._identity else None

    def _write(self, name: str, tensors: dict[str, Tensor]) -> None:
        write(self._folder / f"{name}.safetensors", save(tensors, {_IDENTITY: self._identity}))


def read_weights(path: Path) -> tuple[dict[str, Tensor], str]:
    """The weights in a file, and the identity of their training. Raises OSError, SafetensorError."""
    with safe_open(path, "pt") as file:
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}, (file.metadata() or {}).get(_IDENTITY, "")
