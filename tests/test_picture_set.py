"""A picture set is read as it stands, or refused with the file, the line and the fix."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError, JournalError
from edge.picture_set import read_image, read_mask, read_set, select
from edge.set_writer import PictureSetWriter

REAL = Path(__file__).parents[2] / "shared" / "data"


def store(path, value=7):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imencode(".png", np.full((16, 24, 3), value, np.uint8))[1].tofile(path)


def a_set(folder, rows, header="file,label,group,mask"):
    for name in ("a.png", "b.png", "m.png"):
        store(folder / name)
    (folder / "labels.csv").write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return folder


def test_rows_become_pictures_in_their_order(tmp_path):
    pictures = read_set(a_set(tmp_path, ["b.png,scratch,lot-1,m.png", "a.png,ok,,"]))
    assert [(p.name, p.label, p.group) for p in pictures] == [
        ("b.png", "scratch", "lot-1"),
        ("a.png", "ok", "a.png"),
    ]
    assert pictures[0].mask == tmp_path / "m.png"
    assert pictures[1].mask is None


def test_group_and_mask_may_be_left_out_and_a_label_may_be_empty(tmp_path):
    pictures = read_set(a_set(tmp_path, ["a.png,"], header="file,label"))
    assert (pictures[0].label, pictures[0].group, pictures[0].mask) == ("", "a.png", None)


def test_a_table_saved_by_a_spreadsheet_is_read(tmp_path):
    a_set(tmp_path, [])
    (tmp_path / "labels.csv").write_bytes("\ufefffile,label,group,mask\r\na.png,ok,g,\r\n".encode())
    assert read_set(tmp_path)[0].group == "g"


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["a.png,ok,1"], "file,label,score", r"line 1: unknown columns \['score'\]"),
        (["a.png"], "file", r"missing columns \['label'\]"),
        (["a.png,ok,,", "c.png,ok,,"], None, "line 3: .*c.png does not exist"),
        (["a.png,ok,,", "b.png,ok,,", "a.png,ng,,"], None, "line 4: a.png is listed on line 2"),
        (["../a.png,ok,,"], None, r"\.\./a.png leaves"),
        (["/etc/hostname,ok,,"], None, "leaves"),
        (["a.png,ok,,../m.png"], None, "leaves"),
        (["a.png,ok,,no.png"], None, "no.png does not exist"),
        (["a.png,ok"], None, "line 2: more or fewer values"),
        (["a.png,ok,,,,"], None, "line 2: more or fewer values"),
        ([",ok,,"], None, "line 2: the file is empty"),
        ([], None, "lists no pictures"),
    ],
)
def test_a_wrong_table_is_refused_with_the_place_and_the_fix(tmp_path, rows, header, message):
    with pytest.raises(ConfigError, match=message):
        read_set(a_set(tmp_path, rows, header or "file,label,group,mask"))


def test_a_table_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"file,label,group,mask\n\xff\xfe,ok,,\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_set(tmp_path)


def test_plain_folders_are_labels(tmp_path):
    for name in ("ok/2.png", "ok/1.png", "ng/1.png", "dent/x.PNG"):
        store(tmp_path / name)
    (tmp_path / "ok" / "notes.txt").write_text("no picture")
    pictures = read_set(tmp_path)
    assert [(p.name, p.label) for p in pictures] == [
        ("dent/x.PNG", "dent"),
        ("ng/1.png", "ng"),
        ("ok/1.png", "ok"),
        ("ok/2.png", "ok"),
    ]
    assert {p.group for p in pictures} == {p.name for p in pictures}


def test_an_empty_or_absent_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"neither labels\.csv nor folders"):
        read_set(tmp_path)
    with pytest.raises(ConfigError, match="is not a folder"):
        read_set(tmp_path / "none")


def test_groups_are_selected_by_patterns_in_the_order_of_the_set(tmp_path):
    pictures = read_set(a_set(tmp_path, ["b.png,ok,pos11,", "a.png,ok,pos01,", "m.png,ok,Pos02,"]))
    assert [p.group for p in select(pictures, "pos0*, pos11")] == ["pos11", "pos01"]
    assert [p.group for p in select(pictures, "?os0[1-2]")] == ["pos01", "Pos02"]
    assert select(pictures, None) == select(pictures, "") == pictures


def test_a_pattern_without_a_group_is_refused_and_the_groups_are_named(tmp_path):
    pictures = read_set(a_set(tmp_path, ["a.png,ok,pos01,", "b.png,ok,pos02,"]))
    with pytest.raises(ConfigError, match=r"no group matches 'pos3\*'; the groups are pos01, pos02"):
        select(pictures, "pos01,pos3*")


def test_names_in_any_script_are_read(tmp_path):
    store(tmp_path / "検品 ä.png", 33)
    image = read_image(tmp_path / "検品 ä.png")
    assert (image.shape, image.dtype, image[0, 0].tolist()) == ((16, 24, 3), np.uint8, [33, 33, 33])
    assert read_image(tmp_path / "検品 ä.png", mono=True).shape == (16, 24)


def test_a_name_that_no_table_can_hold_is_refused(tmp_path):
    store(tmp_path / "ok" / os.fsdecode(b"caf\xe9.png"))
    with pytest.raises(ConfigError, match="not UTF-8: rename"):
        read_set(tmp_path)


@pytest.mark.parametrize("data", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n broken"])
def test_a_broken_picture_is_named_with_its_fix(tmp_path, data):
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(ConfigError, match=r"x\.png.*restore the file or remove its row"):
        read_image(tmp_path / "x.png")


def test_a_mask_of_another_size_is_refused(tmp_path):
    picture = read_set(a_set(tmp_path, ["a.png,dent,,m.png"]))[0]
    assert read_mask(picture, 16, 24).tolist() == np.ones((16, 24), int).tolist()
    with pytest.raises(ConfigError, match="24 x 16, its picture 10 x 10"):
        read_mask(picture, 10, 10)


def test_what_is_written_is_read_again(tmp_path):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (20, 30, 3), np.uint8), rng.integers(0, 256, (20, 30), np.uint8)]
    mask = np.zeros((20, 30), np.uint8)
    mask[3:5, 4:9] = 1
    writer = PictureSetWriter(tmp_path / "set")
    writer.add(images[0], "1", "scratch", "lot, 1", mask)
    PictureSetWriter(tmp_path / "set").add(images[1], "2", "", "")
    first, second = read_set(tmp_path / "set")
    assert (first.label, first.group, second.label, second.group) == ("scratch", "lot, 1", "", "images/2.png")
    assert np.array_equal(read_image(first.path), images[0])
    assert np.array_equal(read_image(second.path, mono=True), images[1])
    assert np.array_equal(read_mask(first, 20, 30), mask)


def test_a_row_torn_by_a_power_cut_is_dropped(tmp_path):
    PictureSetWriter(tmp_path).add(np.zeros((8, 8), np.uint8), "1", "ok", "")
    with (tmp_path / "labels.csv").open("a") as table:
        table.write("images/2.png,o")
    PictureSetWriter(tmp_path).add(np.zeros((8, 8), np.uint8), "2", "ok", "")
    assert [picture.name for picture in read_set(tmp_path)] == ["images/1.png", "images/2.png"]


def test_a_picture_whose_row_was_lost_does_not_hide_the_others(tmp_path):
    PictureSetWriter(tmp_path).add(np.zeros((8, 8), np.uint8), "1", "ok", "")
    store(tmp_path / "images" / "2.png")
    assert len(read_set(tmp_path)) == 1


def test_the_writer_never_overwrites_a_picture(tmp_path):
    writer = PictureSetWriter(tmp_path)
    writer.add(np.zeros((8, 8), np.uint8), "1", "ok", "")
    with pytest.raises(ConfigError, match="exists already"):
        writer.add(np.zeros((8, 8), np.uint8), "1", "ng", "")
    with pytest.raises(ConfigError, match="plain file name"):
        writer.add(np.zeros((8, 8), np.uint8), "../1", "ng", "")


def test_a_foreign_table_is_not_appended_to(tmp_path):
    (tmp_path / "labels.csv").write_text("picture,class\n")
    with pytest.raises(ConfigError, match="does not start with"):
        PictureSetWriter(tmp_path)


def test_a_folder_that_cannot_be_written_is_a_disk_error(tmp_path):
    (tmp_path / "images").write_text("a file where the folder should be")
    with pytest.raises(JournalError, match="free disk space or check"):
        PictureSetWriter(tmp_path)


@pytest.mark.parametrize("name", ["ballscrew", "steel", "cookies", "bottles_on_belt"])
def test_the_real_sets_are_read(name):
    if not (REAL / name).is_dir():
        return  # a checkout without the development pictures
    pictures = read_set(REAL / name)
    assert len(pictures) == {"ballscrew": 1104, "steel": 1351, "cookies": 85, "bottles_on_belt": 400}[name]
    for picture in pictures[:: len(pictures) // 10]:
        height, width = read_image(picture.path).shape[:2]
        assert read_mask(picture, height, width).any() == (picture.mask is not None)
