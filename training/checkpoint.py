"""What lets a killed training go on: its whole state in one file, replaced now and then."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from edge.clock import SECOND, Clock
from edge.errors import ConfigError
from training.results import write


class Checkpoints:
    """The checkpoint of one training in `path`, written at most every `every_s` seconds.

    `identity` stands for all that the result depends on: another training's checkpoint is never gone on with.
    """

    def __init__(self, path: Path, identity: str, every_s: float, clock: Clock) -> None:
        self._path = path
        self._identity = identity
        self._every_ns = round(every_s * SECOND)
        self._clock = clock
        self._written_ns = clock.now_ns()

    def read(self) -> Mapping[str, Any] | None:
        """The state to go on from; None without one. Raises ConfigError for another training's or a damaged one."""
        if not self._path.is_file():
            return None
        try:
            held = torch.load(self._path, map_location="cpu", weights_only=True)
            identity, state = held["identity"], held["state"]
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
            raise ConfigError(f"{self._path} is damaged: remove it to begin again") from error
        if identity != self._identity:
            raise ConfigError(
                f"{self._path} belongs to a training with other pictures, settings or versions: "
                "use the same ones to finish it, choose another folder with -o, or remove it"
            )
        found: Mapping[str, Any] = state
        return found

    def write_when_due(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Replace the checkpoint where the last is old enough."""
        if self._clock.now_ns() - self._written_ns < self._every_ns:
            return
        buffer = io.BytesIO()
        torch.save({"identity": self._identity, "state": dict(state())}, buffer)
        write(self._path, buffer.getvalue())
        self._written_ns = self._clock.now_ns()

    def remove(self) -> None:
        """There is nothing to go on with any more."""
        self._path.unlink(missing_ok=True)
