"""`python -m compile.confirm DIR`: runs the engines of `edge-compile engines` on this machine's NVIDIA GPU.

It prints what only a GPU tells: how fast each engine is, and by how much its scores differ from those that ONNX Runtime
computed where the engines were built. It needs tensorrt-rtx-cu13, cuda-bindings and numpy, no torch and no onnx.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compile.rtx import INPUT, PICTURES, PRECISIONS, REPORT, library
from edge.clock import MS, Clock, SystemClock
from edge.errors import ConfigError, EngineError, KenpinError
from edge.kinds import find

if TYPE_CHECKING:
    from edge.gpu import Gpu, Shared  # it needs CUDA's bindings

WARM_UP, RUNS = 50, 500
AGREES = 1e-3  # of FP32: other sums of the same network differ in the last digits only


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 where every engine ran and FP32 agrees, else that of the error, or 1."""
    parser = argparse.ArgumentParser(prog="python -m compile.confirm", description=__doc__)
    parser.add_argument("folder", type=Path, help="what edge-compile engines wrote")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"timed inferences of each engine (default {RUNS})")
    options = parser.parse_args(arguments)
    try:
        return confirm(options.folder, options.runs, SystemClock())
    except KenpinError as error:
        print(f"compile.confirm: {error}", file=sys.stderr)
        return error.exit_code


def confirm(folder: Path, runs: int, clock: Clock) -> int:
    """Run and print. Raises ConfigError for a folder that is none of engines or a missing library, EngineError without
    a GPU, or where an engine does not run."""
    report, pictures = _read(folder)
    trt, gpu = library(), _gpu()
    print(f"{gpu.name}; TensorRT-RTX {trt.__version__}, engines built with {report['tensorrt_rtx']}")
    print(
        "| engine | p50 ms | p99 ms | score differs from FP32 by ONNX Runtime | from its own model by ONNX Runtime |"
    )
    print("| --- | --- | --- | --- | --- |")
    agrees = True
    for precision in PRECISIONS:
        runner = Runner(trt, gpu, (folder / f"{precision}.engine").read_bytes())
        scores = [runner.score(picture) for picture in pictures]
        if not np.isfinite(scores).all():
            raise EngineError(f"the {precision.upper()} engine gives scores that are no numbers: do not use it")
        times = timed(runner, pictures, runs, clock)
        off, own = (largest_gap(scores, report["scores"][name]) for name in ("fp32", precision))
        p50, p99 = np.percentile(times, 50), np.percentile(times, 99)
        print(f"| {precision} | {p50:.3f} | {p99:.3f} | {off:.5f} | {own:.5f} |")
        agrees = agrees and (precision != "fp32" or off <= AGREES)
    print(
        "FP32 agrees" if agrees else f"FP32 differs by more than {AGREES:g}: report this, do not use these engines"
    )
    return 0 if agrees else 1


def _gpu() -> Gpu:
    """Raises ConfigError without CUDA's bindings, EngineError without a GPU."""
    made: type[Gpu] = find({"cuda": "edge.gpu:Gpu"}, "cuda", "GPU")
    return made()


def _read(folder: Path) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    try:
        report: dict[str, Any] = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        return report, np.load(folder / PICTURES, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} holds no engines ({error}): make them with edge-compile engines") from error


class Runner:
    """One engine with its buffers. Raises EngineError."""

    def __init__(self, trt: Any, gpu: Gpu, plan: bytes) -> None:
        self._gpu = gpu
        engine = trt.Runtime(trt.Logger(trt.Logger.WARNING)).deserialize_cuda_engine(plan)
        if engine is None:
            raise EngineError("TensorRT-RTX does not load the engine: build it for this GPU with --capability")
        self._context = engine.create_execution_context()
        self._shared: dict[str, Shared] = {}
        for number in range(engine.num_io_tensors):
            name = engine.get_tensor_name(number)
            kind = trt.nptype(engine.get_tensor_dtype(name))
            self._shared[name] = gpu.share(tuple(engine.get_tensor_shape(name)), kind)
            self._context.set_tensor_address(name, self._shared[name].device)

    def score(self, picture: NDArray[np.uint8]) -> float:
        """The score of one input, uint8 H x W x C; waits for it."""
        gpu, image, score = self._gpu, self._shared[INPUT], self._shared["score"]
        np.copyto(image.host[0], picture)
        gpu.bring(image)
        if not self._context.execute_async_v3(int(gpu.stream)):
            raise EngineError("the engine did not run: see what TensorRT-RTX said above")
        gpu.fetch(score)
        gpu.wait()
        return float(score.host.flat[0])


def timed(runner: Runner, pictures: NDArray[np.uint8], runs: int, clock: Clock) -> list[float]:
    """Each of so many inferences in ms, copies included, after a warm-up."""
    times = []
    for number in range(WARM_UP + runs):
        began_ns = clock.now_ns()
        runner.score(pictures[number % len(pictures)])
        times.append((clock.now_ns() - began_ns) / MS)
    return times[WARM_UP:]


def largest_gap(scores: list[float], expected: list[float]) -> float:
    """By how much two lists of scores of the same pictures are at most apart."""
    return max(abs(one - other) for one, other in zip(scores, expected, strict=True))


if __name__ == "__main__":
    sys.exit(main())
