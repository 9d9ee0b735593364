"""Reads a student.onnx and refuses what could not run on every device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import onnx

from compile.lint import Finding, lint, refuse
from edge.errors import ConfigError
from edge.infer.contract import CLASSES_KEY, INPUT_KEY
from edge.pixels import InputSpec


@dataclass(frozen=True, slots=True, eq=False)
class Student:
    """A student that keeps the contract: its bytes, their SHA-256 in hex, input geometry, defect classes, and what
    lint found (no errors)."""

    model: bytes
    sha256: str
    spec: InputSpec
    classes: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


def read_student(path: Path, targets: Sequence[str] = ()) -> Student:
    """The student of a file: see `check_student`. Raises ConfigError."""
    return check_student(read_model(path), str(path), targets)


def read_model(path: Path) -> bytes:
    """The bytes of a model's file. Raises ConfigError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; give the student.onnx of edge-train") from error


def check_student(data: bytes, where: str, targets: Sequence[str] = ()) -> Student:
    """The student of these bytes, which the engines of all `targets` load; `where` stands in the message.

    Raises ConfigError that names each breach of the contract and its remedy.
    """
    found = lint(data, targets)
    refuse(found, where)
    metadata = {item.key: item.value for item in onnx.load_model_from_string(data).metadata_props}
    spec, classes = InputSpec.from_json(metadata[INPUT_KEY]), tuple(json.loads(metadata[CLASSES_KEY]))
    return Student(data, sha256(data).hexdigest(), spec, classes, tuple(found))
