"""The loop that a first script has: frame, crop, resize, colour, ONNX Runtime, threshold, relay."""

from __future__ import annotations

import cv2
import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from benchmarks.peers.bare_ort import session_of
from benchmarks.peers.loop import Step, Task

SPAN = "capture to order"
LIBRARIES = ("cv2", "onnxruntime")


def prepare(task: Task) -> Step:
    """It keeps no buffers, checks no scores, knows no parts and no deadlines, and records nothing."""
    cv2.setNumThreads(task.threads)
    session: onnxruntime.InferenceSession = session_of(task)

    def step(frame: NDArray[np.uint8]) -> float:
        x, y, width, height = task.roi or (0, 0, frame.shape[1], frame.shape[0])
        small = cv2.resize(frame[y : y + height, x : x + width], (task.width, task.height))
        colour = cv2.COLOR_BGR2RGB if task.channels == 3 else cv2.COLOR_BGR2GRAY
        image = cv2.cvtColor(small, colour).reshape(1, task.height, task.width, task.channels)
        score = float(session.run(["score"], {"image": image})[0][0])
        task.order(score >= task.threshold)
        return score

    return step
