"""How long it takes to compile each default student, and how much faster its INT8 model is in the same run.

Both are counted in processor time, so that other programs on the machine do not count.
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from calibration.cli import app as calibrate
from calibration.judging import judge_pictures
from calibration.scores import write_scores
from compile.keys import make_keys
from compile.speed import median_ms
from edge.bundle import load_keys, read_bundle
from edge.clock import SystemClock
from edge.picture_set import read_image, read_set
from edge.report import host
from edge.set_writer import PictureSetWriter
from tests.system.results import ROOT, Table

SIDE = 320
LONGEST_S, LEAST_GAIN = 90.0, 2.5
VNNI = {"avx512_vnni", "avx_vnni"}
TABLE = Table(
    "compile-time",
    "Compiling the default students: 300 calibration pictures, gate passed at the first try",
    "python -m pytest tests/system/test_compile_time.py",
    (
        "student",
        "edge-compile, processor s",
        "by the clock s",
        "FP32 ms",
        "INT8 ms",
        "INT8 faster",
        "missed, FP32 and INT8",
        "in INT8",
    ),
)


class OfThisThread(SystemClock):
    """The processor time that the calling thread has used, which runs the engine with one thread."""

    def now_ns(self) -> int:
        return time.thread_time_ns()


def processor_s() -> float:
    """What ended child processes have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def draw(folder: Path, goods: int, defects: int, seed: int, lot: str) -> Path:
    """Cloudy grey pictures with sensor noise, some of them with a scratch or a stain."""
    rng, writer = np.random.default_rng(seed), PictureSetWriter(folder)
    for number in range(goods + defects):
        clouds = cv2.resize(rng.normal(120, 14, (10, 10)).astype(np.float32), (SIDE, SIDE))
        picture = clouds[..., None] + rng.normal(0, 5, (SIDE, SIDE, 3))
        bad = number >= goods
        if bad:
            flaw, (y, x) = np.zeros((SIDE, SIDE), np.float32), rng.integers(60, SIDE - 60, 2)
            long, short = (70, 6) if number % 2 else (26, 20)
            cv2.ellipse(flaw, (int(x), int(y)), (long, short), float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
            picture += 110 * cv2.GaussianBlur(flaw, (0, 0), 1.5)[..., None]
        image = np.clip(picture, 0, 255).astype(np.uint8)
        writer.add(image, f"{lot}-{number:04d}", "flaw" if bad else "ok", f"{lot}-{number % 8}")
    return folder


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    draw(folder / "trained", 150, 150, 1, "trained")
    draw(folder / "locked", 60, 90, 2, "locked")
    draw(folder / "fitted", 120, 120, 3, "fitted")
    make_keys(folder / "acme")
    return folder


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("backbone", ["resnet18", "resnet10t", "lite0"])
def test_a_default_student_is_compiled_in_time_and_int8_pays(backbone: str, sets: Path, tmp_path: Path) -> None:
    student, bundle = tmp_path / "student.onnx", tmp_path / "cap-1.bundle"
    made = command("tests.system.default_student", backbone, student, sets / "fitted")
    assert made.returncode == 0, made.stderr
    write_scores(tmp_path / "scores.csv", judge_pictures(student.read_bytes(), read_set(sets / "trained"), 0.5))
    words = ["threshold", tmp_path / "scores.csv", "--escape", "0.05", "-o", tmp_path / "threshold.json"]
    chosen = CliRunner().invoke(calibrate, [str(word) for word in words], catch_exceptions=False)
    assert chosen.exit_code == 0, chosen.output
    began, spent_s = time.monotonic(), processor_s()
    done = command(
        "compile.cli", student, "--calibration", sets / "trained", "--acceptance", sets / "locked",
        "--threshold", tmp_path / "threshold.json", "--product", "cap", "--version", 1,
        "--key", sets / "acme.key", "-o", bundle,
    )  # fmt: skip
    took_s, spent_s = time.monotonic() - began, processor_s() - spent_s
    assert done.returncode == 0, done.stdout + done.stderr
    opened = read_bundle(bundle, load_keys(sets))
    entries = [opened.manifest.entry("ort", precision) for precision in ("fp32", "int8")]
    models = [("ort", opened.model(entry)) for entry in entries]
    fp32_ms, int8_ms = median_ms(models, read_image(read_set(sets / "locked")[0].path), OfThisThread())
    report = opened.report()
    found = re.search(r"INT8 on ort: (\d+ of \d+)", report)
    missed = ", ".join(f"{entry.evidence.missed} of {entry.evidence.defects}" for entry in entries)
    speeds = (f"{fp32_ms:.2f}", f"{int8_ms:.2f}", f"{fp32_ms / int8_ms:.2f} x")
    TABLE.add(backbone, f"{spent_s:.0f}", f"{took_s:.0f}", *speeds, missed, found[1] if found else "?")
    assert "Attempts at INT8" not in report, "the first try passes"
    assert all(entry.proven for entry in entries)
    if backbone == "resnet18":
        assert spent_s <= LONGEST_S
        assert not VNNI & set(host()["flags"]) or fp32_ms / int8_ms >= LEAST_GAIN
