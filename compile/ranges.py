"""What calibration pictures reach in each tensor, picture by picture: ranges are their extremes over all of them."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod  # type: ignore[import-untyped]
from onnxruntime.quantization.calibrate import create_calibrator  # type: ignore[import-untyped]
from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]

from edge.infer.contract import INPUT_NAME

QUANTIZED = ("Conv", "Add", "Concat", "Clip", "Relu", "MaxPool", "AveragePool", "Resize", "Slice")
LEAST, GREATEST = "_ReduceMin", "_ReduceMax"  # how the quantizer's own calibration names its outputs

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Extremes:
    """The least and the greatest value of each tensor in each picture: float32 pictures x tensors."""

    names: tuple[str, ...]
    low: Floats
    high: Floats

    def drawn(self, places: NDArray[np.int64]) -> Extremes:
        """Those of the pictures at these places, some perhaps several times."""
        return Extremes(self.names, self.low[places], self.high[places])

    def ranges(self) -> dict[str, tuple[np.float32, np.float32]]:
        """Of each tensor the extremes over all pictures."""
        return dict(zip(self.names, zip(np.nanmin(self.low, 0), np.nanmax(self.high, 0), strict=True), strict=True))

    def widths(self) -> Floats:
        """The width of each range as INT8 takes it: zero is always within."""
        high, low = np.nanmax(self.high, 0), np.nanmin(self.low, 0)
        return np.asarray(np.maximum(high, 0) - np.minimum(low, 0), np.float32)


def measure(model: bytes, inputs: Sequence[Image]) -> Extremes:
    """The extremes of all tensors that may be quantized; inputs: uint8 1 x H x W x C. Takes about two float inferences
    of each."""
    with tempfile.TemporaryDirectory(prefix="kenpin-") as folder, quiet():
        prepared = prepare(model, Path(folder))
        telling = str(Path(folder) / "telling.onnx")
        session = create_calibrator(prepared, list(QUANTIZED), telling, CalibrationMethod.MinMax).infer_session
        told = [one.name for one in session.get_outputs()]
        names = sorted(name.removesuffix(LEAST) for name in told if name.endswith(LEAST))
        asked = [name + end for end in (LEAST, GREATEST) for name in names]
        rows = [np.concatenate(session.run(asked, {INPUT_NAME: image})) for image in inputs]
    low, high = np.split(np.asarray(rows, np.float32), 2, axis=1)
    return Extremes(tuple(names), low, high)


def prepare(model: bytes, folder: Path) -> Path:
    """The model as the quantizer wants it, in a file of this folder."""
    plain, prepared = folder / "plain.onnx", folder / "prepared.onnx"
    onnx.save(_named(onnx.load_model_from_string(model)), plain)
    quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
    return prepared


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Nodes are kept in float by name: give one to those that lack it."""
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{number}"
    return model


@contextmanager
def quiet(prints: bool = False) -> Iterator[None]:
    """The quantizer logs advice that is followed already, and its histograms print what they do."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()) if prints else nullcontext():
            yield
    finally:
        root.setLevel(before)
