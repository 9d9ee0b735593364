"""Runs the student on the CPU with OpenVINO, on buffers that are allocated once."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge import options
from edge.clock import Clock, SystemClock
from edge.errors import EngineError
from edge.infer.contract import (
    INPUT_NAME,
    Answer,
    Contract,
    Holding,
    Tensor,
    buffers,
    contract_of,
    warm_up,
)
from edge.pixels import FILL
from edge.records import Scores
from edge.weights import keeps_weights_elsewhere

# Importing OpenVINO sends a report over the network where its telemetry package is found. A station keeps everything on
# premises, so to OpenVINO that package is absent.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
openvino: Any = import_module("openvino")

DEVICE = "CPU"
FOREIGN = (RuntimeError, ValueError, TypeError)
KINDS = {"u8": "uint8", "f32": "float32"}


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A compiled model's request with its contract and the arrays that it reads from and writes into."""

    request: Any  # openvino.InferRequest
    contract: Contract
    input: NDArray[np.uint8]
    answer: Answer


class OvEngine(Holding[Loaded]):
    """One student in OpenVINO; see OrtEngine for the contract. Used by one thread.

    Sums are kept in float32: on processors with bfloat16 OpenVINO would take that by default, and its verdicts are
    others than those that were proven.
    """

    def __init__(self, options: options.OvEngine, clock: Clock | None = None) -> None:
        self._options = options
        self._clock = clock or SystemClock()
        self._core = openvino.Core()
        super().__init__()

    def prepare(self, model: bytes) -> None:
        """Nothing to build."""

    def load(self, model: bytes) -> None:
        """Compile the model, check it against the student's contract and run it until its time is steady.

        Takes up to a second longer than the compilation. Raises EngineError; an earlier model then stays.
        """
        with _translated("loading the model"):
            if keeps_weights_elsewhere(model):
                raise ValueError("it keeps weights in another file")
            read = self._core.read_model(model)
        contract = _contract(read)
        with _translated("loading the model"):
            compiled = self._core.compile_model(read, DEVICE, settings(self._options.threads))
            loaded = _bind(compiled.create_infer_request(), contract)
        warm_up(lambda: _run(loaded), self._clock)
        self._loaded = loaded

    def infer(self) -> Scores:
        """Run on what `input` holds; releases the GIL. Raises EngineError. Results live until the next call."""
        loaded = self._ready()
        _run(loaded)
        return loaded.answer.scores()

    def close(self) -> None:
        """Free the model; never raises, may be called twice."""
        self._loaded = None


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """OpenVINO's exceptions as EngineError; `what` was tried."""
    try:
        yield
    except FOREIGN as error:
        raise _failed(what, error) from error


def _failed(what: str, error: Exception) -> EngineError:
    words = " ".join(str(error).split())[:300]
    return EngineError(f"{what} failed: {words}; compile the bundle again with edge-compile")


def settings(threads: int) -> dict[str, Any]:
    """How a model is compiled for a station."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,  # the cores belong to capture too; systemd says which are ours
    }


def _contract(model: Any) -> Contract:
    """ONNX metadata come as runtime information below "framework"."""
    info = model.get_rt_info()
    stored = info["framework"] if "framework" in info else {}  # noqa: SIM401 - an RTMap has no get
    metadata = {key: str(getattr(value, "value", value)) for key, value in stored.items()}
    return contract_of(metadata, _tensors(model.inputs), _tensors(model.outputs))


def _tensors(ports: Sequence[Any]) -> list[Tensor]:
    return [Tensor(port.get_any_name(), _kind(port), _shape(port)) for port in ports]


def _kind(port: Any) -> str:
    name = str(port.get_element_type().get_type_name())
    return KINDS.get(name, name)


def _shape(port: Any) -> tuple[object, ...]:
    shape = port.get_partial_shape()
    return tuple(size.get_length() if size.is_static else str(size) for size in shape)


def _bind(request: Any, contract: Contract) -> Loaded:
    """Tensors over arrays of our own: nothing is copied around an inference."""
    image = np.full(contract.spec.shape(), FILL, np.uint8)
    outputs = buffers(contract)
    request.set_tensor(INPUT_NAME, openvino.Tensor(image, shared_memory=True))
    for name, array in outputs.items():
        request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
    return Loaded(request, contract, image, Answer(outputs))


def _run(loaded: Loaded) -> None:
    try:
        loaded.request.start_async()  # `infer` would look for inputs to copy first
        loaded.request.wait()
    except FOREIGN as error:
        raise _failed("running the model", error) from error
