"""The plain baseline: frozen features that are computed once, and a regression that is tested by group."""

import csv
import json
import shutil

import numpy as np
import pytest

from edge.errors import ConfigError
from edge.picture_set import LABELS, read_set
from edge.pixels import InputSpec
from tests.training.small import run
from tests.training.test_bad_input import PLENTY, a_set, rows_of
from training import features as room
from training.features import LENGTH, features, unit

SPEC = InputSpec(64, 64)


def floor(pictures, out, *more):
    return run("floor", pictures, out, "--size", "64", "--threads", "1", *more)


@pytest.fixture(scope="module")
def measured(belt, tmp_path_factory):
    out = tmp_path_factory.mktemp("floor")
    done = floor(belt, out, "--folds", "3")
    assert done.exit_code == 0, done.output
    return done, json.loads((out / "floor.json").read_text())


def test_the_floor_is_told_and_written(measured):
    done, report = measured
    assert f"AUROC {report['held_out']['auroc']:.4f}" in done.output
    assert report["held_out"]["goods"] + report["held_out"]["defects"] == 42
    assert 0 <= report["accuracy"]["share"] <= 1
    assert report["accuracy"]["labels"] == ["dent", "ok", "scratch", "stain"]


def test_the_same_seed_gives_the_same_floor(belt, measured, tmp_path):
    assert floor(belt, tmp_path, "--folds", "3").exit_code == 0
    assert json.loads((tmp_path / "floor.json").read_text()) == measured[1]


def test_a_set_without_good_pictures_is_measured_by_its_classes(belt, tmp_path):
    rows = list(csv.DictReader((belt / LABELS).read_text().splitlines()))
    shutil.copytree(belt, tmp_path / "set")
    kept = [f"{row['file']},{row['label']},{n}" for n, row in enumerate(rows) if row["label"] not in ("ok", "")]
    (tmp_path / "set" / LABELS).write_text("\n".join(["file,label,group", *kept, ""]))
    assert floor(tmp_path / "set", tmp_path / "out", "--folds", "2").exit_code == 0
    report = json.loads((tmp_path / "out" / "floor.json").read_text())
    assert report["accuracy"]["pictures"] == len(kept) and "held_out" not in report


def test_features_are_computed_once_for_a_content_wherever_it_lies(belt, tmp_path, monkeypatch):
    some = read_set(belt)[:3]
    keep = tmp_path / "features.sqlite"
    first = features(some, SPEC, lambda: None, keep)
    assert first.shape == (3, LENGTH) and first.dtype == np.float32
    shutil.copytree(belt, tmp_path / "elsewhere")
    monkeypatch.setattr(room, "_Eye", None)
    ticks = []
    again = features(read_set(tmp_path / "elsewhere")[:3], SPEC, lambda: ticks.append(1), keep)
    assert np.array_equal(first, again) and len(ticks) == 3
    with pytest.raises(TypeError):
        features(some, InputSpec(64, 72), lambda: None, keep)


def test_unit_features_have_length_one(belt):
    seen = unit(features(read_set(belt)[:3], SPEC, lambda: None))
    assert np.linalg.norm(seen, axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_a_damaged_cache_is_named(belt, tmp_path):
    keep = tmp_path / "features.sqlite"
    keep.write_bytes(b"this is no database, but it is long enough to be read as one" * 100)
    with pytest.raises(ConfigError, match="delete the file"):
        features(read_set(belt)[:1], SPEC, lambda: None, keep)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (rows_of([""] * 6, "abcdef"), "have no label; label pictures of two kinds"),
        (rows_of(["ok"] * 6, "abcdef"), "have one label: ok"),
        (rows_of(["ok", "ng", "ok"], "abc"), "the groups that hold defects: b; "),
        (rows_of(["dent", "spot", "dent"], "abc"), "too few for 5 folds"),
    ],
)
def test_labels_that_teach_nothing_are_refused(tmp_path, rows, words):
    done = floor(a_set(tmp_path / "set", rows), tmp_path / "out")
    assert done.exit_code == 78
    assert words in str(done.error)


def test_a_broken_picture_is_named(tmp_path):
    folder = a_set(tmp_path / "set", PLENTY)
    (folder / "3.png").write_bytes(b"no picture")
    done = floor(folder, tmp_path / "out", "--folds", "2")
    assert done.exit_code == 78
    assert "3.png" in str(done.error)
