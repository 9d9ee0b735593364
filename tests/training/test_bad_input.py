"""What cannot be learnt from is refused with one ConfigError that says what to do."""

import sys

import cv2
import numpy as np
import pytest

from tests.training.small import finetune
from training.cli import main


def a_set(folder, rows, size=(64, 48), sizes=None):
    folder.mkdir()
    for index, row in enumerate(rows):
        width, height = (sizes or {}).get(index, size)
        store(folder / row.split(",")[0], width, height)
    (folder / "labels.csv").write_text("\n".join(["file,label,group,mask", *rows, ""]))
    return folder


def store(path, width, height):
    grain = np.random.default_rng(list(path.name.encode())).integers(0, 255, (height, width, 3), np.uint8)
    cv2.imencode(".png", grain)[1].tofile(path)


def rows_of(labels, groups):
    return [f"{n}.png,{label},{group}," for n, (label, group) in enumerate(zip(labels, groups, strict=True))]


PLENTY = rows_of(["ok", "ng"] * 4, "aabbccdd")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (rows_of([""] * 6, "abcdef"), "none of the 6 pictures has a label"),
        (rows_of(["ok"] * 6, "abcdef"), "label defects"),
        (rows_of(["ng"] * 6, "abcdef"), "add good ones"),
        (rows_of(["ok", "ng"] * 3, "aaaaaa"), "the groups that hold defects: a; "),
        (rows_of(["ok", "ng", "ok"], "abc"), "the groups that hold defects: b; "),
        (rows_of(["ok", "ng", "ng", "ok"], "abca"), "the groups that hold good pictures: a; "),
    ],
)
def test_labels_that_teach_nothing_are_refused(tmp_path, rows, words):
    done = finetune(a_set(tmp_path / "set", rows), tmp_path / "out")
    assert done.exit_code == 78
    assert words in str(done.error)
    assert not (tmp_path / "out").exists()


def test_more_folds_than_groups_name_the_number_that_works(tmp_path):
    done = finetune(a_set(tmp_path / "set", PLENTY), tmp_path / "out", "--folds", "5")
    assert done.exit_code == 78
    assert "--folds 4" in str(done.error)


def test_a_broken_picture_is_named(tmp_path):
    folder = a_set(tmp_path / "set", PLENTY)
    (folder / "3.png").write_bytes(b"no picture")
    done = finetune(folder, tmp_path / "out")
    assert done.exit_code == 78
    assert "3.png" in str(done.error)


def test_a_mask_of_another_size_is_named(tmp_path):
    folder = a_set(tmp_path / "set", [*PLENTY, "8.png,ng,e,m.png"])
    store(folder / "m.png", 30, 20)
    done = finetune(folder, tmp_path / "out")
    assert done.exit_code == 78
    assert "m.png is 30 x 20, its picture 64 x 48" in str(done.error)


def test_a_picture_that_is_smaller_than_the_region_of_interest_is_named(tmp_path):
    folder = a_set(tmp_path / "set", PLENTY, sizes={2: (40, 40)})
    done = finetune(folder, tmp_path / "out", "--roi", "0,0,60,40")
    assert done.exit_code == 78
    assert "2.png: a 40 x 40 picture does not contain the region of interest" in str(done.error)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--size", "big"), "320x128"),
        (("--size", "100"), "multiple of 8"),
        (("--roi", "1,2"), "x,y,width,height"),
        (("--roi", "0,0,0,40"), "x,y,width,height"),
        (("--roi", "0,0,40,0"), "x,y,width,height"),
        (("--fit", "crop"), "stretch, letterbox"),
        (("--groups", "z*"), "z*"),
    ],
)
def test_a_wrong_option_says_what_to_write(tmp_path, option, words):
    done = finetune(a_set(tmp_path / "set", PLENTY), tmp_path / "out", *option)
    assert done.exit_code == 78
    assert words in str(done.error)


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "out").write_text("a file")
    done = finetune(a_set(tmp_path / "set", PLENTY), tmp_path / "out")
    assert done.exit_code == 78
    assert "choose another folder" in str(done.error)


def test_the_command_prints_one_line_and_ends_with_78(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["edge-train", "finetune", str(tmp_path / "none"), "-o", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 78
    told = capsys.readouterr().err
    assert told.startswith("edge-train: ") and told.count("\n") == 1


def test_without_the_host_libraries_the_command_names_the_extra(tmp_path, monkeypatch):
    for room in ("finetune", "fit", "export", "student", "backbones", "encoder", "weights"):
        monkeypatch.delitem(sys.modules, f"training.{room}", raising=False)
    monkeypatch.setitem(sys.modules, "timm", None)
    done = finetune(a_set(tmp_path / "set", PLENTY), tmp_path / "out")
    assert done.exit_code == 78
    assert f"training needs timm: {sys.prefix}/bin/pip install 'kenpin[host]'" in str(done.error)
