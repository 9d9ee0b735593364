"""anomalib's OpenVINO inferencer with the same network, behind the float input and under the names that it expects."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.loop import Step, Task

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # else importing it reports over the network
onnx: Any = import_module("onnx")
deploy: Any = import_module("anomalib.deploy")

SPAN = "capture to order"
LIBRARIES = ("anomalib", "openvino", "cv2")


def as_it_expects(model: bytes) -> bytes:
    """The student behind float32 1 x 3 x H x W of 0 to 1, with the outputs `pred_score` and `anomaly_map`."""
    made, helper = onnx.load_model_from_string(model), onnx.helper
    graph = made.graph
    _, height, width, channels = (side.dim_value for side in graph.input[0].type.tensor_type.shape.dim)
    number = helper.make_tensor("levels", onnx.TensorProto.FLOAT, [], [255.0])
    before = [
        helper.make_node("Mul", ["input", "levels"], ["scaled"]),
        helper.make_node("Round", ["scaled"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["bytes"], to=onnx.TensorProto.UINT8),
        helper.make_node("Transpose", ["bytes"], ["image"], perm=[0, 2, 3, 1]),
    ]
    named = {"score": "pred_score", "heat_map": "anomaly_map"}
    outputs = [output for output in graph.output if output.name in named]
    for output in outputs:
        output.name = named[output.name]
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [named.get(name, name) for name in names]
    image = helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, channels, height, width])
    weights = [*graph.initializer, number]
    whole = helper.make_graph([*before, *graph.node], "student", [image], outputs, weights)
    return bytes(
        helper.make_model(whole, opset_imports=made.opset_import, ir_version=made.ir_version).SerializeToString()
    )


def prepare(task: Task) -> Step:
    """Crop, resize and colour are ours to do; the rest is one call of `predict`."""
    cv2.setNumThreads(task.threads)
    folder = Path(tempfile.mkdtemp(prefix="kenpin-peer-"))
    atexit.register(shutil.rmtree, folder)
    os.chdir(folder)  # it makes a cache folder wherever it is
    (folder / "student.onnx").write_bytes(as_it_expects(task.model))
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": task.threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    inferencer = deploy.OpenVINOInferencer(folder / "student.onnx", device="CPU", config=settings)

    def step(frame: NDArray[np.uint8]) -> float:
        x, y, width, height = task.roi or (0, 0, frame.shape[1], frame.shape[0])
        small = cv2.resize(frame[y : y + height, x : x + width], (task.width, task.height))
        told = inferencer.predict(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
        score = float(np.asarray(told.pred_score).flat[0])
        task.order(score >= task.threshold)
        return score

    return step
