"""One NVIDIA GPU by CUDA's runtime: a stream, and arrays that it shares with the processor.

On a GPU that shares the processor's memory (Jetson) both use the same page-locked bytes and nothing is copied; others
have a copy of their own, which the stream brings over.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import EngineError

cuda: Any = import_module("cuda.bindings.runtime")


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """`host` is page-locked memory of this process, `device` the address at which the GPU has it, or its copy."""

    host: NDArray[Any]
    device: int
    is_copy: bool


class Gpu:
    """The first GPU of this machine. Used by one thread; all calls raise EngineError."""

    def __init__(self) -> None:
        error, count = cuda.cudaGetDeviceCount()
        if error != cuda.cudaError_t.cudaSuccess or not count:
            raise EngineError(
                f"no NVIDIA GPU that can be used here ({error.name}): check the driver with nvidia-smi, or choose "
                "another [engine]"
            )
        _asked(cuda.cudaSetDevice(0))
        found = _asked(cuda.cudaGetDeviceProperties(0))
        self.name = f"{found.name.decode()} {found.major}.{found.minor}"
        self.driver = int(_asked(cuda.cudaDriverGetVersion()))
        self._is_integrated = bool(found.integrated) and bool(found.canMapHostMemory)
        self._shared: list[Shared] = []
        self.stream = _asked(cuda.cudaStreamCreateWithFlags(cuda.cudaStreamNonBlocking))
        # whoever waits for it sleeps: the cores belong to capture and to the line
        self._done = _asked(cuda.cudaEventCreateWithFlags(cuda.cudaEventBlockingSync | cuda.cudaEventDisableTiming))

    def share(self, shape: tuple[int, ...], kind: type[Any]) -> Shared:
        """Memory for an array, until `close`."""
        size = max(1, int(np.prod(shape)) * np.dtype(kind).itemsize)
        flags = cuda.cudaHostAllocMapped if self._is_integrated else cuda.cudaHostAllocDefault
        pointer = int(_asked(cuda.cudaHostAlloc(size, flags)))
        there = cuda.cudaHostGetDevicePointer(pointer, 0) if self._is_integrated else cuda.cudaMalloc(size)
        plain = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(pointer))
        host = plain[: int(np.prod(shape)) * np.dtype(kind).itemsize].view(kind).reshape(shape)
        made = Shared(host, int(_asked(there)), not self._is_integrated)
        self._shared.append(made)
        return made

    def bring(self, shared: Shared) -> None:
        """To the GPU, in the stream's order."""
        if shared.is_copy:
            self._copy(shared.device, shared.host.ctypes.data, shared, cuda.cudaMemcpyKind.cudaMemcpyHostToDevice)

    def fetch(self, shared: Shared) -> None:
        """From the GPU, in the stream's order."""
        if shared.is_copy:
            self._copy(shared.host.ctypes.data, shared.device, shared, cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost)

    def _copy(self, to: int, origin: int, shared: Shared, way: Any) -> None:
        _asked(cuda.cudaMemcpyAsync(to, origin, shared.host.nbytes, way, self.stream))

    def wait(self) -> None:
        """Until the stream has done all; releases the GIL."""
        _asked(cuda.cudaEventRecord(self._done, self.stream))
        _asked(cuda.cudaEventSynchronize(self._done))

    def close(self) -> None:
        """Free what was shared; never raises. Nobody may use those arrays any more."""
        cuda.cudaStreamSynchronize(self.stream)
        for shared in self._shared:
            if shared.is_copy:
                cuda.cudaFree(shared.device)
            cuda.cudaFreeHost(shared.host.ctypes.data)
        self._shared = []
        cuda.cudaEventDestroy(self._done)
        cuda.cudaStreamDestroy(self.stream)


def _asked(answer: tuple[Any, ...]) -> Any:
    """What a call returned, without its status. Raises EngineError."""
    error, *values = answer
    if error != cuda.cudaError_t.cudaSuccess:
        raise EngineError(f"CUDA failed with {error.name}: look at dmesg and nvidia-smi, then start again")
    return values[0] if values else None
