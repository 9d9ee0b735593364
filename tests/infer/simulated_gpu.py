"""A machine with a GPU, simulated: CUDA's runtime and TensorRT as far as Kenpin calls them, computed by ONNX Runtime.

It holds the engine to what a GPU would: device memory is other memory than the host's unless the GPU is integrated,
copies happen when the stream runs them, and an engine runs only where it was built.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest

MODULES = ("edge.gpu", "edge.infer.trt")
_KINDS = {onnx.TensorProto.UINT8: np.uint8, onnx.TensorProto.FLOAT: np.float32}


_Status = IntEnum("_Status", {"cudaSuccess": 0, "cudaErrorNoDevice": 100, "cudaErrorIllegalAddress": 700})


@dataclass
class Machine:
    """What its GPU is, and what happened. `fails`: from now on the stream is broken."""

    name: str = "Simulated GPU"
    integrated: bool = False
    count: int = 1
    driver: int = 12_060
    fails: bool = False
    builds: int = 0
    copies: int = 0
    held: dict[int, Any] = field(default_factory=dict)  # memory by its address
    queue: list[Callable[[], None]] = field(default_factory=list)

    def allocate(self, size: int) -> int:
        memory = ctypes.create_string_buffer(size)
        self.held[ctypes.addressof(memory)] = memory
        return ctypes.addressof(memory)

    def free(self, address: int) -> None:
        del self.held[address]

    def run(self) -> None:
        while self.queue:
            self.queue.pop(0)()


def _cuda(machine: Machine) -> ModuleType:
    def answer(*values: Any) -> tuple[Any, ...]:
        return (_Status.cudaErrorIllegalAddress if machine.fails else _Status.cudaSuccess, *values)

    def copy(to: int, origin: int, size: int, _way: object, _stream: object) -> tuple[Any, ...]:
        machine.copies += 1
        machine.queue.append(lambda: ctypes.memmove(to, origin, size))
        return answer()

    def wait(_what: object) -> tuple[Any, ...]:
        machine.run()
        return answer()

    def there(pointer: int, _flags: int) -> tuple[Any, ...]:
        assert machine.integrated and pointer in machine.held
        return answer(pointer)

    def free(address: int) -> tuple[Any, ...]:
        machine.free(address)
        return answer()

    nothing = (_Status.cudaErrorNoDevice, 0)
    properties = SimpleNamespace(
        name=machine.name.encode(), major=8, minor=7, integrated=int(machine.integrated), canMapHostMemory=1
    )
    module = ModuleType("cuda.bindings.runtime")
    vars(module).update(
        cudaError_t=_Status,
        cudaGetDeviceCount=lambda: answer(machine.count) if machine.count else nothing,
        cudaSetDevice=lambda _number: answer(),
        cudaGetDeviceProperties=lambda _number: answer(properties),
        cudaDriverGetVersion=lambda: answer(machine.driver),
        cudaStreamNonBlocking=1,
        cudaStreamCreateWithFlags=lambda _flags: answer(7),
        cudaStreamSynchronize=wait,
        cudaStreamDestroy=lambda _stream: answer(),
        cudaEventBlockingSync=1,
        cudaEventDisableTiming=2,
        cudaEventCreateWithFlags=lambda _flags: answer(8),
        cudaEventRecord=lambda _event, _stream: answer(),
        cudaEventSynchronize=wait,
        cudaEventDestroy=lambda _event: answer(),
        cudaHostAllocMapped=2,
        cudaHostAllocDefault=0,
        cudaHostAlloc=lambda size, _flags: answer(machine.allocate(size)),
        cudaHostGetDevicePointer=there,
        cudaMalloc=lambda size: answer(machine.allocate(size)),
        cudaFree=free,
        cudaFreeHost=free,
        cudaMemcpyKind=SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2),
        cudaMemcpyAsync=copy,
    )
    return module


class _Context:
    def __init__(self, machine: Machine, model: bytes) -> None:
        self._machine = machine
        self._addresses: dict[str, int] = {}
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert address in self._machine.held, "an address of this GPU"
        self._addresses[name] = address
        return True

    def execute_async_v3(self, _stream: int) -> bool:
        if self._machine.fails:
            return False
        self._machine.queue.append(self._run)
        return True

    def _run(self) -> None:
        (image,) = self._session.get_inputs()
        size = int(np.prod(image.shape))
        seen = np.frombuffer(ctypes.string_at(self._addresses[image.name], size), np.uint8).reshape(image.shape)
        names = [output.name for output in self._session.get_outputs()]
        for name, values in zip(names, self._session.run(names, {image.name: seen}), strict=True):
            ctypes.memmove(self._addresses[name], np.ascontiguousarray(values).ctypes.data, values.nbytes)


class _Engine:
    def __init__(self, machine: Machine, model: bytes) -> None:
        self._machine, self._model = machine, model
        graph = onnx.load_model_from_string(model).graph
        self._tensors = {tensor.name: tensor.type.tensor_type for tensor in [*graph.input, *graph.output]}
        self.num_io_tensors = len(self._tensors)

    def get_tensor_name(self, number: int) -> str:
        return list(self._tensors)[number]

    def get_tensor_dtype(self, name: str) -> int:
        return int(self._tensors[name].elem_type)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(dimension.dim_value for dimension in self._tensors[name].shape.dim)

    def create_execution_context(self) -> _Context:
        return _Context(self._machine, self._model)


def _tensorrt(machine: Machine) -> ModuleType:
    def parser(network: dict[str, bytes], _logger: object) -> Any:
        def parse(model: bytes) -> bool:
            try:
                onnx.checker.check_model(onnx.load_model_from_string(model))
            except Exception:
                return False
            network["model"] = model
            return True

        return SimpleNamespace(
            parse=parse, num_errors=1, get_error=lambda _number: SimpleNamespace(desc=lambda: "it is no model")
        )

    def build(network: dict[str, bytes], config: Any) -> bytes:
        assert "TF32" in config.cleared and config.pools
        machine.builds += 1
        return f"{machine.name}\n".encode() + network["model"]

    def config() -> Any:
        made = SimpleNamespace(cleared=[], pools=[])
        made.clear_flag = made.cleared.append
        made.set_memory_pool_limit = lambda pool, size: made.pools.append((pool, size))
        return made

    def deserialize(plan: bytes) -> _Engine | None:
        name, _, model = plan.partition(b"\n")
        return _Engine(machine, model) if name.decode() == machine.name else None

    builder = SimpleNamespace(
        create_network=lambda _flags: {}, create_builder_config=config, build_serialized_network=build
    )
    module = ModuleType("tensorrt")
    vars(module).update(
        __version__="10.3.0",
        Logger=type("Logger", (), {"ERROR": 1, "__init__": lambda self, _level: None}),
        Builder=lambda _logger: builder,
        OnnxParser=parser,
        Runtime=lambda _logger: SimpleNamespace(deserialize_cuda_engine=deserialize),
        NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1),
        MemoryPoolType=SimpleNamespace(WORKSPACE="WORKSPACE"),
        BuilderFlag=SimpleNamespace(TF32="TF32"),
        nptype=_KINDS.__getitem__,
    )
    return module


@contextmanager
def simulated(machine: Machine) -> Iterator[Machine]:
    """While it lasts `import tensorrt` and CUDA's runtime are this machine's."""
    cuda = _cuda(machine)
    bindings = ModuleType("cuda.bindings")
    vars(bindings)["runtime"] = cuda
    with pytest.MonkeyPatch.context() as patch:
        for name, module in {
            "cuda": ModuleType("cuda"), "cuda.bindings": bindings, "cuda.bindings.runtime": cuda,
            "tensorrt": _tensorrt(machine),
        }.items():  # fmt: skip
            patch.setitem(sys.modules, name, module)
        for name in MODULES:
            patch.delitem(sys.modules, name, raising=False)
        try:
            yield machine
        finally:
            for name in MODULES:
                sys.modules.pop(name, None)
