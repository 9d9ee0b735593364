"""Small picture sets with spots on grey, and the threshold that suits the students of tests/compile/students.py."""

import sys

import numpy as np
import pytest

from calibration import cli as calibrate
from edge.set_writer import PictureSetWriter
from tests.compile.students import picture

SPOT = 70  # brighter than its grey; the students' score is one half at 38
THRESHOLD = 0.5


def draw(folder, goods, defects, seed, spots=(SPOT,), lot="lot", lots=6):
    """A set whose defects have these spots in turn, in `lots` groups."""
    rng = np.random.default_rng(seed)
    writer = PictureSetWriter(folder)
    for number in range(goods + defects):
        bad = number >= goods
        image = picture(rng, spots[number % len(spots)] if bad else 0)
        writer.add(image, f"{lot}-{number:03d}", "spot" if bad else "ok", f"{lot}-{number % lots}")
    return folder


def cross_fitted(path, goods=70, defects=70, low=0.1, high=0.9, lot="train"):
    """A scores.csv as edge-train writes it."""
    rows = [f"g{n},ok,{lot}-{n % 6},{n % 3},{low}" for n in range(goods)]
    rows += [f"d{n},spot,{lot}-{n % 6},{n % 3},{high}" for n in range(defects)]
    path.write_text("\n".join(["file,label,group,fold,score", *rows, ""]))
    return path


def run(monkeypatch, main, *words):
    """Run a command as a shell would; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["edge-command", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
        raise SystemExit(0)
    return ended.value.code or 0


def choose_threshold(monkeypatch, folder, *words):
    """Write folder/threshold.json for folder/student.onnx at 0.5."""
    scores = cross_fitted(folder / "scores.csv")
    code = run(
        monkeypatch, calibrate.main, "threshold", scores, "--escape", 0.05, "-o", folder / "threshold.json", *words
    )
    assert code == 0
