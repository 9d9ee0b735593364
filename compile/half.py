"""Puts the body of a student into FP16; normalisation and heads, whose sums need the range, stay in FP32."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compile.quantize import Recipe, float_nodes

HALF = "_half"


def halve(model: bytes) -> bytes:
    """The model with the same input and outputs, with casts where its body begins and ends.

    The body is what lies between the first and the last wide convolution, as for INT8.
    """
    made = onnx.load_model_from_string(model)
    for number, node in enumerate(made.graph.node):
        node.name = node.name or f"node_{number}"
    told = {output.name for output in made.graph.output}
    keep = {*float_nodes(made, Recipe("half"))}
    keep |= {node.name for node in made.graph.node if told.intersection(node.output)}
    _Body(made, keep).convert()
    del made.graph.value_info[:]
    return bytes(made.SerializeToString(deterministic=True))


class _Body:
    """The graph while its nodes are gone through in their order; `keep` are the nodes outside the body."""

    def __init__(self, model: onnx.ModelProto, keep: set[str]) -> None:
        self._graph = model.graph
        self._keep = keep
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._half: set[str] = set()  # tensors that are FP16
        self._cast: dict[str, str] = {}
        self._nodes: list[onnx.NodeProto] = []

    def convert(self) -> None:
        """Turn the body's weights and inputs into FP16, in place, with a cast wherever it meets the rest."""
        for node in list(self._graph.node):
            inside = node.name not in self._keep
            for place, name in enumerate(node.input):
                if name and not (node.op_type == "Resize" and place > 0):  # its scales are FP32 by definition
                    node.input[place] = self._as_half(name) if inside else self._as_float(name)
            if inside:
                self._half.update(node.output)
            self._nodes.append(node)
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        used = {name for node in self._nodes for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)

    def _as_half(self, name: str) -> str:
        if name in self._half:
            return name
        if name not in self._weights:
            return self._through_cast(name, TensorProto.FLOAT16)
        if self._weights[name].data_type != TensorProto.FLOAT:
            return name
        if name + HALF not in self._weights:
            values = numpy_helper.to_array(self._weights[name]).astype(np.float16)
            self._weights[name + HALF] = numpy_helper.from_array(values, name + HALF)
            self._graph.initializer.append(self._weights[name + HALF])
        return name + HALF

    def _as_float(self, name: str) -> str:
        return self._through_cast(name, TensorProto.FLOAT) if name in self._half else name

    def _through_cast(self, name: str, to: int) -> str:
        if name not in self._cast:
            self._cast[name] = f"{name}_cast"
            self._nodes.append(helper.make_node("Cast", [name], [self._cast[name]], f"cast_{name}", to=to))
        return self._cast[name]
