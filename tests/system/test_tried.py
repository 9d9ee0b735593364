"""What was tried to make a look faster, each beside what is done now, in turns within one run."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from statistics import median

import cv2
import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest

from edge.bundle import Bundle, load_keys, read_bundle
from edge.clock import SystemClock
from edge.demo.run import HERE
from edge.eye.student import Student, load
from edge.options import OrtEngine
from edge.timing import Stamps, percentile
from tests.system.calm import watched
from tests.system.results import Table

ROUNDS, IN_A_ROW = 60, 5
COMMAND = "python -m pytest tests/system/test_tried.py"
CLOCKS = {"by the clock": time.monotonic_ns, "of the processor": time.thread_time_ns}

Way = Callable[[], object]


@pytest.fixture(scope="module")
def table() -> Table:
    return Table(
        "tried",
        "Tried beside what is done now, in turns: the demo's student on ONNX Runtime",
        COMMAND,
        (
            "what",
            "over what",
            "ms (median)",
            "p99 ms",
            "ratio by the clock (quarter to quarter)",
            "ratio of this thread's processor time",
            "machine",
        ),
    )


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    cv2.setNumThreads(1)
    return read_bundle(next(HERE.glob("*.bundle")), load_keys(HERE))


def student_of(bundle: Bundle) -> Student:
    return load(bundle, OrtEngine(kind="ort", threads=1), SystemClock())


def session_of(bundle: Bundle, threads: int = 1, spinning: bool = False) -> onnxruntime.InferenceSession:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    model = bundle.model(bundle.manifest.entry("ort"))
    return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


@contextmanager
def on_one_processor() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def frozen() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def uncollected() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


Around = Mapping[str, Callable[[], AbstractContextManager[None]]]


def in_turns(ways: Mapping[str, Way], around: Around) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of each look by both clocks, ROUNDS times IN_A_ROW of each way, the first of a row left out.

    `around` has what a way's row runs in, where it needs anything."""
    told: dict[str, dict[str, list[float]]] = {name: {clock: [] for clock in CLOCKS} for name in ways}
    for number in range(ROUNDS):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            with around.get(name, nullcontext)():
                ways[name]()
                for _ in range(IN_A_ROW):
                    began = {clock: now() for clock, now in CLOCKS.items()}
                    ways[name]()
                    for clock, now in CLOCKS.items():
                        told[name][clock].append((now() - began[clock]) / 1e6)
    return told


def ratios(tried: list[float], now: list[float]) -> list[float]:
    """Of the medians of each round."""
    return [
        median(tried[at : at + IN_A_ROW]) / median(now[at : at + IN_A_ROW]) for at in range(0, len(now), IN_A_ROW)
    ]


def compare(table: Table, now: str, ways: Mapping[str, Way], around: Around | None = None) -> dict[str, float]:
    """A row for each way that is not the one in use; the ratio of processor time of each."""
    with watched() as machine:
        told = in_turns(ways, around or {})
    word = "calm" if machine.is_calm else "busy"
    state = f"{word}: waited {100 * machine.waited_s / machine.seconds:.0f} % of the time"
    found = {}
    for name in ways:
        if name == now:
            continue
        clock, cpu = (ratios(told[name][each], told[now][each]) for each in CLOCKS)
        ordered, found[name] = sorted(clock), median(cpu)
        pair = (sorted(told[each]["by the clock"]) for each in (name, now))
        (tried_ms, tried_p99), (now_ms, now_p99) = ((percentile(one, 0.5), percentile(one, 0.99)) for one in pair)
        spread = (
            f"{percentile(ordered, 0.5):.3f} ({percentile(ordered, 0.25):.3f} to {percentile(ordered, 0.75):.3f})"
        )
        figures = f"{tried_ms:.3f} and {now_ms:.3f}", f"{tried_p99:.3f} and {now_p99:.3f}"
        table.add(name, now, *figures, spread, f"{found[name]:.3f}", state)
    return found


def test_bound_buffers_beside_a_plain_run(table: Table, bundle: Bundle) -> None:
    student = student_of(bundle)
    session, image = session_of(bundle), student.engine.input
    names = [output.name for output in session.get_outputs()]
    ways = {"bound buffers": student.engine.infer, "a plain run": lambda: session.run(names, {"image": image})}
    found = compare(table, "bound buffers", ways)
    assert found["a plain run"] > 0.9, "what is in use is not clearly the slower one"


def test_resized_into_the_engines_buffer_beside_resized_and_copied(table: Table, bundle: Bundle) -> None:
    """Of a grey picture for a network of colours neither; of BGR the colours are turned into the buffer."""
    student = student_of(bundle)
    frame, spec, buffer = student.sample, student.pixels.spec, student.engine.input
    x, y, width, height = spec.roi or (0, 0, frame.shape[1], frame.shape[0])
    size = spec.width, spec.height

    def copied() -> None:
        small = cv2.resize(frame[y : y + height, x : x + width], size)
        buffer[0] = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)

    def turned_first() -> None:
        cv2.resize(cv2.cvtColor(frame[y : y + height, x : x + width], cv2.COLOR_BGR2RGB), size, dst=buffer[0])

    now = "resized aside, colours turned into the buffer"
    ways = {
        now: lambda: student.pixels.to_input(frame, buffer),
        "new arrays, then a copy": copied,
        "colours first, resized into the buffer": turned_first,
    }
    found = compare(table, now, ways)
    assert found["colours first, resized into the buffer"] > 0.9
    student.pixels.to_input(frame, buffer)
    kept = buffer.copy()
    copied()
    assert np.array_equal(kept, buffer), "the same pixels, whichever way"


def test_threads_that_spin_beside_threads_that_sleep(table: Table, bundle: Bundle) -> None:
    image = student_of(bundle).engine.input
    ways = {
        f"{threads} thread{'s' * (threads > 1)}, {'spinning' if spins else 'asleep'}": partial(
            session_of(bundle, threads, spins).run, None, {"image": image}
        )
        for threads in (1, 2)
        for spins in (False, True)
    }
    compare(table, "1 thread, asleep", ways)


def test_pinned_to_one_processor_beside_free(table: Table, bundle: Bundle) -> None:
    student, clock = student_of(bundle), SystemClock()

    def look() -> None:
        student.judge(student.look(student.sample, Stamps(), clock))

    name = "pinned to one processor"
    compare(table, "free", {"free": look, name: look}, {name: on_one_processor})


def test_garbage_collected_frozen_or_not_at_all(table: Table, bundle: Bundle) -> None:
    """With objects that come and go as parts do; a collection falls into some of the looks."""
    student, clock, parts = student_of(bundle), SystemClock(), []

    def look() -> None:
        parts.extend([{"part": number} for number in range(200)])
        del parts[:-2_000]
        student.judge(student.look(student.sample, Stamps(), clock))

    ways = {"collected": look, "frozen before": look, "no collection": look}
    compare(table, "collected", ways, {"frozen before": frozen, "no collection": uncollected})


def test_ratios_are_of_one_round() -> None:
    now = [1.0] * IN_A_ROW + [2.0] * IN_A_ROW
    assert ratios([2 * value for value in now], now) == [2.0, 2.0]


def test_what_a_row_runs_in_is_undone() -> None:
    before = os.sched_getaffinity(0)
    for inside in (on_one_processor, frozen, uncollected):
        with inside():
            pass
    assert os.sched_getaffinity(0) == before and gc.isenabled() and not gc.get_freeze_count()
