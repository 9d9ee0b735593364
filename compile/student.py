"""Reads a student.onnx and refuses what could not run on every device."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from edge import options
from edge.errors import ConfigError, EngineError
from edge.infer.ort import OrtEngine
from edge.pixels import InputSpec

OPSETS = range(17, 21)
NEWEST_IR = 10  # ONNX Runtime 1.23, the last for Python 3.10, reads no newer


@dataclass(frozen=True, slots=True, eq=False)
class Student:
    """A student that keeps the contract: its bytes, their SHA-256 in hex, input geometry and defect classes."""

    model: bytes
    sha256: str
    spec: InputSpec
    classes: tuple[str, ...]


def read_student(path: Path) -> Student:
    """The student of a file. Raises ConfigError that names the breach of the contract and the fix."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; give the student.onnx of edge-train") from error
    return check_student(data, str(path))


def check_student(data: bytes, where: str) -> Student:
    """The student of these bytes; `where` stands in the message. Raises ConfigError."""
    lint(data, where)
    engine = OrtEngine(options.OrtEngine(kind="ort"))
    try:
        engine.load(data)
    except EngineError as error:
        raise ConfigError(f"{where} is no student: {error}") from error
    student = Student(data, sha256(data).hexdigest(), engine.spec, engine.classes)
    engine.close()
    return student


def lint(data: bytes, where: str) -> None:
    """Raise ConfigError for a graph that is broken, dynamic, too new, or that keeps weights elsewhere."""
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError) as error:
        raise ConfigError(f"{where} is no ONNX model; export it with edge-train") from error
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise ConfigError(f"{where} keeps weights in another file; export it as one file")
    _lint_versions(model, where)
    _lint_shapes(model, where)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        words = " ".join(str(error).split())[:200]
        raise ConfigError(f"{where} is not valid ONNX ({words}); export it again with edge-train") from error


def _lint_versions(model: onnx.ModelProto, where: str) -> None:
    opsets = {opset.domain or "ai.onnx": opset.version for opset in model.opset_import}
    used = {node.domain or "ai.onnx" for node in model.graph.node}
    foreign = sorted(used - {"ai.onnx"})
    if foreign:
        raise ConfigError(f"{where} uses operators of {', '.join(foreign)}; export it with standard operators only")
    if opsets.get("ai.onnx") not in OPSETS:
        raise ConfigError(
            f"{where} has opset {opsets.get('ai.onnx')}; export it with one from {OPSETS[0]} to {OPSETS[-1]}"
        )
    if model.ir_version > NEWEST_IR:
        raise ConfigError(f"{where} has IR version {model.ir_version}; export it with at most {NEWEST_IR}")


def _lint_shapes(model: onnx.ModelProto, where: str) -> None:
    for value in (*model.graph.input, *model.graph.output):
        sizes = [size.dim_value for size in value.type.tensor_type.shape.dim]
        if not sizes or any(size < 1 for size in sizes):
            raise ConfigError(f"{where}: {value.name} has no fixed shape; export it for one picture of one size")
