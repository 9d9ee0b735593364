"""Hands frames from the thread that grabs them to the one that reads them: bounded, the oldest gives way."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.errors import CameraError

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Grabbed:
    """One picture, when it arrived, and its number: how many were put before it."""

    image: Image
    at_ns: int
    number: int


class NewestFrames:
    """Keeps the newest `depth` pictures; one thread puts, one takes. Their memory goes round: none is made for each."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._changed = threading.Condition()
        self._waiting: deque[Grabbed] = deque()
        self._free: list[Image] = []
        self._given: Image | None = None
        self._put = 0
        self._ended = ""

    def buffer(self) -> Image | None:
        """A picture's memory that nobody reads any more; None while there is none."""
        with self._changed:
            return self._free.pop() if self._free else None

    def put(self, image: Image, at_ns: int) -> None:
        """Offer a picture; never waits. When `depth` wait already, the oldest is lost."""
        with self._changed:
            if len(self._waiting) == self._depth:
                self._free.append(self._waiting.popleft().image)
            self._waiting.append(Grabbed(image, at_ns, self._put))
            self._put += 1
            self._changed.notify()

    def end(self, why: str) -> None:
        """No more pictures will come; the first cause is kept."""
        with self._changed:
            self._ended = self._ended or why
            self._changed.notify()

    def take(self, timeout_s: float) -> Grabbed | None:
        """The oldest picture that waits, None when none came in time; the one taken before goes back.

        Raises CameraError with the cause of the end once nothing waits.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended, timeout_s)
            if not self._waiting:
                if self._ended:
                    raise CameraError(self._ended)
                return None
            if self._given is not None:
                self._free.append(self._given)
            taken = self._waiting.popleft()
            self._given = taken.image
            return taken
