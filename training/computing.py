"""On how many threads torch and OpenCV compute, and that they compute the same every time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch


@contextmanager
def computing(threads: int) -> Iterator[None]:
    """Torch and OpenCV on the given threads, and only algorithms that give the same result every time."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), cv2.getNumThreads()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    cv2.setNumThreads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        cv2.setNumThreads(before[2])
