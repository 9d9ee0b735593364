"""A quantized student's twin in floats: what INT8 is compared with where only the INT8 student is kept."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper


def float_twin(model: bytes) -> bytes:
    """The same network with its weights as floats, and nothing rounded on the way; what rounding cut off, as ReLU6
    does, is cut off still."""
    loaded = onnx.load_from_string(model)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in loaded.graph.initializer}
    rounded: dict[str, onnx.NodeProto] = {}
    nodes, constants = [], []
    for node in loaded.graph.node:
        values = [stored.get(name) for name in node.input]
        if node.op_type == "QuantizeLinear":
            rounded[node.output[0]] = node
        elif node.op_type != "DequantizeLinear":
            nodes.append(node)
        elif values[0] is not None:
            constants.append(numpy_helper.from_array(_floats(*values, _axis(node)), node.output[0]))
        else:
            name, bounds = node.output[0], _bounds(*values[1:])
            names = [f"{name} {side}" for side in ("least", "most")]
            constants += [numpy_helper.from_array(bound, side) for bound, side in zip(bounds, names, strict=True)]
            nodes.append(helper.make_node("Clip", [rounded[node.input[0]].input[0], *names], [name]))
    used = {name for node in nodes for name in node.input}
    constants += [tensor for tensor in loaded.graph.initializer if tensor.name in used]
    del loaded.graph.node[:], loaded.graph.initializer[:]
    loaded.graph.node.extend(nodes)
    loaded.graph.initializer.extend(constants)
    onnx.checker.check_model(loaded)
    return loaded.SerializeToString()


def _axis(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)


def _bounds(scale: np.ndarray, zero: np.ndarray) -> list[np.ndarray]:
    """What the integers of `zero`'s kind can say at most and at least."""
    kind = np.iinfo(zero.dtype)
    return [np.array((end - int(zero)) * float(scale), np.float32) for end in (kind.min, kind.max)]


def _floats(values: np.ndarray, scale: np.ndarray, zero: np.ndarray, axis: int) -> np.ndarray:
    """values: int8 or int32; scale and zero: one number each, or one each along `axis`."""
    shape = [1] * values.ndim
    if scale.size > 1:
        shape[axis] = scale.size
    exact = values.astype(np.float32) - zero.astype(np.float32).reshape(shape)
    return np.asarray(exact * scale.reshape(shape), np.float32)
