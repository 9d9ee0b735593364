"""roboflow's inference: its InferencePipeline gets frames from a source of ours, and the same network as its logic."""

from __future__ import annotations

import os
import threading
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import script
from benchmarks.peers.loop import PATIENCE_S, Pipelined, Task

# it asks for updates and sends figures over the network else
os.environ |= {"METRICS_ENABLED": "False", "TELEMETRY_OPT_OUT": "True", "DISABLE_VERSION_CHECK": "True"}
inference: Any = import_module("inference")
entities: Any = import_module("streamvision.camera.entities")

SPAN = "capture to order"
LIBRARIES = ("inference", "cv2", "onnxruntime")


class Source(entities.VideoFrameProducer):  # type: ignore[misc]
    """Hands out one frame when `step` has put one; ends with the main thread, for the pipeline's own are no daemons."""

    def __init__(self, frames: SimpleQueue[NDArray[np.uint8]], shape: tuple[int, ...]) -> None:
        self._frames = frames
        self._shape = shape
        self._frame: NDArray[np.uint8] | None = None

    def grab(self) -> bool:
        while threading.main_thread().is_alive():
            try:
                self._frame = self._frames.get(timeout=0.2)
            except Empty:
                continue
            return True
        return False

    def retrieve(self) -> tuple[bool, Any]:
        return self._frame is not None, self._frame

    def release(self) -> None:
        pass

    def isOpened(self) -> bool:  # noqa: N802 - its name
        return True

    def discover_source_properties(self) -> Any:
        """As of a file: every frame counts, none is dropped."""
        height, width = self._shape[:2]
        return entities.SourceProperties(width=width, height=height, total_frames=-1, is_file=True, fps=1_000.0)


def prepare(task: Task) -> Pipelined:
    """What the first script does to a frame, within the pipeline's threads and queues."""
    judge = script.prepare(task)
    frames: SimpleQueue[NDArray[np.uint8]] = SimpleQueue()
    scores: SimpleQueue[float] = SimpleQueue()
    pipeline = inference.InferencePipeline.init_with_custom_logic(
        video_reference=lambda: Source(frames, task.frames[0].shape),
        on_video_frame=lambda seen: [judge(each.image) for each in seen],
        on_prediction=lambda score, _frame: scores.put(score),
    )
    pipeline.start(use_main_thread=False)

    return Pipelined(frames.put, lambda: scores.get(timeout=PATIENCE_S))
