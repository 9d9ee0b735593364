"""Ratios of the demo's bundle: the path from picture to verdict costs little beside its network."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import pytest
from pydantic import TypeAdapter

from benchmarks.paths import of_a_bundle
from benchmarks.results import check_paths, figures, misses, read_budget
from edge import options
from edge.bundle import load_keys, read_bundle, write_bundle
from edge.infer.ort import OrtEngine
from edge.pixels import Image, Pixels
from tests.benchmarks.float_twin import float_twin
from tests.benchmarks.test_cli import edge_bench
from tests.bundles import KEY, store_key
from tests.eye.stations import ROOT

DEMO = ROOT / "edge" / "demo"
BUDGET = ROOT / "benchmarks" / "budget.toml"
FP32 = "models/fp32.onnx"
VNNI = {"avx_vnni", "avx512_vnni"}
# of the demo's small student, 2.03 where it was measured; the 2.5 of a default one are held by test_compile_time
LEAST_GAIN = 1.8
TRIES = 3


def both_precisions(folder: Path) -> Path:
    """The demo's bundle with the twin of its INT8 student in floats."""
    demo = read_bundle(DEMO / "washer-1.bundle", load_keys(DEMO))
    int8 = demo.manifest.entry("ort", "int8")
    models = {int8.file: demo.model(int8)}
    models[FP32] = float_twin(models[int8.file])
    fp32 = replace(int8, file=FP32, sha256=sha256(models[FP32]).hexdigest(), precision="fp32")
    manifest = replace(demo.manifest, models=(int8, fp32))
    pictures = {picture.name: (picture.label, png(picture.image)) for picture in demo.acceptance()}
    write_bundle(folder / "washer-1.bundle", manifest, models, pictures, "<p>report</p>", KEY)
    return folder / "washer-1.bundle"


def png(image: Image) -> bytes:
    return bytes(cv2.imencode(".png", image)[1])


@pytest.mark.slow
def test_the_path_from_picture_to_verdict_costs_little_beside_its_network(tmp_path: Path) -> None:
    """By the limits of `make bench`. Other work on the machine can only make these ratios worse, and a change that
    makes them worse does so in every try: so each figure's best of three tries is held to its limit."""
    limits = read_budget(BUDGET)
    limits["at_most"]["bench.per_part.collections"] = 0.1
    file, keys = both_precisions(tmp_path), store_key(tmp_path / "keys")
    best: dict[str, float] = {}
    for number in range(TRIES):
        values = one_try(file, keys, tmp_path / f"{number}.json")
        if VNNI & set(values["host"]["flags"]):
            limits["at_least"]["bench.ratios.speed_up"] = LEAST_GAIN
        best = best_of(limits, best, figures(values))
        if not misses(limits, best):
            return
    pytest.fail("; ".join(miss.words() for miss in misses(limits, best)))


def one_try(file: Path, keys: Path, result: Path) -> dict[str, Any]:
    words = ("--bundle", file, "--keys", keys, "--against", "fp32", "--json", result)
    done = edge_bench(*words, "--seconds", "6", "--rate", "10", "--idle", "1")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(result.read_text()))


def best_of(
    limits: dict[str, dict[str, float]], before: dict[str, float], now: dict[str, float]
) -> dict[str, float]:
    """Each figure that has a limit, the better of the two."""
    better = {"at_most": min, "at_least": max}
    return {
        path: better[side](before.get(path, now[path]), now[path])
        for side, table in limits.items()
        for path in table
    }


def test_the_best_of_several_tries_is_the_least_or_the_most() -> None:
    limits = {"at_most": {"overhead": 0.1}, "at_least": {"rate": 0.97}}
    best = best_of(limits, {}, {"overhead": 0.3, "rate": 0.98, "other": 1.0})
    assert [miss.path for miss in misses(limits, best)] == ["overhead"]
    best = best_of(limits, best, {"overhead": 0.05, "rate": 0.9, "other": 1.0})
    assert best == {"overhead": 0.05, "rate": 0.98} and not misses(limits, best)


def test_every_figure_of_the_budget_of_make_bench_is_one_of_a_result() -> None:
    check_paths(read_budget(BUDGET), of_a_bundle((1.0,), None), BUDGET)
    assert "--idle 1 --budget benchmarks/budget.toml" in (ROOT / "Makefile").read_text()


def test_the_twin_of_a_quantized_student_judges_as_it_does() -> None:
    demo = read_bundle(DEMO / "washer-1.bundle", load_keys(DEMO))
    model, pixels = demo.model(demo.manifest.entry("ort", "int8")), Pixels(demo.manifest.input)
    engines = [OrtEngine(TypeAdapter(options.OrtEngine).validate_python({"kind": "ort"})) for _ in range(2)]
    for engine, bytes_of_it in zip(engines, (model, float_twin(model)), strict=True):
        engine.load(bytes_of_it)
    for picture in demo.acceptance():
        scores = []
        for engine in engines:
            pixels.to_input(picture.image, engine.input)
            scores.append(engine.infer().score)
        assert abs(scores[0] - scores[1]) < 0.1
