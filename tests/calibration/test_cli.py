"""`edge-calibrate` chooses, proves and refuses in words."""

import json

import pytest

from calibration import cli
from calibration.leaks import fingerprint, write_pretrained
from calibration.scores import read_scores
from edge.picture_set import read_set
from tests.compile.belts import SPOT, cross_fitted, draw, run
from tests.compile.students import student


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "student.onnx").write_bytes(student())
    cross_fitted(tmp_path / "scores.csv")
    return tmp_path


def threshold(monkeypatch, folder, *words, escape=0.05):
    given = [folder / "scores.csv", "--escape", escape, "-o", folder / "threshold.json", *words]
    return run(monkeypatch, cli.main, "threshold", *given)


def test_the_threshold_is_proven_on_the_locked_set_in_one_sentence(monkeypatch, capsys, folder):
    locked = draw(folder / "locked", 40, 64, 1)
    assert threshold(monkeypatch, folder, "--acceptance", locked) == 0
    told = capsys.readouterr().out
    assert "Threshold 0.5000. On 70 cross-fitted defects from 6 groups, 0 missed" in told
    assert (
        "On 64 held-out defects from 6 groups, 0 missed: escape rate <= 4.6% with 95% confidence; "
        "overkill 0.0% (<= 7.2%)."
    ) in told
    written = json.loads((folder / "threshold.json").read_text())
    assert written["threshold"] == pytest.approx(0.5)
    assert (written["acceptance"]["defects"], written["proven"]) == (64, True)


def test_missed_defects_are_listed_and_refuse_the_threshold(monkeypatch, capsys, folder):
    locked = draw(folder / "locked", 10, 62, 1, spots=(SPOT, SPOT, SPOT, 8))
    assert threshold(monkeypatch, folder, "--acceptance", locked) == 78
    told = capsys.readouterr()
    assert "Missed defects" in told.out
    assert "locked/images/lot-011" in told.out or "images/lot-011" in told.out
    assert "not proven on the locked set: 16 of 62 held-out defects missed" in told.err
    assert not (folder / "threshold.json").exists()
    assert threshold(monkeypatch, folder, "--acceptance", locked, "--allow-unproven") == 0
    assert len(json.loads((folder / "threshold.json").read_text())["missed"]) == 16


def test_too_few_locked_defects_are_too_few_to_say(monkeypatch, capsys, folder):
    locked = draw(folder / "locked", 10, 20, 1)
    assert threshold(monkeypatch, folder, "--acceptance", locked) == 78
    assert "too few defects to say: 20 with none missed prove <= 13.9%" in capsys.readouterr().err


def test_too_few_training_defects_are_refused_with_the_number_it_takes(monkeypatch, capsys, folder):
    cross_fitted(folder / "scores.csv", defects=58)
    assert threshold(monkeypatch, folder) == 78
    assert "too few defects to say: 58 labelled" in capsys.readouterr().err
    assert threshold(monkeypatch, folder, "--allow-unproven") == 0


def test_a_group_of_the_training_pictures_in_the_locked_set_is_refused(monkeypatch, capsys, folder):
    locked = draw(folder / "locked", 10, 64, 1, lot="train")
    assert threshold(monkeypatch, folder, "--acceptance", locked) == 78
    assert "train-0, train-1" in capsys.readouterr().err


def test_a_picture_of_the_training_set_in_the_locked_set_is_refused(monkeypatch, capsys, folder):
    trained = draw(folder / "trained", 5, 5, 1, lot="a")
    locked = draw(folder / "locked", 5, 60, 1, lot="b")  # the same seed: the first good ones are the same
    rows = [f"{picture.name},{picture.label},{picture.group},0,0.9" for picture in read_set(trained)]
    rows = [row.replace("0.9", "0.1") if ",ok," in row else row for row in rows]
    (folder / "scores.csv").write_text("\n".join(["file,label,group,fold,score", *rows, ""]))
    words = ("--acceptance", locked, "--pictures", trained, "--allow-unproven")
    assert threshold(monkeypatch, folder, *words) == 78
    assert "acceptance pictures were used for training too (images/b-000.png" in capsys.readouterr().err


