"""Finished students side by side: held out, after INT8, and which of them nothing beats."""

import json

import numpy as np
import pytest

from edge.errors import ConfigError
from tests.training.small import run
from training import shipped as room
from training.pareto import front, measured
from training.ranking import resampled
from training.shipped import nothing_told


@pytest.fixture(scope="module")
def compared(trained, tmp_path_factory):
    """The report, what the command printed, its folder, and the pictures that calibrated and that were judged."""
    out = tmp_path_factory.mktemp("compared")
    calibrated, judged = [], []
    sample, judge = room.sample, room.judge_pictures
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "sample", lambda some, most: calibrated.append(some) or sample(some, most))
        patch.setattr(
            room,
            "judge_pictures",
            lambda model, some, at, see: judged.append(some) or judge(model, some, at, see=see),
        )
        done = run("pareto", trained.pictures, out, str(trained.out))
    assert done.exit_code == 0, done.output
    return json.loads((out / "pareto.json").read_text()), done.output, out, calibrated, judged


def test_before_int8_it_says_what_the_training_said(trained, compared):
    report, output, out, _, _ = compared
    student = report["students"][0]
    assert student["fp32"]["auroc"]["value"] == pytest.approx(trained.report["held_out"]["auroc"], abs=1e-3)
    assert student["fp32"]["ap"]["value"] == pytest.approx(
        trained.report["held_out"]["average_precision"], abs=2e-3
    )
    low, high = student["int8"]["auroc"]["over_groups"]
    assert low <= student["int8"]["auroc"]["value"] <= high
    assert 0 < student["bytes"]["int8"] < student["bytes"]["fp32"]
    assert all(0 < value < 1_000 for value in student["ms"].values())
    assert report["best"] == {
        name: [trained.out.name] for name in ("auroc", "ap", "recall", "accuracy", "pixel_ap")
    }
    told = student["fp32"]["accuracy"]["value"]
    assert told == pytest.approx(trained.report["held_out_classes"]["accuracy"], abs=1e-3)
    assert "nothing is both faster and better" in output and "average" in output
    assert "<svg" in (out / "pareto.html").read_text() and (out / "pareto.png").read_bytes()[:4] == b"\x89PNG"


def test_int8_is_calibrated_and_judged_without_the_group(compared):
    *_, calibrated, judged = compared
    for fold in range(2):
        groups = [{one.group for one in some} for some in (calibrated[fold], judged[2 * fold])]
        assert groups[0] and groups[1] and not groups[0] & groups[1]
        assert judged[2 * fold] == judged[2 * fold + 1]


def test_where_no_picture_is_good_it_measures_how_classes_are_told_apart_alone():
    answers = nothing_told(4)
    answers.scores[:], answers.kinds[:] = 0.5, [0, 1, 1, 0]
    values = measured(answers, np.ones(4, bool), np.array([0, 1, 1, 1]), resampled(list("abcd"), 200, 0))
    assert set(values) == {"accuracy"} and values["accuracy"]["value"] == 0.75
    low, high = values["accuracy"]["over_groups"]
    assert low < 0.75 < high <= 1


def _row(name, milliseconds, value):
    return {"student": name, "ms": {"int8": milliseconds}, "int8": {"ap": {"value": value}}}


def test_what_nothing_beats():
    rows = [_row("slow", 9.0, 0.9), _row("worse", 5.0, 0.7), _row("quick", 2.0, 0.8), _row("equal", 2.0, 0.75)]
    assert front(rows, "ap") == ["quick", "slow"]
    assert front([_row("one", 1.0, np.nextafter(0, 1))], "ap") == ["one"]


def test_two_folders_of_one_name_and_a_folder_that_is_no_student_are_refused(trained, tmp_path):
    done = run("pareto", trained.pictures, tmp_path / "out", str(trained.out), str(trained.out))
    assert isinstance(done.error, ConfigError) and "rename" in str(done.error)
    done = run("pareto", trained.pictures, tmp_path / "out", str(tmp_path))
    assert isinstance(done.error, ConfigError) and "holds no finished training" in str(done.error)
