"""Makes a student of a network from elsewhere: uint8 picture in, score, heat map and embedding out, proven on pictures.

The network's own operators stay as they are, under the prefix `net/`; before and behind them stand a few of ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from compile.lint import NEWEST_IR, OPSETS
from compile.own_map import Map, Output
from edge import options
from edge.errors import ConfigError, EngineError
from edge.infer.contract import CLASSES_KEY, INPUT_KEY, INPUT_NAME
from edge.infer.ort import FOREIGN, OrtEngine
from edge.pixels import STEP, InputSpec

PREFIX = "net/"
OLDEST_IR = 8  # the one of opset 17
TOLERANCE = 1e-3  # of a share: sums in another order
PICTURES = 4
ADVICE = "see docs/own-network.md"


def wrap(path: Path, told: Map) -> bytes:
    """The student of a network's file; the same file and map give the same bytes.

    On pictures of noise it gives the scores that the network gives for the normalised picture. Raises ConfigError
    that says what map or network lack.
    """
    network = _network(path)
    spec = _fix_input(network, told, path)
    network = onnx.compose.add_prefix(_inferred(network, path), PREFIX)
    graph = _Graph(network, told, spec, path)
    graph.take_picture()
    graph.give_answers()
    data = graph.student().SerializeToString(deterministic=True)
    _prove(data, path, told, spec)
    return bytes(data)


def _network(path: Path) -> onnx.ModelProto:
    """The model with all its weights, in an opset that devices read."""
    try:
        model = onnx.load(path)
    except (OSError, DecodeError, ValueError, onnx.checker.ValidationError) as error:
        raise ConfigError(f"cannot read {path} as ONNX: {error}; export the network again") from error
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 0)
    if opset in OPSETS:
        return model
    try:
        return onnx.version_converter.convert_version(model, OPSETS[0] if opset < OPSETS[0] else OPSETS[-1])
    except (RuntimeError, ValueError) as error:
        words = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"{path} has opset {opset} and cannot be converted ({words}): export it with one from "
            f"{OPSETS[0]} to {OPSETS[-1]}"
        ) from error


def _fix_input(model: onnx.ModelProto, told: Map, path: Path) -> InputSpec:
    """Give the network one picture of one size; returns the student's geometry."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in weights}
    name = told.input.name or next(iter(inputs), "")
    if name not in inputs or len(inputs) > 1:
        raise ConfigError(f"{path} takes {', '.join(inputs) or 'nothing'}: name the one picture as input.name")
    kind = inputs[name].type.tensor_type
    if kind.elem_type != TensorProto.FLOAT or len(kind.shape.dim) != 4:
        raise ConfigError(f"{path}: {name} is no picture in float32 with four dimensions; {ADVICE}")
    places = told.input.layout
    known = {place: size.dim_value for place, size in zip(places, kind.shape.dim, strict=True)}
    if known["C"] not in (0, told.input.channels):
        raise ConfigError(
            f"{path}: {name} has {known['C']} channels in {places}, input.order {told.input.order} has "
            f"{told.input.channels}: set input.layout or input.order"
        )
    sizes = {"N": 1, "C": told.input.channels}
    for place, key, wanted in (("W", "width", told.input.width), ("H", "height", told.input.height)):
        if known[place] and wanted and known[place] != wanted:
            raise ConfigError(f"{path}: {name} has {key} {known[place]}, input.{key} says {wanted}: leave it out")
        sizes[place] = known[place] or wanted or 0
        if not sizes[place]:
            raise ConfigError(f"{path}: {name} has no fixed {key}: set input.{key}")
    for place, size in zip(places, kind.shape.dim, strict=True):
        size.Clear()
        size.dim_value = sizes[place]
    return told.spec(sizes["W"], sizes["H"])


