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
    """Judge frames back to back for so long: each one's time in ns, the scores of the first pass, bytes written."""
    frames, written = task.frames, 0
    times: list[int] = []
    scores = [step(frames[number % len(frames)]) for number in range(max(WARM_UP, len(frames)))]
    gate.empty()
    began_ns = time.monotonic_ns()
    until_ns = began_ns + round(seconds * 1e9)
    while (now_ns := time.monotonic_ns()) < until_ns or not times:
        step(frames[len(times) % len(frames)])
        times.append(time.monotonic_ns() - now_ns)
        written += gate.empty()
    elapsed_ns = time.monotonic_ns() - began_ns
    return {"times_ns": times, "elapsed_ns": elapsed_ns, "scores": scores[: len(frames)], "written": written}


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
    libraries = getattr(peer, "LIBRARIES", ())
    return {"span": peer.SPAN, "versions": {name: _version(name) for name in libraries}}


def _version(name: str) -> str:
    told: str | None = getattr(import_module(name), "__version__", None)
    return told or version(name)


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
    main(*sys.argv[1:])
