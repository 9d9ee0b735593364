"""Kenpin's own path from a frame to the gate's order: pixels, engine, judge."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from benchmarks.peers.loop import Step, Task
from edge.bundle import load_keys, read_bundle
from edge.clock import SystemClock
from edge.eye.student import load
from edge.options import Engine
from edge.records import Kind
from edge.timing import Stamps

SPAN = "capture to order"
LIBRARIES = ("edge", "cv2", "onnxruntime")


def prepare(task: Task) -> Step:
    """As the eye's inference thread does it; without parts, journal and line, which the station has."""
    cv2.setNumThreads(1)
    options = TypeAdapter[Engine](Engine).validate_python({"kind": "ort", "threads": task.threads})
    clock = SystemClock()
    student = load(read_bundle(task.bundle, load_keys(task.keys)), options, clock)

    def step(frame: NDArray[np.uint8]) -> float:
        scores = student.look(frame, Stamps(), clock)
        kind, _reason = student.judge(scores)
        task.order(kind is not Kind.PASS)
        return scores.score

    return step
