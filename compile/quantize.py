"""Puts a student into INT8: explicit QuantizeLinear and DequantizeLinear pairs, heads in float.

For x86 CPUs activations are uint8, weights int8 per channel: what VNNI multiplies natively. Weights take 7 of the 8
bits: processors with AVX2 alone add pairs of products in 16 bits, which 8 bits overflow. So every x86 gives the same
scores. TensorRT takes int8 around zero only, no quantized biases, and no pair between a convolution and what it joins
to it. Ranges are the extremes over the calibration pictures: clipping tails would clip the peaks that defects make.
Only where that gives too coarse steps are tails clipped, by entropy or percentile.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (  # type: ignore[import-untyped]
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from compile.ranges import QUANTIZED, Extremes, measure, prepare, quiet
from edge.infer.contract import INPUT_NAME

FEWEST_CHANNELS = 16  # a convolution with fewer outputs is a head, or not worth it
FIRST_SHARE = 0.08  # of the multiplications: what the first convolutions may take in float, beyond the very first
EXTREMES = "extremes"
# for histograms: at 256 x 256 that is 1.3 GB of an EfficientNet-Lite0's tensors
FEWEST_READ, MOST_READ, PIXELS_READ = 8, 64, 1_000_000
ACTIVATIONS = ("Clip", "Relu")
JOINED = (
    "Conv",
    "Add",
)  # what TensorRT is given in INT8: it joins activations, and moves pairs over pooling, by itself

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to quantize; `words` tell it in the report.

    So many of the last wide convolutions stay in float, at most so many of the first (see FIRST_SHARE), and those of
    the names `float_also`. The first see the weakest contrasts and the fewest channels: on EfficientNet-Lite0 three of
    them in float take a third of the error for nothing. `ranges`: a key of RANGES.
    """

    words: str
    float_first: int = 0
    float_last: int = 0
    ranges: str = EXTREMES
    float_also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """How the pairs look that a kind of engine takes."""

    operators: tuple[str, ...]
    activations: QuantType
    seven_bits: bool
    options: Mapping[str, Any]


X86 = Shape(QUANTIZED, QuantType.QUInt8, True, {})
TENSORRT = Shape(
    JOINED,
    QuantType.QInt8,
    False,
    {
        "ActivationSymmetric": True,
        "WeightSymmetric": True,
        "QuantizeBias": False,
        "AddQDQPairToWeight": True,
        "OpTypesToExcludeOutputQuantization": list(JOINED),
    },
)

PERCENTILE = 99.99  # of the values of a tensor, at both ends
RANGES = {
    EXTREMES: CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}


# tried in turn until the calibration pictures keep their verdicts
RECIPES = (
    Recipe("first convolutions and heads in float, the others in INT8", 3),
    Recipe("first and last two convolutions and heads in float, the others in INT8", 3, 2),
    Recipe("first convolutions and heads in float, ranges by entropy", 3, ranges="entropy"),
    Recipe(f"first convolutions and heads in float, ranges at {PERCENTILE} %", 3, ranges="percentile"),
)


