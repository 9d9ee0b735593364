"""Looks at a student before anything is built: what no device could run, what INT8 or TensorRT will not like.

An error stops the build; a warning is printed and stands in the report; advice is for engines that the bundle does not
hold models for yet. Every finding names its remedy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto

from calibration.judging import TARGET, engine_for
from compile.quantize import FEWEST_CHANNELS
from edge.errors import ConfigError, EngineError
from edge.infer.contract import CLASSES_KEY, INPUT_KEY, INPUT_NAME

OPSETS = range(17, 21)
NEWEST_IR = 10  # ONNX Runtime 1.23, the last for Python 3.10 (JetPack 6), reads no newer
OUTPUTS = ("score", "heat_map", "embedding")
MAP = "or describe the network with --outputs map.toml (docs/own-network.md)"
STEP = 8  # INT8 kernels take channels eight or sixteen at a time
TRT = "TensorRT 10.3"
# operators that TensorRT's ONNX parser does not know in 10.3 and a vision network may hold
NOT_IN_TRT = frozenset(
    ("BitShift", "CenterCropPad", "Col2Im", "ConcatFromSequence", "ConvInteger", "DFT", "Det", "DynamicQuantizeLinear",
     "MatMulInteger", "MaxRoiPool", "MaxUnpool", "Multinomial", "QLinearConv", "QLinearMatMul", "STFT", "SequenceAt",
     "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SplitToSequence", "Unique")
)  # fmt: skip
# shapes or paths that depend on the picture
DATA_DEPENDENT = frozenset(["If", "Loop", "Scan", "NonZero", "NonMaxSuppression", "Compress"])
# operator -> why INT8 gains little or loses scores there, and what to use
HOSTILE = {
    "HardSwish": "train with ReLU: HardSwish stays in float between INT8 layers",
    "Erf": "train with ReLU: GELU stays in float between INT8 layers",
    "Gelu": "train with ReLU: GELU stays in float between INT8 layers",
    "PRelu": "train with ReLU: a slope for each channel stays in float between INT8 layers",
    "LeakyRelu": "train with ReLU: LeakyRelu is not fused into an INT8 convolution",
    "Elu": "train with ReLU: Elu stays in float between INT8 layers",
    "InstanceNormalization": "use batch norm, which folds into convolutions: this one stays in float",
    "LayerNormalization": "use batch norm, which folds into convolutions: this one stays in float",
    "GroupNormalization": "use batch norm, which folds into convolutions: this one stays in float",
    "ConvTranspose": "use Resize and a convolution: a transposed convolution stays in float",
    "LSTM": "use convolutions: a recurrent layer stays in float",
    "GRU": "use convolutions: a recurrent layer stays in float",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, or may go wrong, with a model; `words` name the remedy."""

    level: Literal["error", "warning", "advice"]
    words: str


def lint(data: bytes, targets: Sequence[str] = ()) -> list[Finding]:
    """All findings, errors first; a graph that no engine would take is loaded by none.

    `targets` are engine kinds that must load the model. Raises ConfigError for an unknown one or a missing library.
    """
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError):
        return [Finding("error", "it is no ONNX model: export it with edge-train")]
    errors = [words for rule in ERRORS for words in rule(model)]
    if not errors:
        errors = [*_validity(model), *_loading(data, targets)]
    warnings = [words for rule in WARNINGS for words in rule(model)]
    advice = [f"{TRT} (JetPack 6): {words}" for rule in ADVICE for words in rule(model)]
    return [
        *(Finding("error", words) for words in errors),
        *(Finding("warning", words) for words in warnings),
        *(Finding("advice", words) for words in advice),
    ]


def refuse(found: Iterable[Finding], where: str) -> None:
    """Raise ConfigError with all errors, if there are any; `where` stands in front."""
    errors = [one.words for one in found if one.level == "error"]
    if errors:
        raise ConfigError(f"{where} is no student: {'; '.join(errors)}")


# --- errors -----------------------------------------------------------------------------------------------------


def _external(model: onnx.ModelProto) -> Iterator[str]:
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
        yield "it keeps weights in another file: export it as one file"


def _versions(model: onnx.ModelProto) -> Iterator[str]:
    opsets = {opset.domain or "ai.onnx": opset.version for opset in model.opset_import}
    foreign = sorted({node.domain or "ai.onnx" for node in model.graph.node} - {"ai.onnx"})
    if foreign:
        yield f"it uses operators of {', '.join(foreign)}: export it with standard operators only"
    if opsets.get("ai.onnx") not in OPSETS:
        yield f"it has opset {opsets.get('ai.onnx')}: export it with one from {OPSETS[0]} to {OPSETS[-1]}"
    if model.ir_version > NEWEST_IR:
        yield f"it has IR version {model.ir_version}: export it with at most {NEWEST_IR}"


def _shapes(model: onnx.ModelProto) -> Iterator[str]:
    for value in (*model.graph.input, *model.graph.output):
        sizes = [size.dim_value for size in value.type.tensor_type.shape.dim]
        if not sizes or any(size < 1 for size in sizes):
            yield f"{value.name} has no fixed shape: export it for one picture of one size"


def _input(model: onnx.ModelProto) -> Iterator[str]:
    inputs = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    if list(inputs) != [INPUT_NAME]:
        yield f"its inputs are {', '.join(inputs) or 'none'}, a student has {INPUT_NAME}: export it so, {MAP}"
    elif inputs[INPUT_NAME] != TensorProto.UINT8:
        kind = TensorProto.DataType.Name(inputs[INPUT_NAME]).lower()
        yield f"its input is {kind}, not uint8: put cast and normalisation into the graph, {MAP}"


