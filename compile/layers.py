"""Which layers of a model an engine really runs in INT8, as the engine says: it joins and moves what it is given."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import onnx
import onnxruntime  # type: ignore[import-untyped]

COMPUTING = ("Conv", "Gemm", "MatMul", "FullyConnected")  # parts of the names of operators that multiply by weights


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution or matrix product: its name in the graph, what it is, and whether it runs in INT8."""

    name: str
    words: str
    int8: bool


def layers(model: bytes, target: str) -> list[Layer]:
    """The computing layers of a model as the engine of this target runs them here, in their order."""
    return TELLING[target](model)


def sentence(found: Sequence[Layer]) -> str:
    """How many of them run in INT8."""
    count = sum(layer.int8 for layer in found)
    return f"{count} of {len(found)} convolutions and matrix products in INT8"


def _told_by_ort(model: bytes) -> list[Layer]:
    """Of the graph that ONNX Runtime makes of the model, before it arranges weights for this processor."""
    with tempfile.TemporaryDirectory(prefix="kenpin-") as folder:
        made = Path(folder) / "made.onnx"
        settings = onnxruntime.SessionOptions()
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        settings.optimized_model_filepath = str(made)
        settings.log_severity_level = 4
        onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        graph = onnx.load(made).graph
    shapes = _shapes(graph)
    return [
        Layer(node.name, _words(node, shapes), "Integer" in node.op_type or node.op_type.startswith("QLinear"))
        for node in graph.node
        if any(word in node.op_type for word in COMPUTING)
    ]


def _told_by_ov(model: bytes) -> list[Layer]:
    """Of the graph that OpenVINO runs; it tells its layers from the last to the first."""
    engine = import_module("edge.infer.ov")
    core = engine.openvino.Core()
    compiled = core.compile_model(core.read_model(model), engine.DEVICE, engine.settings(1))
    graph = onnx.load_model_from_string(model).graph
    shapes, nodes = _shapes(graph), {node.name: node for node in graph.node}
    found = {}
    for operator in compiled.get_runtime_model().get_ops():
        told = {key: value.astype(str) for key, value in operator.get_rt_info().items()}
        if any(word in told.get("layerType", "") for word in COMPUTING):
            name = operator.get_friendly_name().partition("/")[0]
            words = _words(nodes[name], shapes) if name in nodes else told["layerType"]
            found[name] = Layer(name, words, told["runtimePrecision"] in ("i8", "u8"))
    order = {name: number for number, name in enumerate(nodes)}
    return sorted(found.values(), key=lambda layer: order.get(layer.name, len(order)))


def _shapes(graph: onnx.GraphProto) -> dict[str, Sequence[int]]:
    """Weights by name; where they are quantized, under the name of what they become."""
    shapes: dict[str, Sequence[int]] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in shapes:
            shapes[node.output[0]] = shapes[node.input[0]]
    return shapes


def _words(node: onnx.NodeProto, shapes: dict[str, Sequence[int]]) -> str:
    weights = next((shapes[name] for name in node.input if len(shapes.get(name, ())) > 1), ())
    if len(weights) == 4:
        groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
        kind = "depthwise" if groups > 1 else "convolution"
        return f"{kind} {weights[1] * groups} to {weights[0]}, {weights[2]} x {weights[3]}"
    return f"product with {' x '.join(map(str, weights))}" if weights else node.op_type


def _given(model: bytes) -> list[Layer]:
    """Of the graph that TensorRT is given: what it makes of it shows on the device only."""
    graph = onnx.load_model_from_string(model).graph
    shapes = _shapes(graph)
    pairs = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    return [
        Layer(node.name, _words(node, shapes), {*node.input[:2]} <= pairs)
        for node in graph.node
        if any(word in node.op_type for word in COMPUTING)
    ]


TELLING: dict[str, Callable[[bytes], list[Layer]]] = {"ort": _told_by_ort, "ov": _told_by_ov, "trt": _given}
