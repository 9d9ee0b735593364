"""What every student promises, whatever engine runs it: its tensors, its geometry, and how it is warmed up."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge.clock import MS, Clock
from edge.errors import ConfigError, EngineError
from edge.pixels import STEP, InputSpec
from edge.records import Scores

INPUT_NAME = "image"
INPUT_KEY = "kenpin.input"
CLASSES_KEY = "kenpin.classes"
# steady: this many runs in a row were not clearly faster than the best before them
STEADY_RUNS = 5
FASTER = 0.95
WARM_UP_NS = 1_000 * MS

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output as the engine names it; `kind` is "uint8", "float32" or whatever else it found."""

    name: str
    kind: str
    shape: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Contract:
    """The geometry of a student's input, its defect classes, and the shapes of its outputs."""

    spec: InputSpec
    classes: tuple[str, ...]
    outputs: Mapping[str, tuple[int, ...]]


class Loaded(Protocol):
    """A student in an engine's memory: what it promises, and the array that it reads (uint8 1 x H x W x C)."""

    @property
    def contract(self) -> Contract: ...

    @property
    def input(self) -> NDArray[np.uint8]: ...


L = TypeVar("L", bound=Loaded)


class Holding(Generic[L]):
    """What every engine says of the student that it has loaded, if any."""

    def __init__(self) -> None:
        self._loaded: L | None = None

    @property
    def input(self) -> NDArray[np.uint8]:
        """The fixed input buffer, uint8 1 x H x W x C; another one after each `load`. Raises EngineError before."""
        return self._ready().input

    @property
    def spec(self) -> InputSpec:
        """The geometry that the loaded model expects. Raises EngineError before `load`."""
        return self._ready().contract.spec

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the defect classes, in the order of `class_scores`. Raises EngineError before `load`."""
        return self._ready().contract.classes

    def _ready(self) -> L:
        if self._loaded is None:
            raise EngineError("no model is loaded: load one before the engine is used")
        return self._loaded


def contract_of(metadata: Mapping[str, str], inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Contract:
    """What this model promises. Raises EngineError for one that is no student."""
    spec, classes = _metadata(metadata)
    _check("input", inputs, {INPUT_NAME: ("uint8", spec.shape())})
    shapes = _output_shapes(outputs, spec, classes)
    _check("output", outputs, {name: ("float32", shape) for name, shape in shapes.items()})
    return Contract(spec, classes, shapes)


def buffers(contract: Contract) -> dict[str, Floats]:
    """Fixed arrays for the outputs."""
    return {name: np.zeros(shape, np.float32) for name, shape in contract.outputs.items()}


class Answer:
    """The outputs without their batch dimension, as arrays that are made once: after an inference the processor's
    caches are full of it, and each call of Python then costs several times what it costs in a row."""

    def __init__(self, outputs: Mapping[str, Floats]) -> None:
        none = np.zeros((1, 0), np.float32)
        self._score = outputs["score"]
        self._heat_map, self._embedding = outputs["heat_map"][0], outputs["embedding"][0]
        self._class_scores = outputs.get("class_scores", none)[0]

    def scores(self) -> Scores:
        """What the outputs hold now. The score is passed on as it is, NaN too: the judge decides what may not be
        trusted."""
        return Scores(float(self._score[0]), self._heat_map, self._embedding, self._class_scores)


def warm_up(run: Callable[[], object], clock: Clock) -> None:
    """Run until no run is clearly faster than those before it, for a second at most: the first ones pay for pages and
    caches."""
    until_ns = clock.now_ns() + WARM_UP_NS
    best_ns: int | None = None
    steady = 0
    while steady < STEADY_RUNS and clock.now_ns() < until_ns:
        began_ns = clock.now_ns()
        run()
        took_ns = clock.now_ns() - began_ns
        steady = 0 if best_ns is None or took_ns < FASTER * best_ns else steady + 1
        best_ns = took_ns if best_ns is None else min(best_ns, took_ns)


def _metadata(values: Mapping[str, str]) -> tuple[InputSpec, tuple[str, ...]]:
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
    outputs: Sequence[Tensor], spec: InputSpec, classes: tuple[str, ...]
) -> dict[str, tuple[int, ...]]:
    """The outputs of a student with this input and these classes; the embedding's length is the model's own."""
    shapes: dict[str, tuple[int, ...]] = {"score": (1,), "heat_map": (1, spec.height // STEP, spec.width // STEP)}
    lengths = [tensor.shape[-1] for tensor in outputs if tensor.name == "embedding" and tensor.shape]
    length = lengths[0] if lengths and isinstance(lengths[0], int) and lengths[0] > 0 else 1
    shapes["embedding"] = (1, length)
    if len(classes) >= 2:
        shapes["class_scores"] = (1, len(classes))
    return shapes


def _check(role: str, found: Sequence[Tensor], wanted: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    """Raise EngineError unless the model has exactly the tensors `wanted`: name -> (kind, shape)."""
    names = [tensor.name for tensor in found]
    if sorted(names) != sorted(wanted):
        raise EngineError(
            f"the model's {role}s are {', '.join(names)}, a student of its classes has {', '.join(wanted)}; "
            "export it with edge-train"
        )
    for tensor in found:
        kind, shape = wanted[tensor.name]
        if tensor.kind != kind or tensor.shape != shape:
            raise EngineError(
                f"the model's {role} {tensor.name!r} is {tensor.kind} of shape {list(tensor.shape)}, "
                f"a student has {kind} of shape {list(shape)}; export it with edge-train"
            )
