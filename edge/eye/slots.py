"""Fixed memory for the frames of one camera: each is copied once, because the camera reuses its own buffer."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray


class Slots:
    """`count` picture buffers, allocated when the camera's size is known. Any thread may free."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._images: list[NDArray[np.uint8]] = [np.empty(0, np.uint8) for _ in range(count)]
        self._free = deque(range(count))

    def put(self, image: NDArray[np.uint8]) -> int:
        """Copy the picture; returns its slot, -1 when all are taken."""
        try:
            slot = self._free.popleft()
        except IndexError:
            return -1
        if self._images[slot].shape != image.shape:
            self._images[slot] = np.empty(image.shape, np.uint8)
        np.copyto(self._images[slot], image)
        return slot

    def image(self, slot: int) -> NDArray[np.uint8]:
        return self._images[slot]

    def free(self, slot: int) -> None:
        """Give the slot back; -1 is nothing."""
        if slot >= 0:
            self._free.append(slot)

    @property
    def taken(self) -> int:
        return len(self._images) - len(self._free)
