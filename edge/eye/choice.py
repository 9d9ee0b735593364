"""Which of a camera's pictures are worth keeping: not too often, and only where something has changed; pure."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

CELLS = 32  # pictures are compared in so many cells each way
DIFFERS = 0.15  # a cell has changed when its share of the picture's light is so much another

Image = NDArray[np.uint8]


class Choice:
    """The choice from one camera's frames, in their order. `every_ns`: at most one in this time (0: all).
    `changed`: at least this share of the picture must differ from the last that was kept (0: none). What changes
    the light of the whole picture is no change of it."""

    def __init__(self, every_ns: int, changed: float) -> None:
        self._every_ns = every_ns
        self._changed = changed
        self._next_ns: int | None = None
        self._kept: NDArray[np.float32] | None = None

    def wants(self, image: Image, captured_ns: int) -> bool:
        """Whether to keep this picture; it then counts as kept. image: uint8 H x W x 3 or H x W."""
        if self._next_ns is not None and captured_ns < self._next_ns:
            return False
        if self._changed and not self._is_new(image):
            return False
        if self._every_ns:
            self._next_ns = captured_ns + self._every_ns
        return True

    def _is_new(self, image: Image) -> bool:
        cells = _cells(image)
        if self._kept is not None and cells.shape == self._kept.shape:
            differing = np.abs(cells - self._kept) > DIFFERS * np.maximum(cells, self._kept)
            if differing.any(axis=-1).mean() < self._changed:
                return False
        self._kept = cells
        return True


def _cells(image: Image) -> NDArray[np.float32]:
    """The picture as CELLS x CELLS x channels of mean levels, as shares of the whole picture's mean."""
    small = cv2.resize(image, (CELLS, CELLS), interpolation=cv2.INTER_AREA).astype(np.float32) + 1.0
    cells = small.reshape(CELLS, CELLS, -1)
    shares: NDArray[np.float32] = cells / cells.mean(axis=(0, 1))
    return shares