def _inferred(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The model with the shapes that follow from its fixed input."""
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        words = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path} does not take one picture of this size ({words}); export it for one") from error


class _Graph:
    """The network with what is put before and behind it."""

    def __init__(self, network: onnx.ModelProto, told: Map, spec: InputSpec, path: Path) -> None:
        self._network = network
        self._told = told
        self._spec = spec
        self._path = path
        self._before: list[onnx.NodeProto] = []
        self._behind: list[onnx.NodeProto] = []
        self._nodes = self._before
        self._weights: list[onnx.TensorProto] = []
        self._lengths: dict[str, int] = {}

    def _weight(self, name: str, values: Any, kind: type[np.generic] = np.float32) -> str:
        self._weights.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def _node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operator, list(inputs), [output], name=f"{output}_node", **attributes))
        return output

    def _shaped(self, tensor: str, shape: Sequence[int], output: str) -> str:
        return self._node("Reshape", [tensor, self._weight(f"{output}_shape", shape, np.int64)], output)

    def take_picture(self) -> None:
        """uint8 NHWC RGB (or grey) to what the network takes."""
        told = self._told.input
        tensor = self._node("Cast", [INPUT_NAME], "floats", to=TensorProto.FLOAT)
        if told.order == "BGR":
            tensor = self._node(
                "Gather", [tensor, self._weight("blue_first", [2, 1, 0], np.int64)], "reordered", axis=3
            )
        factor, offset = _normalisation(told.scale, told.mean, told.std)
        tensor = self._node("Mul", [tensor, self._weight("factor", factor)], "scaled")
        tensor = self._node("Add", [tensor, self._weight("offset", offset)], "normalised")
        if told.layout == "NCHW":
            tensor = self._node("Transpose", [tensor], "planes", perm=[0, 3, 1, 2])
        (name,) = [
            value.name
            for value in self._network.graph.input
            if value.name not in {tensor.name for tensor in self._network.graph.initializer}
        ]
        self._node("Identity", [tensor], name)

    def give_answers(self) -> None:
        """The network's outputs to those of a student."""
        self._nodes = self._behind
        score = self._share(self._told.score, self._flat(self._told.score.output, "score"), "score")
        self._shaped(score, [1], "score")
        self._heat_map(score)
        told = self._told.embedding
        flat = self._flat(told.output, "embedding") if told else score
        self._lengths["embedding"] = self._size(told.output) if told else 1
        self._shaped(flat, [1, self._lengths["embedding"]], "embedding")
        if self._told.class_scores is not None:
            self._class_scores(self._told.class_scores.output, self._told.class_scores.columns)

    def _heat_map(self, score: str) -> None:
        rows, columns = self._spec.height // STEP, self._spec.width // STEP
        if self._told.heat_map is None:
            everywhere = self._weight("everywhere", [1, rows, columns], np.int64)
            cell = self._shaped(score, [1, 1, 1], "heat_cell")
            self._node("Expand", [cell, everywhere], "heat_map")
            return
        shape = self._shape(self._told.heat_map.output)
        if len(shape) < 2 or int(np.prod(shape[:-2])) != 1:
            raise ConfigError(
                f"{self._path}: heat_map.output has shape {shape}: it must be one map of rows and columns"
            )
        high, wide = shape[-2:]
        tensor = self._shaped(PREFIX + self._told.heat_map.output, [1, 1, high, wide], "heat_plane")
        tensor = self._share(self._told.heat_map, tensor, "heat")
        if high % rows == 0 and wide % columns == 0:
            window = [high // rows, wide // columns]
            tensor = self._node("MaxPool", [tensor], "heat_cells", kernel_shape=window, strides=window)
        else:
            sizes = self._weight("heat_sizes", [1, 1, rows, columns], np.int64)
            tensor = self._node("Resize", [tensor, "", "", sizes], "heat_cells", mode="linear")
        self._shaped(tensor, [1, rows, columns], "heat_map")

    def _class_scores(self, output: str, columns: Sequence[int]) -> None:
        self._refuse_column(output, max(columns))
        picked = self._weight("class_columns", columns, np.int64)
        tensor = self._node("Gather", [self._flat(output, "class_scores"), picked], "class_logits", axis=1)
        self._node("Softmax", [tensor], "class_scores", axis=-1)
        self._lengths["class_scores"] = len(columns)

    def _share(self, told: Output, tensor: str, name: str) -> str:
        """`tensor` as a share from 0 to 1; a score is picked from its columns."""
        if told.kind == "softmax":
            tensor = self._node("Softmax", [tensor], f"{name}_shares", axis=-1)
        column = told.column if told.good is None else told.good
        if name == "score":
            self._refuse_column(told.output, column or 0)
            if column is None and self._size(told.output) > 1:
                raise ConfigError(
                    f"{self._path}: {told.output} has {self._size(told.output)} values: say which is the score's "
                    "with score.column"
                )
            at = self._weight("score_column", [column or 0], np.int64)
            tensor = self._node("Gather", [tensor, at], "score_value", axis=1)
        if told.good is not None:
            tensor = self._node("Sub", [self._weight(f"{name}_all", 1.0), tensor], f"{name}_bad")
        if told.kind == "logit":
            return self._node("Sigmoid", [tensor], f"{name}_share")
        if told.kind == "min_max":
            assert told.low is not None and told.high is not None
            low, span = self._weight(f"{name}_low", told.low), self._weight(f"{name}_span", told.high - told.low)
            tensor = self._node("Sub", [tensor, low], f"{name}_above")
            tensor = self._node("Div", [tensor, span], f"{name}_linear")
        ends = [self._weight(f"{name}_least", 0.0), self._weight(f"{name}_most", 1.0)]
        return self._node("Clip", [tensor, *ends], f"{name}_share")

    def _flat(self, output: str, name: str) -> str:
        return self._shaped(PREFIX + output, [1, self._size(output)], f"{name}_flat")

    def _refuse_column(self, output: str, column: int) -> None:
        if column >= self._size(output):
            raise ConfigError(f"{self._path}: {output} has {self._size(output)} columns, the map names {column}")

    def _size(self, output: str) -> int:
        return int(np.prod(self._shape(output)))

    def _shape(self, output: str) -> list[int]:
        there = {value.name.removeprefix(PREFIX): value for value in self._network.graph.output}
        if output not in there:
            raise ConfigError(f"{self._path} has no output {output!r}, only {', '.join(there)}: correct the map")
        kind = there[output].type.tensor_type
        shape = [size.dim_value for size in kind.shape.dim]
        if kind.elem_type != TensorProto.FLOAT or any(size < 1 for size in shape):
            raise ConfigError(
                f"{self._path}: {output} is no float32 of fixed shape: export the network for one picture"
            )
        return shape

    def student(self) -> onnx.ModelProto:
        """All of it as one model with the student's inputs, outputs and metadata."""
        spec, network = self._spec, self._network
        shapes = {
            "score": (1,),
            "heat_map": (1, spec.height // STEP, spec.width // STEP),
            **{name: (1, length) for name, length in self._lengths.items()},
        }
        image = helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, spec.shape())
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
        nodes = [*self._before, *network.graph.node, *self._behind]
        weights = [*network.graph.initializer, *self._weights]
        graph = helper.make_graph(nodes, "student", [image], outputs, weights)
        graph.sparse_initializer.extend(network.graph.sparse_initializer)
        model = helper.make_model(graph, opset_imports=network.opset_import, functions=network.functions)
        model.ir_version = min(max(network.ir_version, OLDEST_IR), NEWEST_IR)
        described = {INPUT_KEY: spec.to_json(), CLASSES_KEY: json.dumps(list(self._told.classes))}
        helper.set_model_props(model, described)
        return model


def _normalisation(
    scale: float, mean: Sequence[float], std: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Factor and offset that give (p / scale - mean) / std."""
    deviation = np.asarray(std, np.float64)
    return 1 / (scale * deviation), -np.asarray(mean, np.float64) / deviation


# --- proof ------------------------------------------------------------------------------------------------------


def _prove(student: bytes, path: Path, told: Map, spec: InputSpec) -> None:
    """Raise ConfigError where the student does not give what the network itself gives for the normalised picture."""
    engine = OrtEngine(options.OrtEngine(kind="ort"))
    try:
        engine.load(student)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except (EngineError, *FOREIGN) as error:
        words = " ".join(str(error).split())[:300]
        raise ConfigError(f"{path} cannot become a student: {words}; {ADVICE}") from error
    rng = np.random.default_rng(0)
    names = [output.name for output in session.get_outputs()]
    for _ in range(PICTURES):
        engine.input[...] = rng.integers(0, 256, spec.shape(), np.uint8)
        answers = session.run(None, {session.get_inputs()[0].name: _normalised(engine.input, told)})
        own = _score(dict(zip(names, answers, strict=True)), told.score)
        score = engine.infer().score
        if not abs(score - own) <= TOLERANCE:
            raise ConfigError(f"{path} scores {own:.4f} by itself and {score:.4f} as a student; {ADVICE}")
    engine.close()


def _normalised(image: NDArray[np.uint8], told: Map) -> NDArray[np.float32]:
    """The picture as the network's own tools would give it."""
    values = image[..., ::-1] if told.input.order == "BGR" else image
    scaled = (values / told.input.scale - np.asarray(told.input.mean)) / np.asarray(told.input.std)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2) if told.input.layout == "NCHW" else scaled, np.float32)


def _score(answers: Mapping[str, NDArray[np.float32]], told: Output) -> float:
    """The share that the map makes of the network's own answer."""
    values = np.asarray(answers[told.output], np.float64).ravel()
    if told.kind == "softmax":
        shares = np.exp(values - values.max())
        shares /= shares.sum()
        return float(1 - shares[told.good]) if told.good is not None else float(shares[told.column])
    value = float(values[told.column or 0])
    if told.kind == "logit":
        return float(1 / (1 + np.exp(-value)))
    if told.kind == "min_max":
        assert told.low is not None and told.high is not None
        value = (value - told.low) / (told.high - told.low)
    return min(1.0, max(0.0, value))