def quantize(
    model: bytes, inputs: Sequence[Image], recipe: Recipe, shape: Shape = X86, extremes: Extremes | None = None
) -> bytes:
    """The INT8 model for one recipe; same input and outputs, same metadata, standard operators only.

    inputs: uint8 1 x H x W x C, as `edge.pixels` makes them; their order does not count. `extremes`: what `measure`
    says of them, or of others; if it is not given that is done here, and takes about two float inferences for each.
    The same arguments give the same bytes.
    """
    extremes = extremes or measure(model, inputs) if recipe.ranges == EXTREMES else None
    with tempfile.TemporaryDirectory(prefix="kenpin-") as folder, quiet(extremes is None):
        prepared, target = prepare(model, Path(folder)), Path(folder) / "int8.onnx"
        network = onnx.load(prepared)
        keep = float_nodes(network, recipe)
        _pool_first(network.graph, set(keep))
        onnx.save(network, prepared)
        known = {} if extremes is None else _overrides(extremes, network.graph)
        quantize_static(
            prepared,
            target,
            _Reader(_read(inputs, recipe)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(shape.operators),
            per_channel=True,
            reduce_range=shape.seven_bits,
            activation_type=shape.activations,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=keep,
            calibrate_method=RANGES[recipe.ranges],
            extra_options={"CalibPercentile": PERCENTILE, "TensorQuantOverrides": known, **shape.options},
        )
        quantized = onnx.load(target)
        if shape is TENSORRT:
            _join_sums(quantized)
        return _with_metadata(quantized, onnx.load_model_from_string(model))


def _pool_first(graph: onnx.GraphProto, keep: set[str]) -> None:
    """Pool before the activation where both stay in float: the same numbers, since activations never fall.

    Else ONNX Runtime moves the pair behind the pooling in front of it and pools in uint8, which took it 4 ms of a
    ResNet-18, not 0.2. An activation in between stops that.
    """
    uses = Counter([*(name for node in graph.node for name in node.input), *(one.name for one in graph.output)])
    makers = {name: node for node in graph.node for name in node.output}
    for pool in graph.node:
        active = makers.get(pool.input[0]) if pool.op_type == "MaxPool" else None
        if active is None or active.op_type not in ACTIVATIONS or not {pool.name, active.name} <= keep:
            continue
        if uses[active.output[0]] == 1:
            _exchange(active, pool)
            return


def _exchange(first: onnx.NodeProto, second: onnx.NodeProto) -> None:
    """Let `second` run where `first` does, on its input, and `first` on the result; `second` alone has read `first`."""
    between = f"{first.output[0]}_{second.op_type}"
    first.input[0], second.input[0] = between, first.input[0]
    first.output[0], second.output[0] = second.output[0], between
    kept = onnx.NodeProto()
    kept.CopyFrom(first)
    first.CopyFrom(second)
    second.CopyFrom(kept)


def _overrides(extremes: Extremes, graph: onnx.GraphProto) -> dict[str, list[dict[str, np.float32]]]:
    """The known ranges of the graph's tensors as the quantizer takes them, instead of measuring its own."""
    there = {name for node in graph.node for name in node.output}
    return {name: [{"rmin": low, "rmax": high}] for name, (low, high) in extremes.ranges().items() if name in there}


def _join_sums(model: onnx.ModelProto) -> None:
    """A sum takes one convolution's result as it is: then the engine adds within that convolution."""
    nodes = list(model.graph.node)
    makers = {name: node for node in nodes for name in node.output}
    uses = Counter(name for node in nodes for name in node.input)
    for node in nodes:
        if node.op_type != "Add":
            continue
        for place, name in enumerate(node.input):
            back = makers.get(name)
            pair = makers.get(back.input[0]) if back is not None and back.op_type == "DequantizeLinear" else None
            maker = makers.get(pair.input[0]) if pair is not None else None
            if back is None or pair is None or maker is None or maker.op_type != "Conv":
                continue
            if uses[name] == uses[back.input[0]] == uses[pair.input[0]] == 1:
                node.input[place] = pair.input[0]
                model.graph.node.remove(back)
                model.graph.node.remove(pair)
                break


def _read(inputs: Sequence[Image], recipe: Recipe) -> Sequence[Image]:
    """Those that the quantizer measures ranges on. Histograms keep every tensor of all pictures, and fed in portions
    they grow without end: so they get as many as memory bears, at equal distances. Extremes are known, but it wants
    to see a picture."""
    if recipe.ranges == EXTREMES:
        return inputs[:1]
    pixels = inputs[0].shape[1] * inputs[0].shape[2]
    most = max(FEWEST_READ, min(MOST_READ, PIXELS_READ // pixels))
    return inputs[:: -(-len(inputs) // most)]


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Feeds the calibration pictures, one at a time."""

    def __init__(self, inputs: Iterable[Image]) -> None:
        self._inputs: Iterator[Image] = iter(inputs)

    def get_next(self) -> dict[str, Image] | None:
        image = next(self._inputs, None)
        return None if image is None else {INPUT_NAME: image}


def float_nodes(model: onnx.ModelProto, recipe: Recipe) -> list[str]:
    """The names of the nodes that stay in float.

    Those before the first convolution (cast and normalisation), those after the last wide one (heads, pooling,
    sigmoid, norms), every convolution that is narrower than 16 channels, and what the recipe says.
    """
    nodes = list(model.graph.node)
    widths = {tensor.name: tensor.dims[0] for tensor in model.graph.initializer if tensor.dims}
    wide = [
        node.name for node in nodes if node.op_type == "Conv" and widths.get(node.input[1], 0) >= FEWEST_CHANNELS
    ]
    first = wide[: _affordable(model, wide, recipe.float_first)]
    spared = {*first, *wide[len(wide) - recipe.float_last :], *recipe.float_also}
    body = set(wide) - spared
    inner = _downstream(nodes, body) & _upstream(nodes, body)
    closing = {node.name for node in nodes if node.op_type in ACTIVATIONS and _feeds(nodes, body, node)}
    convolutions = {node.name for node in nodes if node.op_type == "Conv"}
    quantized = (inner | closing) - (convolutions - body)
    return [node.name for node in nodes if node.name not in quantized]


def _affordable(model: onnx.ModelProto, wide: Sequence[str], most: int) -> int:
    """How many of the first convolutions stay in float: one, and up to `most` while they take little of the work."""
    if most <= 1:
        return most
    work = _multiplications(model)
    shares = np.cumsum([work[name] for name in wide[:most]]) / sum(work.values())
    return max(1, int((shares <= FIRST_SHARE).sum()))


def _multiplications(model: onnx.ModelProto) -> dict[str, int]:
    """How many each convolution takes for one picture; shapes must be fixed."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    told = [*graph.value_info, *graph.output]
    sizes = {one.name: [dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in told}
    weights = {tensor.name: prod(tensor.dims[1:]) for tensor in graph.initializer}
    return {
        node.name: prod(sizes[node.output[0]]) * weights[node.input[1]]
        for node in graph.node
        if node.op_type == "Conv" and node.output[0] in sizes and node.input[1] in weights
    }


def int8_convolutions(model: bytes) -> list[str]:
    """The names of a quantized model's convolutions that multiply quantized weights, in their order."""
    nodes = onnx.load_model_from_string(model).graph.node
    scaled = {name for node in nodes if node.op_type == "DequantizeLinear" for name in node.output}
    return [node.name for node in nodes if node.op_type == "Conv" and node.input[1] in scaled]


def _downstream(nodes: Sequence[onnx.NodeProto], start: set[str]) -> set[str]:
    """The nodes that some node of `start` reaches; nodes stand in order of execution."""
    tensors: set[str] = set()
    reached = set()
    for node in nodes:
        if node.name in start or tensors.intersection(node.input):
            reached.add(node.name)
            tensors.update(node.output)
    return reached


def _upstream(nodes: Sequence[onnx.NodeProto], end: set[str]) -> set[str]:
    """The nodes that reach some node of `end`."""
    tensors: set[str] = set()
    reached = set()
    for node in reversed(nodes):
        if node.name in end or tensors.intersection(node.output):
            reached.add(node.name)
            tensors.update(node.input)
    return reached


def _feeds(nodes: Sequence[onnx.NodeProto], body: set[str], node: onnx.NodeProto) -> bool:
    """Whether a node of the body gives `node` its first input: an activation belongs to its convolution."""
    return any(node.input[0] in other.output for other in nodes if other.name in body)


def _with_metadata(quantized: onnx.ModelProto, student: onnx.ModelProto) -> bytes:
    """The quantized model with the student's metadata and nothing of the tools' own."""
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(student.metadata_props)
    used = {node.domain for node in quantized.graph.node}
    kept = [opset for opset in quantized.opset_import if opset.domain in used | {""}]
    del quantized.opset_import[:]
    quantized.opset_import.extend(kept)
    quantized.ir_version = min(quantized.ir_version, student.ir_version)
    return bytes(quantized.SerializeToString(deterministic=True))
