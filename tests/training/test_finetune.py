"""Every labelled picture is scored by a model that did not see its group; the same seed gives the same student."""

import csv
import json
from collections import defaultdict

import cv2
import numpy as np
import pytest

from tests.training.small import finetune
from training import finetune as room


def test_every_labelled_picture_has_one_score_and_no_other(trained):
    rows = list(csv.DictReader((trained.pictures / "labels.csv").read_text().splitlines()))
    assert [row["file"] for row in trained.scores] == [row["file"] for row in rows if row["label"]]
    assert all(0 <= float(row["score"]) <= 1 for row in trained.scores)
    assert len({row["score"] for row in trained.scores}) > 10


def test_no_group_is_split_over_folds_and_every_fold_holds_both_kinds(trained):
    folds, kinds = defaultdict(set), defaultdict(set)
    for row in trained.scores:
        folds[row["group"]].add(row["fold"])
        kinds[row["fold"]].add(row["label"] == "ok")
    assert all(len(held) == 1 for held in folds.values())
    assert dict(kinds) == {"0": {True, False}, "1": {True, False}}
    assert trained.report["split"]["fold_of_group"] == {group: int(*held) for group, held in folds.items()}


def test_a_model_never_learns_from_the_pictures_it_scores(belt, tmp_path, monkeypatch):
    learnt, scored = [], []
    fit, tell = room.fit, room.tell
    monkeypatch.setattr(
        room, "fit", lambda s, d, members, *rest: (learnt.append(members), fit(s, d, members, *rest))
    )
    monkeypatch.setattr(room, "tell", lambda s, d, members: (scored.append((d, members)), tell(s, d, members))[1])
    assert finetune(belt, tmp_path / "out").exit_code == 0
    assert len(learnt) == 3 and len(scored) == 2
    for members, (data, held) in zip(learnt, scored, strict=False):
        groups = [{data.pictures[index].group for index in chosen.tolist()} for chosen in (members, held)]
        assert groups[0] and groups[1] and not groups[0] & groups[1]
    assert sorted(np.concatenate([held for _, held in scored])) == sorted(learnt[-1].tolist())


def test_the_report_says_how_and_how_well(trained):
    report = trained.report
    assert report["seed"] == 0 and report["classes"] == ["dent", "scratch", "stain"]
    assert report["pictures"]["ok"] + report["pictures"]["defects"] == len(trained.scores) == 42
    assert 0 <= report["held_out"]["auroc"] <= 1
    assert set(report["held_out_by_group"]) == {"lot-0001", "lot-0002", "lot-0003"}
    assert report["parity"]["largest_difference"] <= 1e-4
    assert report["versions"]["torch"]


def test_the_report_says_how_the_defects_were_told_apart(trained):
    classes = trained.report["held_out_classes"]
    told = np.array(classes["confusion"])
    assert told.shape == (3, 3) and told.sum() == trained.report["pictures"]["defects"]
    assert classes["accuracy"] == pytest.approx(told.trace() / told.sum(), abs=1e-6)


def test_defects_of_several_classes_without_a_good_part_teach_their_classes_alone(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(24):
        label = ("bright", "dark")[number % 2]
        pixels = rng.normal(200 if label == "bright" else 60, 8, (64, 64, 3)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), pixels)
        rows.append(f"{number}.png,{label}\n")
    (tmp_path / "labels.csv").write_text("file,label\n" + "".join(rows))
    done = finetune(tmp_path, tmp_path / "out", "--epochs", "6")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out" / "training.json").read_text())
    assert report["held_out_classes"]["accuracy"] > 0.9
    assert report["held_out"]["auroc"] is None
    assert "add pictures labelled ok" in " ".join(done.output.split())


def test_the_same_seed_gives_the_same_student_and_another_seed_another(trained, tmp_path):
    assert finetune(trained.pictures, tmp_path / "again").exit_code == 0
    assert finetune(trained.pictures, tmp_path / "other", "--seed", "1").exit_code == 0
    first, again, other = ((folder / "student.onnx").read_bytes() for folder in (
        trained.out, tmp_path / "again", tmp_path / "other"))  # fmt: skip
    assert first == again != other
    assert (trained.out / "scores.csv").read_text() == (tmp_path / "again" / "scores.csv").read_text()


@pytest.mark.parametrize(
    "more", [["--mono", "--fit", "letterbox", "--roi", "8,8,112,96", "--groups", "lot-000[12]"]]
)
def test_the_geometry_of_the_command_line_reaches_the_student(belt, tmp_path, more):
    done = finetune(belt, tmp_path / "out", *more)
    assert done.exit_code == 0, done.output
    assert "fold 1 of 2\n" in done.output and "average precision" in done.output
    from onnx import load

    said = {entry.key: entry.value for entry in load(tmp_path / "out" / "student.onnx").metadata_props}
    assert said["kenpin.input"] == (
        '{"channels": 1, "fit": "letterbox", "height": 96, "roi": [8, 8, 112, 96], "width": 96}'
    )


def test_several_seeds_say_how_much_is_chance_and_change_neither_scores_nor_student(trained, tmp_path):
    done = finetune(trained.pictures, tmp_path, "--seeds", "2")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "training.json").read_text())
    assert report["seeds"]["auroc"][0] == trained.report["held_out"]["auroc"]
    assert len(report["seeds"]["average_precision"]) == 2
    assert "auroc of 2 seeds" in done.output
    for name in ("student.onnx", "scores.csv"):
        assert (tmp_path / name).read_bytes() == (trained.out / name).read_bytes()
