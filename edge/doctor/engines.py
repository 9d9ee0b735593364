"""Times the engines that a station's bundles have models for, on this machine, and says which one to choose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import get_args

import cv2

from edge.bundle import Bundle
from edge.clock import MS, Clock
from edge.doctor.finding import Finding, graded
from edge.errors import KenpinError
from edge.eye.student import Student, load
from edge.install import open_active
from edge.options import Engine as EngineOptions
from edge.station import Station
from edge.timing import Stamps

ROUNDS = 40
WORTH = 1.15  # times as fast: less is not worth a change

_KINDS = get_args(get_args(EngineOptions)[0])


def examine(station: Station, clock: Clock) -> Iterator[Finding]:
    """For each product of the station. Loads the processor for some seconds: not for a station that inspects.

    Pictures go through pixels and engine as the eye does it, all engines in turns.
    """
    cv2.setNumThreads(1)
    for product in sorted(set(station.products().values())):
        with ExitStack() as stack:
            try:
                students = dict(_students(open_active(station, product), station, clock, stack))
                taken = _timed(students, clock)
            except KenpinError as error:
                yield Finding("engine", "wrong", f"{product}: {error}", f"edge check {station.source}")
                continue
        yield _advice(product, station.engine.kind, taken)


def _students(bundle: Bundle, station: Station, clock: Clock, stack: ExitStack) -> Iterator[tuple[str, Student]]:
    """The bundle's student on each engine that it has a model for and whose library is installed here; `stack` closes
    them."""
    there = {entry.target for entry in bundle.manifest.models}
    for options in _KINDS:
        kind = get_args(options.model_fields["kind"].annotation)[0]
        if kind not in there and kind != station.engine.kind:
            continue
        try:
            student = load(bundle, options.model_validate(station.engine.model_dump() | {"kind": kind}), clock)
        except KenpinError:
            if kind == station.engine.kind:
                raise
            continue
        stack.callback(student.engine.close)
        yield kind, student


def _timed(students: dict[str, Student], clock: Clock) -> dict[str, float]:
    """The least milliseconds of a look on each: other work, and a clock that changes, only ever add."""
    taken: dict[str, list[float]] = {kind: [] for kind in students}
    for _ in range(ROUNDS):
        for kind, student in students.items():
            for _again in range(2):  # the other engine has emptied the caches
                began_ns = clock.now_ns()
                student.look(student.sample, Stamps(), clock)
            taken[kind].append((clock.now_ns() - began_ns) / MS)
    return {kind: min(each) for kind, each in taken.items()}


def _advice(product: str, chosen: str, taken: dict[str, float]) -> Finding:
    best = min(taken, key=lambda kind: taken[kind])
    told = ", ".join(f"{kind} {milliseconds:.1f} ms" for kind, milliseconds in sorted(taken.items()))
    faster = taken[chosen] / taken[best]
    remedy = f'engine.kind = "{best}" is {faster:.1f} times as fast here'
    return graded("engine", faster < WORTH, f"{product}, picture to scores at best: {told}", remedy)
