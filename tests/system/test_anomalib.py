"""A PaDiM that anomalib fitted and exported itself becomes a student, scores as anomalib does, and goes into INT8."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.peers.environments import python_of
from calibration.judging import engine_for
from compile.own_map import read_map
from compile.own_network import wrap
from compile.quantize import RECIPES, int8_convolutions, quantize
from compile.student import Student, check_student
from edge.pixels import to_input
from tests.system.results import ROOT, keep

SIDE = 64
GOOD, BAD = 24, 8
MAP = """
classes = ["spot"]
[input]
layout = "NCHW"
order = "RGB"
[score]
output = "pred_score"
kind = "probability"
[heat_map]
output = "anomaly_map"
kind = "probability"
"""
COMMAND = "python -m pytest tests/system/test_anomalib.py"


def draw(folder: Path) -> dict[str, np.ndarray]:
    """Noisy grey pictures, some with a bright square, by file name (BGR)."""
    rng, drawn = np.random.default_rng(1), {}
    for kind, count in (("good", GOOD), ("bad", BAD)):
        (folder / kind).mkdir(parents=True)
        for number in range(count):
            picture = rng.normal(110, 10, (SIDE, SIDE, 3))
            if kind == "bad":
                y, x = rng.integers(8, 40, 2)
                picture[y : y + 16, x : x + 16] += 80
            name = f"{kind}-{number}.png"
            drawn[name] = np.clip(picture, 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / kind / name), drawn[name])
    return drawn


def scores(model: bytes, student: Student, pictures: dict[str, np.ndarray]) -> dict[str, float]:
    engine = engine_for("ort")
    engine.load(model)
    told = {}
    for name, picture in pictures.items():
        to_input(picture, student.spec, engine.input)
        told[name] = engine.infer().score
    engine.close()
    return told


def test_what_anomalib_exports_becomes_a_student_that_scores_alike(tmp_path: Path) -> None:
    pictures = draw(tmp_path / "pictures")
    script = ROOT / "tests" / "peers" / "anomalib_export.py"
    command = [
        str(python_of("anomalib")),
        str(script),
        str(tmp_path / "pictures"),
        str(tmp_path / "out"),
        str(SIDE),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2_000:]
    told = json.loads(done.stdout.strip().splitlines()[-1])
    (tmp_path / "map.toml").write_text(MAP)
    model = wrap(Path(told["file"]), read_map(tmp_path / "map.toml"))
    student = check_student(model, "the wrapped PaDiM")
    assert student.spec.shape() == (1, SIDE, SIDE, 3)
    expected, found = told["scores"], scores(model, student, pictures)
    assert found == pytest.approx(expected, abs=0.005)
    least_bad = min(score for name, score in found.items() if name.startswith("bad"))
    assert least_bad > max(score for name, score in found.items() if name.startswith("good")), "it sees the squares"
    inputs = [to_input(picture, student.spec) for picture in pictures.values()]
    small = quantize(model, inputs, RECIPES[0])
    reduced = scores(small, student, pictures)
    lines = [
        "| what | found |",
        "| --- | --- |",
        f"| anomalib {told['anomalib']}, its own exporter | PaDiM on two stages of a ResNet-18 of random weights |",
        f"| scores of {len(pictures)} pictures, against anomalib's | differ by at most {_gap(found, expected):.5f} |",
        f"| INT8 | {len(int8_convolutions(small))} convolutions; scores differ by at most {_gap(reduced, found):.3f} |",
        f"| what lint says | {'; '.join(f'{one.level}: {one.words}' for one in student.findings) or 'nothing'} |",
    ]
    keep("anomalib", "A network that anomalib exported", COMMAND, lines)
    assert len(small) < len(model)


def _gap(one: dict[str, float], other: dict[str, float]) -> float:
    return max(abs(one[name] - other[name]) for name in one)
