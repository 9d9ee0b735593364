"""Runs the student on an NVIDIA GPU with TensorRT, on buffers that are allocated once.

`prepare` builds the engine on this device, when a bundle is installed; `load` takes only one that was built here:
building takes minutes, and every build computes otherwise in the last digits. So what runs is what was accepted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge import options
from edge.clock import Clock, SystemClock
from edge.errors import EngineError
from edge.gpu import Gpu, Shared
from edge.infer.contract import INPUT_NAME, Answer, Contract, Holding, warm_up
from edge.infer.engine_cache import EngineCache
from edge.infer.ort import contract_in
from edge.pixels import FILL
from edge.records import Scores
from edge.weights import keeps_weights_elsewhere

log = logging.getLogger(__name__)

_WORKSPACE = 1 << 30  # bytes that the builder may try tactics in
_FOREIGN = (RuntimeError, ValueError, TypeError, MemoryError)


def _library() -> Any:
    """TensorRT as JetPack brings it, else TensorRT-RTX for the GPUs of PCs: both have this interface."""
    try:
        return import_module("tensorrt")
    except ModuleNotFoundError:
        return import_module("tensorrt_rtx")


trt: Any = _library()


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """An engine's context with its contract and the arrays that both sides have."""

    gpu: Gpu
    context: Any  # trt.IExecutionContext
    contract: Contract
    image: Shared
    outputs: Mapping[str, Shared]
    answer: Answer

    @property
    def input(self) -> NDArray[np.uint8]:
        return self.image.host


class TrtEngine(Holding[Loaded]):
    """One student in TensorRT; see OrtEngine for the contract. Used by one thread.

    The network is strongly typed: what runs in INT8 or FP16 stands in the model. TF32 is off, or FP32 would be
    something else than what was proven.
    """

    def __init__(self, options: options.TrtEngine, clock: Clock | None = None) -> None:
        self._cache = EngineCache(options.engines_dir or Path("/var/lib/kenpin/engines"))
        self._clock = clock or SystemClock()
        super().__init__()

    def prepare(self, model: bytes) -> None:
        """Build the engine and keep it, where this machine has none. Takes minutes. Raises EngineError."""
        contract_in(model)
        gpu = Gpu()
        try:
            origin = _origin(model, gpu)
            if self._cache.find(origin) is None:
                log.info("building an engine for %s: this takes minutes", gpu.name)
                self._cache.keep(origin, build(model))
        finally:
            gpu.close()

    def load(self, model: bytes) -> None:
        """Take up the engine that was built for this machine and run it until its time is steady.

        Raises EngineError, also where none was built; an earlier model then stays.
        """
        contract = contract_in(model)
        gpu = Gpu()
        try:
            engine = self._cache.find(_origin(model, gpu))
            if engine is None:
                raise EngineError(
                    f"no engine of this model was built for {gpu.name} with this driver and TensorRT "
                    f"{trt.__version__}: run `edge install` with its bundle again, while the line stands"
                )
            loaded = _bind(engine, contract, gpu)
            warm_up(lambda: _run(loaded), self._clock)
        except EngineError:
            gpu.close()
            raise
        self.close()
        self._loaded = loaded

    def infer(self) -> Scores:
        """Run on what `input` holds; releases the GIL. Raises EngineError. Results live until the next call."""
        loaded = self._ready()
        _run(loaded)
        return loaded.answer.scores()

    def close(self) -> None:
        """Free engine and buffers; never raises, may be called twice."""
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            loaded.gpu.close()


def build(model: bytes) -> bytes:
    """An engine for the GPU of this machine. Raises EngineError where TensorRT refuses the model."""
    with _translated("building the engine"):
        if keeps_weights_elsewhere(model):
            raise ValueError("the model keeps weights in another file")
        builder = trt.Builder(_logger())
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, _logger())
        if not parser.parse(model):
            raise ValueError("; ".join(parser.get_error(number).desc() for number in range(parser.num_errors)))
        config = builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE)
        config.clear_flag(trt.BuilderFlag.TF32)
        made = builder.build_serialized_network(network, config)
        if made is None:
            raise ValueError("TensorRT builds none; it says why on standard error")
        return bytes(made)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """TensorRT's exceptions as EngineError; `what` was tried."""
    try:
        yield
    except _FOREIGN as error:
        words = " ".join(str(error).split())[:300]
        raise EngineError(f"{what} failed: {words}; compile the bundle again with edge-compile") from error


def _logger() -> Any:
    return trt.Logger(trt.Logger.ERROR)


def _origin(model: bytes, gpu: Gpu) -> dict[str, str]:
    """All that decides which engine comes out."""
    return {
        "model": sha256(model).hexdigest(),
        "gpu": gpu.name,
        "driver": str(gpu.driver),
        "library": f"{trt.__name__} {trt.__version__}",
        "workspace": str(_WORKSPACE),
    }


def _bind(engine: bytes, contract: Contract, gpu: Gpu) -> Loaded:
    """Give every tensor its fixed memory."""
    with _translated("loading the engine"):
        made = trt.Runtime(_logger()).deserialize_cuda_engine(engine)
        if made is None:
            raise ValueError("TensorRT does not take the engine that was built here")
        context = made.create_execution_context()
    image = gpu.share(contract.spec.shape(), np.uint8)
    image.host[...] = FILL
    outputs = {name: gpu.share(shape, np.float32) for name, shape in contract.outputs.items()}
    names = [made.get_tensor_name(number) for number in range(made.num_io_tensors)]
    wanted = {INPUT_NAME: image, **outputs}
    if sorted(names) != sorted(wanted):
        raise EngineError(f"the engine's tensors are {', '.join(names)}, the model's {', '.join(wanted)}")
    for name, shared in wanted.items():
        kind, shape = trt.nptype(made.get_tensor_dtype(name)), tuple(made.get_tensor_shape(name))
        if np.dtype(kind) != shared.host.dtype or shape != shared.host.shape:
            raise EngineError(f"the engine's {name} is {np.dtype(kind)} of shape {shape}: the model says otherwise")
        context.set_tensor_address(name, shared.device)
    answer = Answer({name: shared.host for name, shared in outputs.items()})
    return Loaded(gpu, context, contract, image, outputs, answer)


def _run(loaded: Loaded) -> None:
    gpu = loaded.gpu
    gpu.bring(loaded.image)
    with _translated("running the engine"):
        if not loaded.context.execute_async_v3(int(gpu.stream)):
            raise ValueError("TensorRT did not take the inference; it says why on standard error")
    for shared in loaded.outputs.values():
        gpu.fetch(shared)
    gpu.wait()
