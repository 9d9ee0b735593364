"""Builds a student's engines with TensorRT-RTX, which needs no GPU for that: FP32, FP16 and INT8, for named GPUs.

What a build shows is that the builder takes the network, how large the engine is, and what memory it asks for. How fast
it is and what it scores shows on a GPU only: `python -m compile.confirm`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from compile.half import halve
from compile.quantize import RECIPES, TENSORRT, quantize
from compile.rtx import PICTURES, REPORT, library
from edge.clock import SECOND, Clock
from edge.durable import write_whole
from edge.errors import BundleError, ConfigError
from edge.infer.contract import INPUT_NAME

CAPABILITIES = ("8.0", "8.6", "8.9", "12.0", "12.1")
# 7.5 is no default: for it the builder takes no FP32 products, which heads are
KNOWN = ("7.5", *CAPABILITIES)
TOLD = {
    "weights_bytes": r"Total Weights Memory: (\d+) bytes",
    "activation_bytes": r"Total Activation Memory: (\d+) bytes",
    "engine_layers": r"After reformat layers: (\d+) layers",
}

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Engine:
    """What the builder made of one model.

    `layers` counts the layers that it was given, by kind; of the `convolutions` so many have `int8` input and weights.
    `engine_layers` is what it joined them to; memory is what the engine asks for when it runs. None: not told.
    """

    precision: str
    bytes: int
    seconds: float
    layers: Mapping[str, int]
    convolutions: int
    int8: int
    weights_bytes: int | None
    activation_bytes: int | None
    engine_layers: int | None


def models_of(student: bytes, inputs: Sequence[Image]) -> dict[str, bytes]:
    """The student by precision, as ONNX. In FP16 and INT8 the normalisation and the heads stay in FP32.

    inputs: uint8 1 x H x W x C, as `edge.pixels` makes them, for the ranges of INT8.
    """
    return {
        "fp32": student,
        "fp16": halve(student),
        "int8": quantize(student, inputs, RECIPES[0], TENSORRT),
    }


def scores_of(model: bytes, inputs: Sequence[Image]) -> list[float]:
    """The scores that ONNX Runtime computes with this model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return [float(session.run(["score"], {INPUT_NAME: image})[0][0]) for image in inputs]


def build(
    model: bytes, precision: str, capabilities: Sequence[str], clock: Clock
) -> tuple[bytes, Engine, list[str]]:
    """The engine of a model for GPUs of these compute capabilities, what is known of it, and the builder's log.

    Raises ConfigError for an unknown capability or without the library, BundleError where the builder refuses.
    """
    trt = library()
    log = _log_of(trt)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model):
        words = "; ".join(parser.get_error(number).desc() for number in range(parser.num_errors))
        raise BundleError(f"TensorRT-RTX does not take the {precision.upper()} model: {words.splitlines()[0]}")
    layers, convolutions, int8 = _given(trt, network)
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.clear_flag(trt.BuilderFlag.TF32)
    config.num_compute_capabilities = len(capabilities)
    for number, capability in enumerate(capabilities):
        config.set_compute_capability(_named(trt, capability), number)
    began_ns = clock.now_ns()
    made = builder.build_serialized_network(network, config)
    if made is None:
        last = next((words for level, words in reversed(log.lines) if level == "ERROR"), "it does not say why")
        raise BundleError(f"TensorRT-RTX builds no {precision.upper()} engine: {last}")
    seconds = round((clock.now_ns() - began_ns) / SECOND, 2)
    lines = [f"{level}: {words}" for level, words in log.lines]
    told = {name: _last_number(pattern, lines) for name, pattern in TOLD.items()}
    return bytes(made), Engine(precision, made.nbytes, seconds, layers, convolutions, int8, **told), lines


def _log_of(trt: Any) -> Any:
    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[tuple[str, str]] = []

        def log(self, severity: Any, words: str) -> None:
            self.lines.append((severity.name, words))

    return Log()


def _named(trt: Any, capability: str) -> Any:
    found = getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}", None)
    if found is None:
        raise ConfigError(f"compute capability {capability!r}: use some of {', '.join(KNOWN)}")
    return found


def _given(trt: Any, network: Any) -> tuple[dict[str, int], int, int]:
    """The network's layers by kind, its convolutions, and those of them with quantized input and weights."""
    layers = [network.get_layer(number) for number in range(network.num_layers)]
    scaled = {layer.get_output(0).name for layer in layers if layer.type == trt.LayerType.DEQUANTIZE}
    convolutions = [layer for layer in layers if layer.type == trt.LayerType.CONVOLUTION]
    int8 = sum(
        {layer.get_input(0).name, layer.get_input(1).name} <= scaled for layer in _with_weights(convolutions)
    )
    return dict(Counter(layer.type.name.lower() for layer in layers).most_common()), len(convolutions), int8


def _with_weights(convolutions: Sequence[Any]) -> list[Any]:
    """Quantized weights are an input of the layer, others are part of it."""
    return [layer for layer in convolutions if layer.num_inputs > 1 and layer.get_input(1) is not None]


def _last_number(pattern: str, lines: Sequence[str]) -> int | None:
    found = [match for line in lines if (match := re.search(pattern, line))]
    return int(found[-1][1]) if found else None


def write(
    folder: Path,
    student: bytes,
    inputs: Sequence[Image],
    capabilities: Sequence[str],
    shown: int,
    clock: Clock,
) -> dict[str, Any]:
    """Build every precision into `folder` with the builder's logs, `shown` of the inputs and the report, which is
    returned. Raises ConfigError, BundleError."""
    models = models_of(student, inputs)
    pictures = list(inputs[:shown])
    report: dict[str, Any] = {
        "tensorrt_rtx": library().__version__,
        "capabilities": list(capabilities),
        "engines": [],
    }
    report["scores"] = {precision: scores_of(model, pictures) for precision, model in models.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for precision, model in models.items():
            made, engine, lines = build(model, precision, capabilities, clock)
            write_whole(folder / f"{precision}.onnx", model)
            write_whole(folder / f"{precision}.engine", made)
            (folder / f"{precision}.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
            report["engines"].append(asdict(engine))
        np.save(folder / PICTURES, np.concatenate(pictures))
        (folder / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write into {folder}: {error.strerror}; give another --out") from error
    return report
