"""Runs the student on the CPU with ONNX Runtime, on buffers that are allocated once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as state  # type: ignore[import-untyped]

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

# a folder that no file can be in, so that a model in memory never reads weights from beside the process
NO_FOLDER = "/dev/null"
KINDS = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}
FOREIGN = (
    state.EngineError,
    state.EPFail,
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.ModelLoaded,
    state.NoModel,
    state.NoSuchFile,
    state.NotImplemented,
    state.RuntimeException,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A session with its contract and the arrays that it reads from and writes into."""

    session: onnxruntime.InferenceSession
    binding: onnxruntime.SessionIOBinding
    contract: Contract
    input: NDArray[np.uint8]
    answer: Answer


class OrtEngine(Holding[Loaded]):
    """One student in ONNX Runtime: `image` in, `score`, `heat_map`, `embedding` and maybe `class_scores` out.

    The model is given as bytes and must hold all its weights. Its metadata says the input's geometry
    (`kenpin.input`) and the defect classes (`kenpin.classes`). Used by one thread.
    """

    def __init__(self, options: options.OrtEngine, clock: Clock | None = None) -> None:
        self._options = options
        self._clock = clock or SystemClock()
        super().__init__()

    def prepare(self, model: bytes) -> None:
        """Nothing to build."""

    def load(self, model: bytes) -> None:
        """Build the session, check it against the student's contract and run it until its time is steady.

        Takes up to a second longer than the session's building. Raises EngineError; an earlier model then stays.
        """
        loaded = _bind(_session(model, self._options.threads))
        warm_up(lambda: _run(loaded), self._clock)
        self._loaded = loaded

    def infer(self) -> Scores:
        """Run on what `input` holds; releases the GIL. Raises EngineError. Results live until the next call."""
        loaded = self._ready()
        _run(loaded)
        return loaded.answer.scores()

    def close(self) -> None:
        """Free the session; never raises, may be called twice."""
        self._loaded = None


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """ONNX Runtime's exceptions as EngineError; `what` was tried."""
    try:
        yield
    except FOREIGN as error:
        raise _failed(what, error) from error


def _failed(what: str, error: Exception) -> EngineError:
    words = " ".join(str(error).split())[:300]
    return EngineError(f"{what} failed: {words}; compile the bundle again with edge-compile")


def _session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    settings.log_severity_level = 4  # what it would print is in the exception
    # It matters from two threads on, and takes the core that capture needs. ResNet-18 at 256 x 256 at 20/s, 2 threads
    # on 2 cores, spinning: p50 10.5 ms, 34 to 40 ms once another process wants the core, 8.4 CPU s in 8 s; without:
    # 19 ms in every case, as with 1 thread, and 3.4 CPU s.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.add_session_config_entry("session.model_external_initializers_file_folder_path", NO_FOLDER)
    with _translated("loading the model"):
        return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def contract_in(model: bytes) -> Contract:
    """What this model promises, whatever engine will run it. Raises EngineError."""
    return _contract(_session(model, 1))


def _contract(session: onnxruntime.InferenceSession) -> Contract:
    return contract_of(
        session.get_modelmeta().custom_metadata_map,
        _tensors(session.get_inputs()),
        _tensors(session.get_outputs()),
    )


def _tensors(nodes: Sequence[onnxruntime.NodeArg]) -> list[Tensor]:
    return [Tensor(node.name, KINDS.get(node.type, node.type), tuple(node.shape)) for node in nodes]


def _bind(session: onnxruntime.InferenceSession) -> Loaded:
    """Check the model against the contract; bind its input and outputs to arrays of our own."""
    contract = _contract(session)
    image = np.full(contract.spec.shape(), FILL, np.uint8)
    outputs = buffers(contract)
    with _translated("binding the model's buffers"):
        binding = session.io_binding()
        binding.bind_ortvalue_input(INPUT_NAME, onnxruntime.OrtValue.ortvalue_from_numpy(image))
        for name, array in outputs.items():
            binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    return Loaded(session, binding, contract, image, Answer(outputs))


def _run(loaded: Loaded) -> None:
    try:
        loaded.session.run_with_iobinding(loaded.binding)
    except FOREIGN as error:
        raise _failed("running the model", error) from error
