"""A tiny belt set and a student fitted to it, made once for the whole folder."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from tqdm import tqdm

from edge.capture.belt import draw_set
from edge.capture.belt_drawing import Look
from edge.picture_set import LABELS
from tests.training.small import finetune

tqdm.monitor_interval = 0  # the exporter's progress would leave its monitor thread in the first test that exports


@dataclass(frozen=True)
class Trained:
    """A finished `edge-train finetune`: its picture set, its folder and what it wrote there."""

    pictures: Path
    out: Path
    scores: list[dict[str, str]]
    report: dict


@pytest.fixture(scope="session")
def belt(tmp_path_factory):
    """44 parts of 128 x 128 px in three lots, with masks; the last two are unlabelled."""
    folder = tmp_path_factory.mktemp("belt")
    draw_set(folder, 44, Look(5, 128, 128), 0.5)
    table = folder / LABELS
    rows = list(csv.reader(table.read_text().splitlines()))
    for row in rows[-2:]:
        row[1] = row[3] = ""
    with table.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return folder


@pytest.fixture(scope="session")
def trained(belt, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    done = finetune(belt, out)
    assert done.exit_code == 0, done.output
    scores = list(csv.DictReader((out / "scores.csv").read_text().splitlines()))
    return Trained(belt, out, scores, json.loads((out / "training.json").read_text()))


@pytest.fixture(scope="session", autouse=True)
def kept_features(tmp_path_factory):
    """Features are kept in a folder of the tests, never in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
