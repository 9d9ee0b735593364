"""What every engine of the table promises; TensorRT's on a simulated GPU, with memory of its own and without."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge import options
from edge.clock import Clock, ManualClock
from edge.errors import ConfigError, EngineError
from edge.infer import TABLE, Engine
from edge.judge import judge
from edge.kinds import find
from edge.pixels import InputSpec, Pixels
from edge.records import Kind, Reason
from tests.infer.simulated_gpu import Machine, simulated
from tests.infer.students import EMBEDDING, SPEC, student, with_external_weights

GPUS = {"trt": Machine(), "trt, integrated": Machine(integrated=True)}
KINDS = ("ort", "ov", *GPUS)


@contextmanager
def built(kind: str, folder: Path, clock: Clock | None = None) -> Iterator[Engine]:
    """Skips where its library is not installed (in CI that fails)."""
    if kind in GPUS:
        with simulated(GPUS[kind]), made("trt", options.TrtEngine(kind="trt", engines_dir=folder), clock) as engine:
            yield engine
        return
    given: Any = options.OrtEngine(kind="ort") if kind == "ort" else options.OvEngine(kind="ov")
    with made(kind, given, clock) as engine:
        yield engine


@contextmanager
def made(kind: str, given: Any, clock: Clock | None) -> Iterator[Engine]:
    try:
        engine: Engine = find(TABLE, kind, "engine")(given, clock)
    except ConfigError as error:
        pytest.skip(str(error))
    yield engine
    engine.close()


def load(engine: Engine, model: bytes) -> None:
    """As a device does: prepared when a bundle is installed, loaded when it runs."""
    engine.prepare(model)
    engine.load(model)


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with built(request.param, tmp_path / "engines") as made:
        yield made


def test_every_engine_of_the_table_is_tested() -> None:
    assert {kind.partition(",")[0] for kind in KINDS} == set(TABLE)


def test_scores_follow_what_the_input_buffer_holds(engine: Engine) -> None:
    load(engine, student())
    engine.input[...] = 51
    assert engine.infer().score == pytest.approx(0.2, abs=1e-4)
    engine.input[...] = 204
    assert engine.infer().score == pytest.approx(0.8, abs=1e-4)


def test_the_heat_map_shows_where(engine: Engine) -> None:
    load(engine, student())
    engine.input[...] = 0
    engine.input[0, 8:16, 24:32] = 255
    heat_map = engine.infer().heat_map
    assert heat_map.shape == (SPEC.height // 8, SPEC.width // 8)
    assert heat_map[1, 3] == pytest.approx(1.0, abs=1e-4)
    assert heat_map.sum() == pytest.approx(1.0, abs=1e-5)


def test_outputs_have_no_batch_dimension_and_classes_are_empty_where_there_are_none(engine: Engine) -> None:
    load(engine, student(classes=("scratch",)))
    scores = engine.infer()
    assert isinstance(scores.score, float)
    assert scores.embedding.shape == (EMBEDDING,)
    assert scores.class_scores.shape == (0,)
    assert scores.heat_map.dtype == scores.embedding.dtype == scores.class_scores.dtype == np.float32


def test_two_classes_have_scores(engine: Engine) -> None:
    load(engine, student(classes=("scratch", "dent"), score=0.25))
    assert engine.infer().class_scores.tolist() == [0.25, 0.5]


def test_a_mono_student_takes_one_channel(engine: Engine) -> None:
    spec = InputSpec(32, 32, channels=1)
    load(engine, student(spec))
    assert engine.input.shape == (1, 32, 32, 1)
    engine.input[...] = 255
    assert engine.infer().score == pytest.approx(1.0, abs=1e-4)


def test_buffers_stay_where_they_are(engine: Engine) -> None:
    load(engine, student(classes=("scratch", "dent")))
    first = engine.infer()
    image = engine.input
    second = engine.infer()
    assert engine.input is image
    assert np.shares_memory(first.heat_map, second.heat_map)
    assert np.shares_memory(first.embedding, second.embedding)
    assert np.shares_memory(first.class_scores, second.class_scores)


def test_pixels_write_straight_into_the_input(engine: Engine) -> None:
    load(engine, student())
    picture = np.full((96, 128, 3), 102, np.uint8)
    Pixels(SPEC).to_input(picture, engine.input)
    assert engine.infer().score == pytest.approx(0.4, abs=1e-4)


def test_a_nan_score_reaches_the_judge_who_refuses_it(engine: Engine) -> None:
    load(engine, student(score=math.nan))
    scores = engine.infer()
    assert math.isnan(scores.score)
    assert judge(scores, 0.5, scores.heat_map.shape) == (Kind.UNKNOWN, Reason.BAD_SCORE)


def test_an_engine_that_is_not_loaded_says_so(engine: Engine) -> None:
    with pytest.raises(EngineError, match="load one"):
        engine.infer()
    with pytest.raises(EngineError, match="load one"):
        _ = engine.input


def test_a_closed_engine_says_so_and_can_be_loaded_again(engine: Engine) -> None:
    load(engine, student())
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="load one"):
        engine.infer()
    load(engine, student(score=0.5))
    assert engine.infer().score == 0.5


def test_a_refused_model_leaves_the_loaded_one_in_service(engine: Engine) -> None:
    load(engine, student(score=0.5))
    with pytest.raises(EngineError):
        load(engine, b"garbage")
    assert engine.infer().score == 0.5


BROKEN: dict[str, tuple[bytes, str]] = {
    "garbage": (b"\x00garbage" * 40, "loading the model failed"),
    "nothing": (b"", "loading the model failed"),
    "truncated": (student()[:-400], "loading the model failed|lacks"),
    "input name": (student(input_name="picture"), "inputs are picture"),
    "no heat map": (student(leave_out=("heat_map",)), "outputs are score, embedding"),
    "class scores are missing": (student(classes=("a", "b"), leave_out=("class_scores",)), "class_scores"),
    "score shape": (student(shapes={"score": [1, 1]}), "'score' is float32 of shape"),
    "heat map shape": (student(shapes={"heat_map": [1, SPEC.width // 8, SPEC.height // 8]}), "'heat_map' is"),
    "embedding shape": (student(shapes={"embedding": [EMBEDDING]}), "'embedding' is"),
    "no metadata": (student(metadata={}), "lacks kenpin.input and kenpin.classes"),
    "another geometry": (
        student(metadata={"kenpin.input": InputSpec(48, 64).to_json(), "kenpin.classes": "[]"}),
        "'image' is",
    ),
    "geometry is no JSON": (student(metadata={"kenpin.input": "wide", "kenpin.classes": "[]"}), "not JSON"),
    "classes are no list": (
        student(metadata={"kenpin.input": SPEC.to_json(), "kenpin.classes": json.dumps({"a": 1})}),
        "no list of class names",
    ),
}


@pytest.mark.parametrize("model, message", BROKEN.values(), ids=BROKEN)
def test_a_model_that_breaks_the_contract_is_refused(engine: Engine, model: bytes, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        load(engine, model)


def test_weights_outside_the_model_are_refused(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights.bin").write_bytes(np.float32(255).tobytes())
    for location in ("weights.bin", str(tmp_path / "weights.bin")):
        with pytest.raises(EngineError, match="loading the model failed"):
            load(engine, with_external_weights(student(), location))


def test_inference_releases_the_gil(engine: Engine) -> None:
    load(engine, student(InputSpec(2048, 2048)))
    stop, ticks = threading.Event(), [0]

    def tick() -> None:
        while not stop.is_set():
            ticks[0] += 1
            time.sleep(0)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        held = 0
        for _ in range(5):
            before = ticks[0]
            engine.infer()  # takes tens of milliseconds, the switch interval is 5
            held += ticks[0] == before
    finally:
        stop.set()
        thread.join()
    assert held < 5


def test_geometry_and_classes_come_from_the_model(engine: Engine) -> None:
    spec = InputSpec(32, 24, roi=(4, 4, 64, 64), fit="letterbox")
    load(engine, student(spec, ("scratch", "dent")))
    assert engine.spec == spec
    assert engine.classes == ("scratch", "dent")


@pytest.mark.parametrize("kind", KINDS)
def test_warming_up_ends_on_a_clock_that_stands_still(kind: str, tmp_path: Path) -> None:
    with built(kind, tmp_path, ManualClock()) as engine:
        load(engine, student(score=0.5))
        assert engine.infer().score == 0.5
