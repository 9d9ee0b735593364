"""Runs the student on the CPU with ONNX Runtime, on buffers that are allocated once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as state  # type: ignore[import-untyped]

from edge import options
from edge.clock import MS, Clock, SystemClock
from edge.errors import ConfigError, EngineError
from edge.pixels import FILL, STEP, InputSpec
from edge.records import Scores

INPUT_NAME = "image"
INPUT_KEY = "kenpin.input"
CLASSES_KEY = "kenpin.classes"
# steady: this many runs in a row were not clearly faster than the best before them
STEADY_RUNS = 5
FASTER = 0.95
WARM_UP_NS = 1_000 * MS
# a folder that no file can be in, so that a model in memory never reads weights from beside the process
NO_FOLDER = "/dev/null"
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

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A session with its geometry and the arrays that it reads from and writes into."""

    session: onnxruntime.InferenceSession
    binding: onnxruntime.SessionIOBinding
    spec: InputSpec
    classes: tuple[str, ...]
    input: NDArray[np.uint8]
    outputs: dict[str, Floats]


class OrtEngine:
    """One student in ONNX Runtime: `image` in, `score`, `heat_map`, `embedding` and maybe `class_scores` out.

    The model is given as bytes and must hold all its weights. Its metadata says the input's geometry
    (`kenpin.input`) and the defect classes (`kenpin.classes`). Used by one thread.
    """

    def __init__(self, options: options.OrtEngine, clock: Clock | None = None) -> None:
        self._options = options
        self._clock = clock or SystemClock()
        self._loaded: Loaded | None = None

    @property
    def input(self) -> NDArray[np.uint8]:
        """The fixed input buffer, uint8 1 x H x W x C; another one after each `load`. Raises EngineError before."""
        return self._ready().input

    @property
    def spec(self) -> InputSpec:
        """The geometry that the loaded model expects. Raises EngineError before `load`."""
        return self._ready().spec

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the defect classes, in the order of `class_scores`. Raises EngineError before `load`."""
        return self._ready().classes

    def load(self, model: bytes) -> None:
        """Build the session, check it against the student's contract and run it until its time is steady.

        Takes up to a second longer than the session's building. Raises EngineError; an earlier model then stays.
        """
        session = _session(model, self._options.threads)
        loaded = _bind(session)
        self._warm_up(loaded)
        self._loaded = loaded

    def infer(self) -> Scores:
        """Run on what `input` holds; releases the GIL. Raises EngineError. Results live until the next call.

        The score is passed on as it is, NaN too: the judge decides what may not be trusted.
        """
        loaded = self._ready()
        _run(loaded)
        outputs = loaded.outputs
        return Scores(
            float(outputs["score"][0]),
            outputs["heat_map"][0],
            outputs["embedding"][0],
            outputs["class_scores"][0],
        )

    def close(self) -> None:
        """Free the session; never raises, may be called twice."""
        self._loaded = None

    def _ready(self) -> Loaded:
        if self._loaded is None:
            raise EngineError("no model is loaded: load one before the engine is used")
        return self._loaded

    def _warm_up(self, loaded: Loaded) -> None:
        """Run until no run is clearly faster than those before it: the first ones pay for pages and caches."""
        until_ns = self._clock.now_ns() + WARM_UP_NS
        best_ns: int | None = None
        steady = 0
        while steady < STEADY_RUNS and self._clock.now_ns() < until_ns:
            began_ns = self._clock.now_ns()
            _run(loaded)
            took_ns = self._clock.now_ns() - began_ns
            steady = 0 if best_ns is None or took_ns < FASTER * best_ns else steady + 1
            best_ns = took_ns if best_ns is None else min(best_ns, took_ns)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """ONNX Runtime's exceptions as EngineError; `what` was tried."""
    try:
        yield
    except FOREIGN as error:
        words = " ".join(str(error).split())[:300]
        raise EngineError(f"{what} failed: {words}; compile the bundle again with edge-compile") from error


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


def _bind(session: onnxruntime.InferenceSession) -> Loaded:
    """Check the model's metadata, names, types and shapes; bind its input and outputs to arrays of our own."""
    spec, classes = _metadata(session)
    _check_tensors("input", session.get_inputs(), {INPUT_NAME: ("tensor(uint8)", spec.shape())})
    wanted = _output_shapes(session, spec, classes)
    _check_tensors("output", session.get_outputs(), {name: ("tensor(float)", wanted[name]) for name in wanted})
    image = np.full(spec.shape(), FILL, np.uint8)
    outputs: dict[str, Floats] = {name: np.zeros(shape, np.float32) for name, shape in wanted.items()}
    with _translated("binding the model's buffers"):
        binding = session.io_binding()
        binding.bind_ortvalue_input(INPUT_NAME, onnxruntime.OrtValue.ortvalue_from_numpy(image))
        for name, array in outputs.items():
            binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    outputs.setdefault("class_scores", np.zeros((1, 0), np.float32))
    return Loaded(session, binding, spec, classes, image, outputs)


def _metadata(session: onnxruntime.InferenceSession) -> tuple[InputSpec, tuple[str, ...]]:
    values = session.get_modelmeta().custom_metadata_map
    missing = [key for key in (INPUT_KEY, CLASSES_KEY) if key not in values]
    if missing:
        raise EngineError(f"the model's metadata lacks {' and '.join(missing)}; export it with edge-train")
    try:
        spec = InputSpec.from_json(values[INPUT_KEY])
        classes = json.loads(values[CLASSES_KEY])
    except (ConfigError, ValueError) as error:
        raise EngineError(f"the model's metadata cannot be read: {error}; export it with edge-train") from error
    if not isinstance(classes, list) or not all(isinstance(name, str) and name for name in classes):
        raise EngineError(f"the model's {CLASSES_KEY} is no list of class names; export it with edge-train")
    return spec, tuple(classes)


def _output_shapes(
    session: onnxruntime.InferenceSession, spec: InputSpec, classes: tuple[str, ...]
) -> dict[str, tuple[int, ...]]:
    """The outputs of a student with this input and these classes; the embedding's length is the model's own."""
    shapes: dict[str, tuple[int, ...]] = {"score": (1,), "heat_map": (1, spec.height // STEP, spec.width // STEP)}
    lengths = [tensor.shape[-1] for tensor in session.get_outputs() if tensor.name == "embedding" and tensor.shape]
    length = lengths[0] if lengths and isinstance(lengths[0], int) and lengths[0] > 0 else 1
    shapes["embedding"] = (1, length)
    if len(classes) >= 2:
        shapes["class_scores"] = (1, len(classes))
    return shapes


def _check_tensors(
    role: str, found: list[onnxruntime.NodeArg], wanted: dict[str, tuple[str, tuple[int, ...]]]
) -> None:
    """Raise EngineError unless the model has exactly the tensors `wanted`: name -> (type, shape)."""
    names = [tensor.name for tensor in found]
    if sorted(names) != sorted(wanted):
        raise EngineError(
            f"the model's {role}s are {', '.join(names)}, a student of its classes has {', '.join(wanted)}; "
            "export it with edge-train"
        )
    for tensor in found:
        kind, shape = wanted[tensor.name]
        if tensor.type != kind or tuple(tensor.shape) != shape:
            raise EngineError(
                f"the model's {role} {tensor.name!r} is {tensor.type} of shape {tensor.shape}, "
                f"a student has {kind} of shape {list(shape)}; export it with edge-train"
            )


def _run(loaded: Loaded) -> None:
    with _translated("running the model"):
        loaded.session.run_with_iobinding(loaded.binding)
