"""ONNX Runtime alone: the network on an input that lies there already; no picture is prepared, no gate moves."""

from __future__ import annotations

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from benchmarks.peers.loop import Step, Task

SPAN = "engine"
LIBRARIES = ("onnxruntime",)


def session_of(task: Task) -> onnxruntime.InferenceSession:
    """A session with the task's threads and ONNX Runtime's other defaults."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task.threads
    return onnxruntime.InferenceSession(task.model, options, providers=["CPUExecutionProvider"])


def prepare(task: Task) -> Step:
    """The same input each time: its values cost nothing, so its score is nobody's."""
    session = session_of(task)
    image = np.full((1, task.height, task.width, task.channels), 114, np.uint8)

    def step(_frame: NDArray[np.uint8]) -> float:
        return float(session.run(["score"], {"image": image})[0][0])

    return step
