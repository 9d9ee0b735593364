"""A picture is judged in memory that lies there already: pixels, engine and judge allocate only small things."""

from __future__ import annotations

import gc
import tracemalloc

import cv2
import numpy as np
import pytest
from pydantic import TypeAdapter

from edge.bundle import load_keys, read_bundle
from edge.clock import SystemClock
from edge.eye.student import Student, load
from edge.options import Engine
from edge.pixels import Image, to_input
from edge.timing import Stamps
from tests.benchmarks.test_ratios import DEMO

PICTURES = 200
SMALL = 16_384  # bytes; a picture of the demo's student has nine times as many, a heat map in floats fits


@pytest.fixture(scope="module")
def student() -> Student:
    options: Engine = TypeAdapter(Engine).validate_python({"kind": "ort"})
    return load(read_bundle(DEMO / "washer-1.bundle", load_keys(DEMO)), options, SystemClock())


def pictures() -> list[Image]:
    draw = np.random.default_rng(1)
    return [draw.integers(0, 255, (640, 640, 3), np.uint8) for _ in range(3)]


def judge_all(student: Student, seen: list[Image]) -> None:
    clock = SystemClock()
    for number in range(PICTURES):
        student.judge(student.look(seen[number % len(seen)], Stamps(), clock))


def test_judging_a_picture_allocates_nothing_of_its_size(student: Student) -> None:
    seen = pictures()
    student.judge(student.look(seen[0], Stamps(), SystemClock()))
    gc.collect()
    tracemalloc.start()
    try:
        began, _ = tracemalloc.get_traced_memory()
        judge_all(student, seen)
        gc.collect()
        held, most = (value - began for value in tracemalloc.get_traced_memory())
    finally:
        tracemalloc.stop()
    assert student.engine.input.nbytes > 4 * SMALL
    assert most < SMALL, f"{most} bytes at once while one of {PICTURES} pictures was judged"
    assert held < SMALL / 4, f"{held} bytes stayed of {PICTURES} pictures"


def test_what_a_picture_would_allocate_is_seen(student: Student) -> None:
    """The count counts: OpenCV's and numpy's memory is Python's."""
    picture, spec = pictures()[0], student.pixels.spec
    for allocate in (lambda: to_input(picture, spec), lambda: cv2.resize(picture, (spec.width, spec.height))):
        tracemalloc.start()
        try:
            allocate()
            assert tracemalloc.get_traced_memory()[1] >= student.engine.input.nbytes
        finally:
            tracemalloc.stop()
