"""How often the quantized tensors of a model are at the end of their range: what lies beyond it is clipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import numpy_helper

from edge.infer.contract import INPUT_NAME

LOOKED_AT = 32  # defects, and as many good pictures
OFTEN, FEWEST = 0.1, 3  # of the defects looked at: in so many a tensor is clipped often

Image = NDArray[np.uint8]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One quantized activation: its name in the student, the range (real values) that INT8 gives it, the `share` of its
    values in defects that are at an end of that range, and in how many of so many `defects` and `goods` any is.

    A lower end of 0 does not count: that is where a ReLU ends too.
    """

    name: str
    low: float
    high: float
    share: float
    in_defects: int
    in_goods: int
    defects: int
    goods: int

    @property
    def words(self) -> str:
        good = f"{self.in_goods} of {self.goods} good ones"
        return f"{self.name} in {self.in_defects} of {self.defects} defects and {good}"


def often(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Those that are clipped in many of the defects, the worst first."""
    many = [one for one in tensors if one.in_defects >= max(FEWEST, OFTEN * one.defects)]
    return sorted(many, key=lambda one: (-one.in_defects, -one.share))


def spread(items: Sequence[Item], most: int = LOOKED_AT) -> Sequence[Item]:
    """At most `most` of them, at equal distances."""
    return items[:: max(1, -(-len(items) // most))]


def saturation(model: bytes, defects: Sequence[Image], goods: Sequence[Image]) -> list[Tensor]:
    """Each quantized activation of a model on these inputs (uint8 1 x H x W x C), in the order of the graph; none for a
    model in float. Blocks for one inference of each input."""
    told = onnx.load_model_from_string(model)
    found = _coded(told.graph)
    if not found:
        return []
    session = _telling(told, [one.codes for one in found])
    of_defects = _at_ends(session, found, defects)
    of_goods = _at_ends(session, found, goods)
    return [
        Tensor(
            one.source,
            one.low,
            one.high,
            float(in_defects.mean()) if len(defects) else 0.0,
            int(np.count_nonzero(in_defects)),
            int(np.count_nonzero(in_goods)),
            len(defects),
            len(goods),
        )
        for one, in_defects, in_goods in zip(found, of_defects.T, of_goods.T, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Coded:
    """A quantized activation in the graph: the name of its codes, what they are made of, the codes of both ends
    (`bottom` None: that end is zero, where a ReLU ends too), and the real values of these."""

    codes: str
    source: str
    bottom: int | None
    top: int
    low: float
    high: float


def _coded(graph: onnx.GraphProto) -> list[_Coded]:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = []
    for node in graph.node:
        if node.op_type != "QuantizeLinear" or node.input[0] in constants:
            continue
        if not constants.keys() >= {*node.input[1:]} or len(node.input) < 3 or constants[node.input[1]].size > 1:
            continue  # not as `compile.quantize` writes them: a network from elsewhere
        scale, zero = constants[node.input[1]].item(), constants[node.input[2]]
        top = int(np.iinfo(zero.dtype).max)
        bottom = -top if zero.dtype == np.int8 else 0  # symmetric ranges leave the lowest code of int8 unused
        low, high = ((code - zero.item()) * scale for code in (bottom, top))
        found.append(_Coded(node.output[0], node.input[0], None if low == 0 else bottom, top, low, high))
    return found


def _telling(model: onnx.ModelProto, names: Sequence[str]) -> onnxruntime.InferenceSession:
    """A session that gives these tensors instead of the model's outputs."""
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])


def _at_ends(
    session: onnxruntime.InferenceSession, found: Sequence[_Coded], inputs: Sequence[Image]
) -> NDArray[np.float64]:
    """For each input and tensor the share of its values that are at an end."""
    shares = np.zeros((len(inputs), len(found)))
    for row, image in enumerate(inputs):
        for place, (codes, one) in enumerate(zip(session.run(None, {INPUT_NAME: image}), found, strict=True)):
            ends = np.count_nonzero(codes >= one.top)
            if one.bottom is not None:
                ends += np.count_nonzero(codes <= one.bottom)
            shares[row, place] = ends / codes.size
    return shares
