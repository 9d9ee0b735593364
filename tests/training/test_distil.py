"""A student learns what teachers say of all pictures; a finished training is not done again."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch

from edge.errors import ConfigError
from edge.picture_set import read_set
from edge.pixels import InputSpec
from tests.training.small import finetune, run
from training import finetune as room
from training.kept import FOLDER, Kept
from training.lesson import Lesson, Said, agreed, correlation
from training.student import Student
from training.teachers import read_teacher

FEW = ("--epochs", "1", "--batch", "8", "--threads", "1")


def distil(pictures, teacher, out, *more):
    return run("distil", pictures, out, "--teacher", str(teacher), *FEW, *more)


@pytest.fixture(scope="module")
def distilled(trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("distilled")
    done = distil(trained.pictures, trained.out, out, "--size", "64", "--backbone", "resnet10t")
    assert done.exit_code == 0, done.output
    return out


def test_a_student_of_another_size_and_backbone_learns_from_the_teacher_and_from_unlabelled_pictures(
    trained, distilled
):
    report = json.loads((distilled / "training.json").read_text())
    assert report["input"]["width"] == 64 and report["begin"]["backbone"] == "resnet10t"
    assert report["teachers"]["pictures"] == 44 and report["teachers"]["unlabelled"] == 2
    assert report["teachers"]["from"][0]["backbone"] == "lite0"
    assert report["split"]["fold_of_group"] == trained.report["split"]["fold_of_group"]
    rows = list(csv.DictReader((distilled / "scores.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == [row["file"] for row in trained.scores]
    assert len((distilled / "pretrained.txt").read_text().split()) >= 2, "what it saw unlabelled is told"


def test_no_model_and_no_teacher_saw_the_group_that_it_scores(trained, tmp_path, monkeypatch):
    seen = []
    fit = room.fit

    def watched(student, data, members, recipe, seed, tick, lesson):
        seen.append((data, members, lesson))
        fit(student, data, members, recipe, seed, tick, lesson)

    monkeypatch.setattr(room, "fit", watched)
    assert distil(trained.pictures, trained.out, tmp_path / "out", "--size", "64").exit_code == 0
    teacher = read_teacher(trained.out)
    free = [picture.group for picture in read_set(trained.pictures) if not picture.label]
    assert len(seen) == teacher.folds + 1
    for fold, (data, members, lesson) in enumerate(seen[:-1]):
        groups = {data.pictures[index].group for index in members.tolist()}
        assert {teacher.fold_of[group] for group in groups} == set(range(teacher.folds)) - {fold}
        taught = len(members) + sum(teacher.fold_of.get(group) != fold for group in free)
        assert len(lesson.images) == len(lesson.said.score) == taught
        with torch.no_grad():
            first = teacher.models[f"fold-{fold}"](_at(teacher, data.pictures[int(members[0])]))
        assert lesson.said.score[0] == pytest.approx(float(first.score[0]), abs=1e-4)


def _at(teacher, picture):
    from training.pictures import in_batches

    return next(in_batches([picture], teacher.spec))


def test_a_training_that_was_killed_goes_on_with_the_same_result(trained, tmp_path, monkeypatch):
    fit, fitted = room.fit, []

    def dying(*args):
        if len(fitted) == 2:
            raise KeyboardInterrupt
        fitted.append(args)
        fit(*args)

    monkeypatch.setattr(room, "fit", dying)
    assert finetune(trained.pictures, tmp_path).exit_code != 0
    assert not (tmp_path / "training.json").exists()
    monkeypatch.setattr(room, "fit", lambda *args: (fitted.append(args), fit(*args)))
    assert finetune(trained.pictures, tmp_path).exit_code == 0
    assert len(fitted) == 3, "two folds were there already"
    for name in ("student.onnx", "scores.csv"):
        assert (tmp_path / name).read_bytes() == (trained.out / name).read_bytes()


def test_a_training_with_other_settings_in_the_same_folder_begins_again(trained, tmp_path, monkeypatch):
    shutil.copytree(trained.out, tmp_path / "out")
    fit, fitted = room.fit, []
    monkeypatch.setattr(room, "fit", lambda *args: (fitted.append(args), fit(*args)))
    assert finetune(trained.pictures, tmp_path / "out", "--seed", "1").exit_code == 0
    assert len(fitted) == 3


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda out: (out / "training.json").unlink(), "holds no finished training"),
        (lambda out: (out / FOLDER / "fold-1.safetensors").write_bytes(b"x"), "wrote it again"),
        (lambda out: _change(out / "scores.csv", ",ok,", ",dent,"), "other labels or groups"),
        (lambda out: _change(out / "scores.csv", ",lot-0001,", ",lot-0002,"), "other labels or groups"),
    ],
    ids=["no report", "a broken model", "other labels", "other groups"],
)
def test_a_folder_that_is_no_teacher_of_this_set_is_refused(trained, tmp_path, spoil, words):
    shutil.copytree(trained.out, tmp_path / "teacher")
    spoil(tmp_path / "teacher")
    done = distil(trained.pictures, tmp_path / "teacher", tmp_path / "out")
    assert isinstance(done.error, ConfigError) and words in str(done.error)


def _change(table, one, other):
    text = table.read_text()
    assert one in text
    table.write_text(text.replace(one, other, 1))


def test_a_student_never_replaces_its_teacher(trained):
    done = distil(trained.pictures, trained.out, trained.out)
    assert isinstance(done.error, ConfigError) and "own folder" in str(done.error)


def test_what_the_teacher_began_with_counts_as_seen(trained, tmp_path):
    shutil.copytree(trained.out, tmp_path / "teacher")
    (tmp_path / "teacher" / "pretrained.txt").write_text("ab" * 32 + "\n")
    assert distil(trained.pictures, tmp_path / "teacher", tmp_path / "out", "--size", "64").exit_code == 0
    assert "ab" * 32 in (tmp_path / "out" / "pretrained.txt").read_text()


def test_a_lesson_of_teachers_without_good_pictures_teaches_no_score():
    student = Student(InputSpec(64, 64), 2)
    said = Said(torch.full((4,), 30.0), torch.full((4, 8, 8), 30.0), torch.zeros(4, 1280), torch.zeros(4, 2))
    images = torch.zeros((4, 64, 64, 3), dtype=torch.uint8)
    losses = {}
    for knows in (True, False):
        lesson = Lesson(images, said, 4, knows)
        torch.manual_seed(0)
        lesson.begin(student)
        losses[knows] = float(lesson.loss(student, torch.Generator().manual_seed(0)).detach())
    assert losses[True] > losses[False] + 1


def test_models_of_two_trainings_are_no_teacher(trained, tmp_path):
    shutil.copytree(trained.out, tmp_path / "teacher")
    Kept(tmp_path / "teacher", "another").keep("whole", read_teacher(trained.out).models["whole"])
    with pytest.raises(ConfigError, match="2 trainings"):
        read_teacher(tmp_path / "teacher")


def test_teachers_agree_on_the_mean_and_on_the_student_s_grid():
    def said(score, side):
        heat = torch.full((2, side, side), float(score))
        return Said(torch.full((2,), float(score)), heat, torch.eye(2), torch.zeros(2, 0))

    both = agreed([said(1, 4), said(3, 8)], 4, 4)
    assert both.score.tolist() == [2, 2] and both.heat.shape == (2, 4, 4)
    assert torch.allclose(both.heat, torch.full((2, 4, 4), 2.0))


def test_the_classes_relations_count_and_not_their_sizes():
    rng = np.random.default_rng(0)
    one = torch.from_numpy(rng.random((6, 3)))
    assert float(correlation(one, 0.2 * one + 0.1)) == pytest.approx(0, abs=1e-6)
    assert float(correlation(one, one.flip(1))) > 0.5
