"""Students small enough for tests that see something: how far a picture's brightest spot stands out of grey."""

import json
from hashlib import sha256

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.pixels import InputSpec

SPEC = InputSpec(64, 64)
GREY = 100


class Graph:
    """An ONNX graph under construction."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def weight(self, name, values, dtype=np.float32):
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(self, operator, inputs, output, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [output], name=f"n_{output}", **attributes))
        return output

    def conv(self, tensor, name, weights, bias, **attributes):
        inputs = [tensor, self.weight(f"{name}_w", weights), self.weight(f"{name}_b", bias)]
        return self.node("Conv", inputs, name, **attributes)


def averaging(out, channels, side):
    """Weights whose every output is the mean over channels and window."""
    return np.full((out, channels, side, side), 1 / (channels * side * side))


def body(graph, spec, channels, gain=1.0, first=None):
    """Three strided and two plain convolutions: how far the mean of each 8 x 8 cell is above (or below) grey.

    `first(graph, tensor)` may put something behind the first.
    """
    image = graph.node("Cast", ["image"], "float", to=TensorProto.FLOAT)
    lifted = graph.node("Sub", [image, graph.weight("grey", GREY)], "lifted")
    scaled = graph.node("Mul", [lifted, graph.weight("scale", gain / 128)], "scaled")
    planes = graph.node("Transpose", [scaled], "planes", perm=[0, 3, 1, 2])
    size = spec.channels
    tensor = planes
    for step in range(3):
        weights = averaging(channels, size, 2)
        conv = graph.conv(tensor, f"c{step}", weights, np.zeros(channels), strides=[2, 2], kernel_shape=[2, 2])
        tensor, size = graph.node("Relu", [conv], f"r{step}"), channels
        if step == 0 and first is not None:
            tensor = first(graph, tensor)
    for step in range(3, 5):
        conv = graph.conv(tensor, f"c{step}", averaging(channels, size, 1), np.zeros(channels), kernel_shape=[1, 1])
        tensor = graph.node("Relu", [conv], f"r{step}")
    return tensor


def heads(graph, tensor, channels, steep, middle):
    """A heat map, its maximum through a steep sigmoid, and an embedding."""
    peak = graph.conv(tensor, "peak", averaging(1, channels, 1), np.zeros(1), kernel_shape=[1, 1])
    flat = graph.node("Squeeze", [peak, graph.weight("axis", [1], np.int64)], "flat")
    moved = graph.node("Sub", [flat, graph.weight("middle", middle)], "moved")
    logits = graph.node("Mul", [moved, graph.weight("steep", steep)], "logits")
    heat = graph.node("Sigmoid", [logits], "heat_map")
    graph.node("ReduceMax", [heat], "score", axes=[1, 2], keepdims=0)
    pooled = graph.node("GlobalAveragePool", [tensor], "pooled")
    graph.node("Flatten", [pooled], "embedding")


def student(spec=SPEC, channels=16, gain=1.0, steep=20.0, middle=0.3, opset=17, ir=9, trouble=None, first=None):
    """ONNX bytes of a student whose score is 0.5 where the brightest cell is `middle` * 128 above grey.

    `trouble(graph, tensor)` may put something between body and heads, `first` behind the first convolution.
    """
    graph = Graph()
    tensor = body(graph, spec, channels, gain, first)
    if trouble is not None:
        tensor = trouble(graph, tensor)
    heads(graph, tensor, channels, steep, middle * gain)
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, spec.shape())
    outputs = {"score": (1,), "heat_map": (1, spec.height // 8, spec.width // 8), "embedding": (1, channels)}
    told = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
    made = helper.make_graph(graph.nodes, "student", [image], told, graph.weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    helper.set_model_props(model, {"kenpin.input": spec.to_json(), "kenpin.classes": json.dumps(["spot"])})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def spoiling(graph, tensor):
    """An outlier channel before a wide convolution: INT8's one range for all channels leaves nothing of the others.

    Channel 0 becomes huge wherever the picture is bright at all, and the next convolution ignores it.
    """
    size = 16
    widen = np.eye(size)[:, :, None, None].astype(np.float32)
    widen[0] *= 3_000
    huge = graph.conv(tensor, "huge", widen, np.zeros(size), kernel_shape=[1, 1])
    keep = np.eye(size)[:, :, None, None].astype(np.float32)
    keep[0, 0] = 0
    keep[0, 1] = 1
    return graph.node("Relu", [graph.conv(huge, "kept", keep, np.zeros(size), kernel_shape=[1, 1])], "kept_r")


def picture(rng, spot=0, size=96):
    """A grey picture with noise and, with `spot` > 0, a square so much brighter."""
    image = rng.normal(GREY, 4, (size, size, 3))
    if spot:
        y, x = rng.integers(8, size - 40, 2)
        image[y : y + 30, x : x + 30] += spot
    return np.clip(image, 0, 255).astype(np.uint8)


def digest(data):
    """SHA-256 in hex."""
    return sha256(data).hexdigest()
