"""OpenVINO alone: the network on an input that lies there already; no picture is prepared, no gate moves."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.loop import Step, Task

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # else importing it reports over the network
openvino: Any = import_module("openvino")

SPAN = "engine"
LIBRARIES = ("openvino",)


def prepare(task: Task) -> Step:
    """With 32-bit sums, as Kenpin asks for them: OpenVINO's own default takes bfloat16 where the processor has it."""
    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": task.threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(core.read_model(task.model), "CPU", settings).create_infer_request()
    image = np.full((1, task.height, task.width, task.channels), 114, np.uint8)

    def step(_frame: NDArray[np.uint8]) -> float:
        request.infer({"image": image}, share_inputs=True)
        return float(request.get_tensor("score").data[0])

    return step
