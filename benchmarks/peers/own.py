"""Kenpin's own path from a frame to the gate's order: pixels, engine, judge."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from benchmarks.peers.loop import Step, Task
from edge.bundle import Bundle, load_keys, read_bundle
from edge.clock import SystemClock
from edge.eye.student import Student, load
from edge.options import Engine
from edge.records import Kind
from edge.timing import Stamps

SPAN = "capture to order"
LIBRARIES = ("edge", "cv2", "onnxruntime")


def prepare(task: Task) -> Step:
    """As the eye's inference thread does it; without parts, journal and line, which the station has."""
    return step_of(task, "ort")


def step_of(task: Task, engine: str) -> Step:
    """The path on one of the station's engines; all run the same model, the bundle's for ONNX Runtime."""
    cv2.setNumThreads(1)
    clock = SystemClock()
    student = _student(task, engine, clock)

    def step(frame: NDArray[np.uint8]) -> float:
        scores = student.look(frame, Stamps(), clock)
        kind, _reason = student.judge(scores)
        task.order(kind is not Kind.PASS)
        return scores.score

    return step


def _student(task: Task, engine: str, clock: SystemClock) -> Student:
    options = TypeAdapter[Engine](Engine).validate_python({"kind": engine, "threads": task.threads})
    bundle = read_bundle(task.bundle, load_keys(task.keys))
    return load(_as_if_for(engine, bundle), options, clock)


def _as_if_for(engine: str, bundle: Bundle) -> Bundle:
    """The bundle whose model for ONNX Runtime counts as one for this engine: every peer gets the same model."""
    entry = replace(bundle.manifest.entry("ort"), target=engine)
    held = copy(bundle)
    held.manifest = replace(bundle.manifest, models=(entry,))
    return held
