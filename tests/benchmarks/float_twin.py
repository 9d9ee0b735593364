"""A quantized student's twin in 32-bit floats: what the student's own build compares INT8 with, where only INT8 is kept."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper


def float_twin(model: bytes) -> bytes:
    """The same network with its weights as floats and nothing rounded on the way."""
    loaded = onnx.load_from_string(model)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in loaded.graph.initializer}
    rounded = {node.output[0]: node.input[0] for node in loaded.graph.node if node.op_type == "QuantizeLinear"}
    same: dict[str, str] = {}
    kept = []
    for node in loaded.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:
            values = _floats(*(stored[name] for name in node.input), _axis(node))
            loaded.graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        elif node.op_type == "DequantizeLinear":
            same[node.output[0]] = same.get(rounded[node.input[0]], rounded[node.input[0]])
        elif node.op_type != "QuantizeLinear":
            node.input[:] = [same.get(name, name) for name in node.input]
            kept.append(node)
    del loaded.graph.node[:]
    loaded.graph.node.extend(kept)
    onnx.checker.check_model(loaded)
    return loaded.SerializeToString()


def _axis(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)


def _floats(values: np.ndarray, scale: np.ndarray, zero: np.ndarray, axis: int) -> np.ndarray:
    """values: int8 or int32; scale and zero: one number, or one along `axis`."""
    shape = [1] * values.ndim
    if scale.size > 1:
        shape[axis] = scale.size
    exact = values.astype(np.float32) - zero.astype(np.float32).reshape(shape if zero.size > 1 else ())
    return (exact * (scale.reshape(shape) if scale.size > 1 else scale)).astype(np.float32)