def test_a_picture_of_the_pretraining_in_the_locked_set_is_refused(monkeypatch, capsys, folder):
    locked = draw(folder / "locked", 5, 60, 1)
    seen = fingerprint(read_set(locked)[7])
    write_pretrained(folder, [seen, "0" * 64])
    assert threshold(monkeypatch, folder, "--acceptance", locked) == 78
    assert "1 acceptance pictures were used for pretraining too (images/" in capsys.readouterr().err
    assert threshold(monkeypatch, folder) == 0
    assert json.loads((folder / "threshold.json").read_text())["seen_pictures"] == sorted([seen, "0" * 64])
    (folder / "pretrained.txt").write_text("seen\n")
    assert threshold(monkeypatch, folder) == 78
    assert "pretrained.txt holds what is no fingerprint" in capsys.readouterr().err


def test_scores_that_were_moved_without_what_the_student_was_pretrained_on_are_told(monkeypatch, capsys, folder):
    rows = (folder / "scores.csv").read_text().splitlines()
    rows[1:] = [",".join([*row.split(",")[:3], str(at % 2), row.split(",")[4]]) for at, row in enumerate(rows[1:])]
    (folder / "scores.csv").write_text("\n".join([*rows, ""]))
    assert threshold(monkeypatch, folder) == 0
    assert "whether pretraining saw pictures of the locked set is not known" in capsys.readouterr().out
    write_pretrained(folder, [])
    assert threshold(monkeypatch, folder) == 0
    assert "pretraining" not in capsys.readouterr().out


def test_the_training_set_must_be_that_of_the_scores(monkeypatch, capsys, folder):
    other = draw(folder / "other", 2, 2, 1)
    assert threshold(monkeypatch, folder, "--pictures", other) == 78
    assert "lacks pictures that scores.csv lists" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--student", "none.onnx"), ("--acceptance", "none")])
def test_files_that_are_not_there_are_one_line(monkeypatch, capsys, folder, words):
    assert threshold(monkeypatch, folder, *words) == 78
    told = capsys.readouterr().err
    assert told.startswith("edge-calibrate: ")
    assert "Traceback" not in told


def test_a_sample_is_a_set_of_its_own(monkeypatch, capsys, tmp_path):
    known = draw(tmp_path / "set", 30, 12, 1)
    assert run(monkeypatch, cli.main, "sample", known, "--pictures", 20, "-o", tmp_path / "sample") == 0
    labels = [picture.label for picture in read_set(tmp_path / "sample")]
    assert (labels.count("ok"), labels.count("spot")) == (10, 10)
    assert "wrote 20 of 42 pictures, 10 of them defects" in capsys.readouterr().out


def test_a_student_from_elsewhere_is_scored_picture_by_picture(monkeypatch, folder):
    held = draw(folder / "held", 9, 7, 1)
    assert run(monkeypatch, cli.main, "score", folder / "student.onnx", held, "-o", folder / "own.csv") == 0
    rows = read_scores(folder / "own.csv")
    assert [row.file for row in rows] == [picture.name for picture in read_set(held)]
    assert [row.score > 0.5 for row in rows] == [row.defect for row in rows] == [False] * 9 + [True] * 7


def test_a_score_that_is_no_share_is_not_written(monkeypatch, capsys, folder):
    (folder / "nan.onnx").write_bytes(student(steep=float("nan")))
    held = draw(folder / "held", 1, 1, 1)
    assert run(monkeypatch, cli.main, "score", folder / "nan.onnx", held, "-o", folder / "own.csv") == 78
    assert "gets no score from 0 to 1; correct the model, or its map" in capsys.readouterr().err
    assert not (folder / "own.csv").exists()