def _outputs(model: onnx.ModelProto) -> Iterator[str]:
    there = {value.name for value in model.graph.output}
    missing = [name for name in OUTPUTS if name not in there]
    if missing:
        yield f"it lacks the output {' and '.join(missing)}: export it with edge-train, {MAP}"


def _metadata(model: onnx.ModelProto) -> Iterator[str]:
    there = {item.key for item in model.metadata_props}
    missing = [key for key in (INPUT_KEY, CLASSES_KEY) if key not in there]
    if missing:
        yield f"its metadata lacks {' and '.join(missing)}: export it with edge-train, {MAP}"


def _validity(model: onnx.ModelProto) -> Iterator[str]:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        words = " ".join(str(error).split())[:200]
        yield f"it is not valid ONNX ({words}): export it again with edge-train"


def _loading(data: bytes, targets: Sequence[str]) -> Iterator[str]:
    for target in dict.fromkeys((TARGET, *targets)):
        engine = engine_for(target)
        try:
            engine.load(data)
        except EngineError as error:
            yield f"{error} ({target})"
        engine.close()


# --- warnings: what INT8 does not like --------------------------------------------------------------------------


def _hostile(model: onnx.ModelProto) -> Iterator[str]:
    counts = Counter(node.op_type for node in model.graph.node)
    for operator, words in HOSTILE.items():
        if counts[operator]:
            yield f"{_times(counts[operator], operator)}: {words}"


def _gates(model: onnx.ModelProto) -> Iterator[str]:
    """A sigmoid that multiplies what it was made of is a SiLU; one that multiplies something else gates channels."""
    sigmoids = {
        node.output[0]: node.input[0] for node in model.graph.node if node.op_type in ("Sigmoid", "HardSigmoid")
    }
    silus = gates = 0
    for node in model.graph.node:
        if node.op_type == "Mul" and (gate := next((name for name in node.input if name in sigmoids), None)):
            silus += sigmoids[gate] in node.input
            gates += sigmoids[gate] not in node.input
    if silus:
        yield f"{_times(silus, 'SiLU')}: train with ReLU; SiLU is two float operators between INT8 layers"
    if gates:
        yield (
            f"{_times(gates, 'gate')} by a sigmoid (squeeze and excite): leave them out for INT8; "
            "they move the range of whole channels"
        )


def _depthwise(model: onnx.ModelProto) -> Iterator[str]:
    count = sum(_groups(node) > 1 for node in model.graph.node if node.op_type == "Conv")
    if count:
        yield f"{_times(count, 'depthwise convolution')}: INT8 gains little there; a ResNet gains more"


def _channels(model: onnx.ModelProto) -> Iterator[str]:
    """Among the convolutions that INT8 takes; narrow ones are heads, and the first has the picture's channels."""
    widths = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    odd = []
    for node in model.graph.node:
        plain = node.op_type == "Conv" and _groups(node) == 1
        dims: Sequence[int] = widths.get(node.input[1], ()) if plain else ()
        if len(dims) == 4 and min(dims[:2]) >= FEWEST_CHANNELS and (dims[0] % STEP or dims[1] % STEP):
            odd.append(f"{dims[1]} to {dims[0]}")
    if odd:
        shown = ", ".join(dict.fromkeys(odd))
        yield (
            f"{_times(len(odd), 'convolution')} whose channels are no multiple of {STEP} ({shown}): "
            f"INT8 kernels fill them up; use multiples of {2 * STEP}"
        )


# --- advice: TensorRT -------------------------------------------------------------------------------------------


def _cast_first(model: onnx.ModelProto) -> Iterator[str]:
    inputs = {value.name for value in model.graph.input if value.type.tensor_type.elem_type == TensorProto.UINT8}
    users = {node.op_type for node in model.graph.node if inputs & set(node.input)}
    if users - {"Cast"}:
        yield "takes uint8 only straight into a Cast; cast first, then transpose or crop"


def _not_parsed(model: onnx.ModelProto) -> Iterator[str]:
    unknown = sorted({node.op_type for node in model.graph.node} & NOT_IN_TRT)
    if unknown:
        yield f"does not know {', '.join(unknown)}; export without"


def _data_dependent(model: onnx.ModelProto) -> Iterator[str]:
    found = sorted({node.op_type for node in model.graph.node} & DATA_DEPENDENT)
    if found:
        yield f"no CUDA graph, since {', '.join(found)} depend on the picture; choose by Where or a fixed top-k"


def _asymmetric(model: onnx.ModelProto) -> Iterator[str]:
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    zeros = [node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear" and len(node.input) > 2]
    if any(kinds.get(name) == TensorProto.UINT8 for name in zeros):
        yield "takes symmetric int8 only, and this is uint8 for x86; there the FP32 model is the one to build from"


def _groups(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


def _times(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count > 1 and noun.islower() else ''}"


Rule = Callable[[onnx.ModelProto], Iterator[str]]
ERRORS: tuple[Rule, ...] = (_external, _versions, _shapes, _input, _outputs, _metadata)
WARNINGS: tuple[Rule, ...] = (_hostile, _gates, _depthwise, _channels)
ADVICE: tuple[Rule, ...] = (_cast_first, _not_parsed, _data_dependent, _asymmetric)
