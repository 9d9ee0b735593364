"""A GStreamer pipeline: its elements crop, resize and convert the colour, its appsink hands the result to ONNX Runtime.

Debian 12's GStreamer has no element that runs an ONNX model (`onnxinference` came later), so a script does that.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from benchmarks.peers.bare_ort import session_of
from benchmarks.peers.loop import PATIENCE_S, Pipelined, Task
from edge.capture.gst_memory import picture

gi: Any = import_module("gi")
gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
Gst: Any = import_module("gi.repository.Gst")
GstApp: Any = import_module("gi.repository.GstApp")
Gst.init(None)

SPAN = "capture to order"
LIBRARIES = ("onnxruntime",)
VERSIONS = {"gstreamer": Gst.version_string().split()[-1]}


def words_of(task: Task) -> str:
    """The pipeline as gst-launch would take it, but for its two ends."""
    high, wide = task.frames.shape[1:3]
    x, y, width, height = task.roi or (0, 0, wide, high)
    colour = "RGB" if task.channels == 3 else "GRAY8"
    given = f"video/x-raw,format=BGR,width={wide},height={high},framerate=0/1"
    wanted = f"video/x-raw,format={colour},width={task.width},height={task.height}"
    return (
        f"appsrc name=source caps={given} ! "
        f"videocrop left={x} top={y} right={wide - x - width} bottom={high - y - height} ! "
        f"videoscale n-threads={task.threads} ! videoconvert n-threads={task.threads} ! {wanted} ! "
        "appsink name=sink sync=false"
    )


def prepare(task: Task) -> Pipelined:
    """Frames lie in buffers of GStreamer before anything is timed, as a camera's source has them, and what the sink
    hands over is read in place, by Kenpin's own means: PyGObject's would copy it."""
    session: onnxruntime.InferenceSession = session_of(task)
    pipeline = Gst.parse_launch(words_of(task))
    source, sink = pipeline.get_by_name("source"), pipeline.get_by_name("sink")
    buffers = {_place(frame): Gst.Buffer.new_wrapped(frame.tobytes()) for frame in task.frames}
    shape = (1, task.height, task.width, task.channels)
    strides = (0, task.width * task.channels, task.channels, 1)  # rows of multiples of 8 pixels have no padding
    pipeline.set_state(Gst.State.PLAYING)

    def put(frame: NDArray[np.uint8]) -> None:
        source.push_buffer(buffers[_place(frame)])

    def take() -> float:
        sample = sink.try_pull_sample(round(PATIENCE_S * Gst.SECOND))
        if sample is None:
            raise RuntimeError("GStreamer gave no picture")
        image, _copies = picture(sample.get_buffer(), shape, 0, strides)
        score = float(session.run(["score"], {"image": image})[0][0])
        task.order(score >= task.threshold)
        return score

    return Pipelined(put, take)


def _place(frame: NDArray[np.uint8]) -> int:
    """Where a frame lies: which of the task's frames it is."""
    return int(frame.__array_interface__["data"][0])
