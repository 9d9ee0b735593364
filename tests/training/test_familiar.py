"""Good pictures alone: the student knows what is usual, ships as any other, and says what nobody has measured."""

import csv
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from edge.infer.ort import OrtEngine
from edge.options import OrtEngine as Options
from edge.picture_set import read_image, read_set
from edge.pixels import InputSpec, to_input
from tests.training.small import SMALL, finetune, run
from training.familiar import Distance, Familiar, learn, reads
from training.pareto import taught_by
from training.pictures import load, one_class
from training.student import Start
from training.teachers import read_teacher


def a_part(rng, stained):
    """A cloudy grey surface of 96 x 96 px, and on some a round stain."""
    clouds = cv2.GaussianBlur(rng.normal(0, 1, (96, 96)).astype(np.float32), (0, 0), 3)
    grey = 110 + 25 * clouds / clouds.std() + rng.normal(0, 3, (96, 96))
    if stained:
        cv2.circle(grey, tuple(int(place) for place in rng.integers(20, 76, 2)), 9, 235.0, -1)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, 2)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """30 good parts, and 12 with a stain behind them, in lots of six."""
    folder, rng = tmp_path_factory.mktemp("parts"), np.random.default_rng(0)
    rows = [("file", "label", "group", "mask")]
    for number in range(42):
        stained = number >= 30
        cv2.imwrite(str(folder / f"{number}.png"), a_part(rng, stained))
        rows.append((f"{number}.png", "stain" if stained else "ok", f"lot-{number // 6}", ""))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return folder


@pytest.fixture(scope="module")
def good(parts, tmp_path_factory):
    """A student of the good parts, measured on the stains."""
    out = tmp_path_factory.mktemp("good")
    done = finetune(parts, out, "--good-only")
    assert done.exit_code == 0, done.output
    return out


def test_what_no_good_part_shows_is_far_though_each_of_its_features_is_usual():
    vectors = torch.randn(400, 8, generator=torch.Generator().manual_seed(0))
    vectors[:, 1] = vectors[:, 0] + 0.1 * vectors[:, 1]
    distance = Distance(8)
    distance.learn(vectors)
    against = torch.zeros(8)
    against[0], against[1] = 1.5, -1.5
    assert distance(against) > distance(vectors).quantile(0.99) > distance(torch.zeros(8))


def test_directions_beyond_the_known_ones_count_alike():
    vectors = torch.randn(20, 300, generator=torch.Generator().manual_seed(0))
    distance = Distance(300)
    distance.learn(vectors)
    assert distance.axes.shape == (300, 128)
    assert distance(vectors + 1).min() > 1.2 * distance(vectors).max()


def test_defects_score_higher_than_good_parts_that_it_never_saw(good):
    report = json.loads((good / "training.json").read_text())
    assert report["good_only"] and report["classes"] == []
    assert report["held_out"]["auroc"] > 0.9


def test_labels_of_defects_change_nothing_but_the_measure(good, parts, tmp_path):
    goods = [line for line in (parts / "labels.csv").read_text().splitlines() if ",stain," not in line]
    for line in goods[1:]:
        name = line.partition(",")[0]
        (tmp_path / name).write_bytes((parts / name).read_bytes())
    (tmp_path / "labels.csv").write_text("\n".join([*goods, ""]))
    done = finetune(tmp_path, tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "no defect says what it misses" in " ".join(done.output.split())
    assert json.loads((tmp_path / "out" / "training.json").read_text())["held_out"]["auroc"] is None
    assert (good / "student.onnx").read_bytes() == (tmp_path / "out" / "student.onnx").read_bytes()


def test_the_device_reads_it_as_any_student_and_its_heat_map_rises_where_the_stranger_is(good, parts):
    engine = OrtEngine(Options(kind="ort", threads=1))
    engine.load((good / "student.onnx").read_bytes())
    image = to_input(read_image(read_set(parts)[0].path), engine.spec)
    engine.input[...] = image
    before = engine.infer()
    score, heat = before.score, before.heat_map.copy()
    image[:, :32, :32] = np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3), np.uint8)
    engine.input[...] = image
    after = engine.infer()
    assert after.score > score
    risen = after.heat_map - heat
    assert risen.shape == (12, 12) and risen[:4, :4].mean() > risen[6:, 6:].mean()
    engine.close()


def test_int8_is_calibrated_on_what_it_learnt_from(good, parts):
    teacher = read_teacher(good)
    assert {picture.label for picture in taught_by(teacher, read_set(parts))} == {"ok"}
    assert len(taught_by(replace(teacher, good_only=False), read_set(parts))) == 42


def test_scores_are_measured_by_good_parts_that_were_held_out(parts):
    known = read_set(parts)
    data = one_class(load(known, InputSpec(96, 96), lambda: None))
    familiar, ticked = Familiar(InputSpec(96, 96), Start()), []
    learn(familiar, data, torch.arange(24), 0, ticked.append)
    assert sum(ticked) == reads(24)
    with torch.no_grad():
        new = familiar(data.images[24:30]).score
    assert new.mean() == pytest.approx(-3, abs=2)  # one half lies three of their standard deviations beyond


def test_it_teaches_nobody_what_a_defect_is(good, parts, tmp_path):
    done = run("distil", parts, tmp_path, "--teacher", str(good))
    assert done.exit_code == 78 and "good pictures alone" in str(done.error)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--groups", "lot-0,lot-1"), "take 20 or more"),
        (("--backbone", "resnet10t"), "knows nothing yet"),
        (("--search",), "--search compares ways to learn from defects"),
    ],
)
def test_what_good_pictures_alone_cannot_do_is_refused(parts, tmp_path, more, words):
    done = run("finetune", parts, tmp_path / "out", *SMALL, "--good-only", *more)
    assert done.exit_code == 78 and words in str(done.error)
