"""TensorRT-RTX as this project uses it: the library, and what a folder of engines holds."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from edge.errors import ConfigError

PRECISIONS = ("fp32", "fp16", "int8")
INPUT = "image"  # as in edge/infer/contract.py, which brings OpenCV along
REPORT, PICTURES = "engines.json", "pictures.npy"


def library() -> Any:
    """The module. Raises ConfigError where it is not installed."""
    try:
        return import_module("tensorrt_rtx")
    except ImportError as error:
        raise ConfigError(
            f"no TensorRT-RTX ({error}): pip install tensorrt-rtx-cu13, see docs/tensorrt.md"
        ) from error
