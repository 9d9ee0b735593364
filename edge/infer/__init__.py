"""Inference engines, chosen by kind."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.clock import Clock
from edge.pixels import InputSpec
from edge.records import Scores

TABLE = {
    "ort": "edge.infer.ort:OrtEngine",
    "ov": "edge.infer.ov:OvEngine",
    "trt": "edge.infer.trt:TrtEngine",
}


class Engine(Protocol):
    """One loaded student. Built from its options model and, for tests, a Clock; used by one thread."""

    def __init__(self, options: Any, clock: Clock | None = None) -> None: ...

    @property
    def spec(self) -> InputSpec:
        """The geometry that the loaded model expects. Raises EngineError before `load`."""
        ...

    @property
    def input(self) -> NDArray[np.uint8]:
        """The fixed input buffer, uint8 1 x H x W x C: `pixels` writes into it, no copy is made after."""
        ...

    def prepare(self, model: bytes) -> None:
        """Build what `load` needs beyond the model, where this kind needs anything: once on a device, while nothing
        inspects. Raises EngineError."""
        ...

    def load(self, model: bytes) -> None:
        """Build the session, allocate the fixed buffers and run until warm. Raises EngineError."""
        ...

    def infer(self) -> Scores:
        """Run on what `input` holds; releases the GIL. Raises EngineError. Results live until the next call."""
        ...

    def close(self) -> None:
        """Free the session; never raises, may be called twice."""
        ...
