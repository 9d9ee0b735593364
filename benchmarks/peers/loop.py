"""The process of one peer: it judges the same pictures again and again, and says how long each took.

It imports numpy and the peer, so that a peer may live in an environment that has no Kenpin.
"""

from __future__ import annotations

import json
import os
import sys
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

ORDERS = {False: bytes((0xA0, 1, 0, 0xA1)), True: bytes((0xA0, 1, 1, 0xA2))}  # a relay board's: off and on
WARM_UP = 10
PATIENCE_S = 30.0  # for one frame
UNDER_WAY = 4  # frames that a pipeline holds at once, where it can


@dataclass(frozen=True, slots=True)
class Task:
    """What every peer gets.

    `frames` are uint8 N x H x W x 3 (BGR). `model` is a student's ONNX: uint8 1 x `height` x `width` x `channels` (RGB
    or mono) in, "score" out; a score of `threshold` or more is a reject. `roi` is (x, y, width, height) of the frame,
    or None. `order` writes to the gate. `bundle` and `keys` are where the model came from.
    """

    frames: NDArray[np.uint8]
    model: bytes
    width: int
    height: int
    channels: int
    roi: tuple[int, int, int, int] | None
    threshold: float
    threads: int
    bundle: Path
    keys: Path
    order: Callable[[bool], None]


Step = Callable[[NDArray[np.uint8]], float]
"""Judge one frame, write the order where the peer does that, and return the score."""


@dataclass(frozen=True, slots=True)
class Pipelined:
    """A Step whose peer can take frames before it has judged the one before: `put` does not wait, `take` does."""

    put: Callable[[NDArray[np.uint8]], None]
    take: Callable[[], float]

    def __call__(self, frame: NDArray[np.uint8]) -> float:
        self.put(frame)
        return self.take()


class Gate:
    """A pseudo-terminal in place of a relay board; it is emptied outside the measured time."""

    def __init__(self) -> None:
        self._board, self._port = os.openpty()
        tty.setraw(self._port)
        os.set_blocking(self._board, False)

    def order(self, reject: bool) -> None:
        """Move the gate; returns when the driver has the bytes."""
        os.write(self._port, ORDERS[reject])

    def empty(self) -> int:
        """Take what was written; how many bytes that was."""
        try:
            return len(os.read(self._board, 4_096))
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self._port)
        os.close(self._board)


def measured(step: Step, task: Task, gate: Gate, seconds: float) -> dict[str, Any]:
    """Judge frames back to back for so long: each one's time in ns, the processor's in all, the scores of the
    first pass, bytes written; and of a pipeline what it does when it is kept full."""
    frames, written = task.frames, 0
    times: list[int] = []
    scores = [step(frames[number % len(frames)]) for number in range(max(WARM_UP, len(frames)))]
    gate.empty()
    began_ns, used_ns = time.monotonic_ns(), time.process_time_ns()
    until_ns = began_ns + round(seconds * 1e9)
    while (now_ns := time.monotonic_ns()) < until_ns or not times:
        step(frames[len(times) % len(frames)])
        times.append(time.monotonic_ns() - now_ns)
        written += gate.empty()
    elapsed_ns, used_ns = time.monotonic_ns() - began_ns, time.process_time_ns() - used_ns
    done = {
        "times_ns": times,
        "elapsed_ns": elapsed_ns,
        "used_ns": used_ns,
        "scores": scores[: len(frames)],
        "written": written,
    }
    return done | ({"full_per_s": _kept_full(step, frames, gate, seconds)} if isinstance(step, Pipelined) else {})


def _kept_full(pipe: Pipelined, frames: NDArray[np.uint8], gate: Gate, seconds: float) -> float:
    """Frames per second with UNDER_WAY of them in the pipeline at any time."""
    for number in range(UNDER_WAY):
        pipe.put(frames[number % len(frames)])
    taken, began_ns = 0, time.monotonic_ns()
    while (now_ns := time.monotonic_ns()) < began_ns + round(seconds * 1e9) or not taken:
        pipe.take()
        pipe.put(frames[taken % len(frames)])
        taken += 1
        gate.empty()
    for _ in range(UNDER_WAY):
        pipe.take()
    return taken * 1e9 / (now_ns - began_ns)


def task_of(folder: Path, gate: Gate) -> Task:
    """The task that the runner wrote into `folder`."""
    told = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    return Task(
        frames=np.load(folder / "frames.npy", allow_pickle=False),
        model=(folder / "model.onnx").read_bytes(),
        roi=None if told["roi"] is None else tuple(told["roi"]),
        bundle=Path(told["bundle"]),
        keys=Path(told["keys"]),
        order=gate.order,
        **{name: told[name] for name in ("width", "height", "channels", "threshold", "threads")},
    )


def _described(peer: ModuleType) -> dict[str, Any]:
    versions = {name: _version(name) for name in getattr(peer, "LIBRARIES", ())}
    return {"span": peer.SPAN, "versions": versions | getattr(peer, "VERSIONS", {})}


def _version(name: str) -> str:
    told: str | None = getattr(import_module(name), "__version__", None)
    return (told or version(name)).partition("-")[0]  # OpenVINO's goes on with its build


def main(module: str, folder: str, seconds: str) -> None:
    """Run one peer by its module's name; the result goes to a file beside the task."""
    peer, gate = import_module(module), Gate()
    try:
        task = task_of(Path(folder), gate)
        done = measured(peer.prepare(task), task, gate, float(seconds))
        (Path(folder) / "result.json").write_text(json.dumps(done | _described(peer)), encoding="utf-8")
    finally:
        gate.close()


if __name__ == "__main__":
    import_module("benchmarks.peers.loop").main(*sys.argv[1:])  # the module whose Pipelined the peers import
