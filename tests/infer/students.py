"""Small networks that keep, or break, the student's contract."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.pixels import STEP, InputSpec

EMBEDDING = 5
SPEC = InputSpec(64, 48)


def student(
    spec: InputSpec = SPEC,
    classes: Sequence[str] = (),
    *,
    score: float | None = None,
    input_name: str = "image",
    leave_out: Sequence[str] = (),
    shapes: Mapping[str, Sequence[int]] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """A student whose score is the picture's mean / 255 (or `score`), with a heat map of 8 x 8 means.

    The embedding is the score times 1..EMBEDDING, class score k is the score times k + 1. The rest breaks it: names
    to leave out, the shapes that outputs are reshaped to, metadata that replaces the right ones.
    """
    wanted: dict[str, Sequence[int]] = {
        "score": [1],
        "heat_map": [1, spec.height // STEP, spec.width // STEP],
        "embedding": [1, EMBEDDING],
    }
    if len(classes) >= 2:
        wanted["class_scores"] = [1, len(classes)]
    wanted.update(shapes or {})
    nodes, weights = _graph(spec, classes, score, input_name, wanted)
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in wanted.items()
        if name not in leave_out
    ]
    image = helper.make_tensor_value_info(input_name, TensorProto.UINT8, spec.shape())
    graph = helper.make_graph(nodes, "student", [image], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    right = {"kenpin.input": spec.to_json(), "kenpin.classes": json.dumps(list(classes))}
    helper.set_model_props(model, right if metadata is None else dict(metadata))
    return model.SerializeToString()


def _graph(
    spec: InputSpec,
    classes: Sequence[str],
    score: float | None,
    input_name: str,
    wanted: Mapping[str, Sequence[int]],
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def constant(name: str, values: Any) -> str:
        weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))

    def shaped(source: str, name: str) -> None:
        node("Reshape", [source, constant(f"{name}_shape", np.array(wanted[name], np.int64))], name)

    node("Cast", [input_name], "floats", to=TensorProto.FLOAT)
    node("Div", ["floats", constant("full", np.float32(255))], "shares")
    node("Transpose", ["shares"], "planes", perm=[0, 3, 1, 2])
    node("AveragePool", ["planes"], "cells", kernel_shape=[STEP, STEP], strides=[STEP, STEP])
    node("ReduceMean", ["cells"], "map", axes=[1], keepdims=0)
    node("ReduceMean", ["shares"], "mean", axes=[0, 1, 2, 3], keepdims=0)
    value = "mean"
    if score is not None:
        node("Mul", ["mean", constant("nothing", np.float32(0))], "zero")
        node("Add", ["zero", constant("fixed", np.float32(score))], "scored")
        value = "scored"
    steps = np.arange(1, EMBEDDING + 1, dtype=np.float32)
    node("Mul", [value, constant("steps", steps)], "direction")
    shaped(value, "score")
    shaped("map", "heat_map")
    shaped("direction", "embedding")
    if "class_scores" in wanted:
        node("Mul", [value, constant("ranks", np.arange(1, len(classes) + 1, dtype=np.float32))], "ranked")
        shaped("ranked", "class_scores")
    return nodes, weights


def with_external_weights(model: bytes, location: str) -> bytes:
    """The same student, its first weight moved to the file `location`."""
    changed = onnx.load_from_string(model)
    weight = changed.graph.initializer[0]
    size = len(weight.raw_data)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("length", str(size))):
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    return changed.SerializeToString()
