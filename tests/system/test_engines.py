"""TensorRT-RTX builds every default student on a machine without a GPU, where running them says what is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.peers.environments import packages_of, python_of
from compile.cli import app
from compile.rtx import PRECISIONS
from edge.errors import KenpinError
from tests.system.results import ROOT, Table

LIST = "tensorrt-rtx"
STUDENTS = ("lite0", "resnet18", "resnet10t")  # training.backbones would load torch into every system test
HEAVIER = {"lite0"}  # its INT8 engine is larger than its FP32 one
TABLE = Table(
    "engines",
    "Engines of the default students, built by TensorRT-RTX without a GPU",
    "python -m pytest tests/system/test_engines.py",
    ("student", "engine", "MB", "built in s", "layers given", "joined to", "convolutions in INT8", "memory MB"),
)


@pytest.fixture(scope="module")
def _library():
    """TensorRT-RTX is a host library that only this needs: it comes from an environment of its own."""
    folder = str(packages_of(LIST))
    sys.path.append(folder)
    yield
    sys.path.remove(folder)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("set") / "ok", np.random.default_rng(1)
    folder.mkdir()
    for number in range(24):
        coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(coarse, (320, 320), interpolation=cv2.INTER_CUBIC))
    return folder.parent


def export(backbone: str, path: Path) -> None:
    """By a process of its own: torch's exporter leaves a thread behind."""
    subprocess.run(
        [sys.executable, "-m", "tests.system.default_student", backbone, str(path)], cwd=ROOT, check=True
    )


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("backbone", STUDENTS)
def test_every_default_student_becomes_engines(backbone: str, pictures: Path, tmp_path: Path) -> None:
    student, out = tmp_path / "student.onnx", tmp_path / "engines"
    export(backbone, student)
    command = ["engines", str(student), "--calibration", str(pictures), "-o", str(out)]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report = json.loads((out / "engines.json").read_text())
    built = {engine["precision"]: engine for engine in report["engines"]}
    assert tuple(built) == PRECISIONS
    for precision, engine in built.items():
        assert (out / f"{precision}.engine").stat().st_size == engine["bytes"]
        memory = [f"{engine['activation_bytes'] / 1e6:.1f}", f"{engine['int8']} of {engine['convolutions']}"]
        layers = sum(engine["layers"].values())
        TABLE.add(
            backbone, precision, f"{engine['bytes'] / 1e6:.1f}", engine["seconds"], layers, engine["engine_layers"],
            *reversed(memory),
        )  # fmt: skip
    assert built["fp16"]["bytes"] < 0.6 * built["fp32"]["bytes"]
    assert (built["int8"]["bytes"] < 0.5 * built["fp32"]["bytes"]) is (backbone not in HEAVIER)
    assert built["fp32"]["int8"] == built["fp16"]["int8"] == 0
    assert built["int8"]["int8"] >= built["int8"]["convolutions"] - 7, "three first, heads and pyramid in float"
    scores = report["scores"]
    assert scores["fp16"] == pytest.approx(scores["fp32"], abs=0.01)
    _running_needs_a_gpu(out)


def _running_needs_a_gpu(folder: Path) -> None:
    """By the environment that a machine with a GPU would have: no torch and no onnx."""
    done = subprocess.run(
        [str(python_of(LIST)), "-m", "compile.confirm", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 69, done.stderr
    assert "no NVIDIA GPU that can be used here (cudaErrorInsufficientDriver)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize(
    ("capability", "words"),
    [
        ("5.3", "use some of 7.5, 8.0, 8.6, 8.9, 12.0, 12.1"),
        ("7.5", "for Turing (SM75): FP32 GEMM is not supported"),
    ],
)
def test_a_gpu_for_which_nothing_can_be_built_is_said_to(
    capability: str, words: str, pictures: Path, tmp_path: Path
) -> None:
    export("resnet10t", tmp_path / "student.onnx")
    command = [
        "engines",
        str(tmp_path / "student.onnx"),
        "--calibration",
        str(pictures),
        "-o",
        str(tmp_path / "out"),
    ]
    result = CliRunner().invoke(app, [*command, "--capability", capability])
    assert isinstance(result.exception, KenpinError) and words in str(result.exception)
