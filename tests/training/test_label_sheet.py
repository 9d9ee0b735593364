"""Labels and masks as they are stored: whole at every change, nothing of anybody else's lost, each one undone."""

import os

import cv2
import numpy as np
import pytest

from edge.clock import SECOND, ManualClock
from edge.errors import ConfigError, JournalError
from edge.picture_set import read_image, read_mask, read_set
from tests.training.label_page import a_set, labels_of, store
from training.labelling import sheet as sheets
from training.labelling.log import LabelLog, effort, read_log
from training.labelling.masks import Stroke
from training.labelling.sheet import Sheet
from training.labelling.views import Views

DOT = Stroke(((10.0, 20.0),), 3)
ROWS = ["images/a.png,,lot 1,", "images/b.png,ng,lot 1,", 'images/欠け 3.png,ok,"lot, 2",']


@pytest.fixture
def folder(tmp_path):
    return a_set(tmp_path / "set", ROWS)


def mask_of(folder, number):
    return read_mask(read_set(folder)[number], 48, 64)


def test_a_label_is_on_the_disk_with_every_other_row_as_it_was(folder):
    Sheet(folder).label(0, "scratch", "")
    lines = (folder / "labels.csv").read_text(encoding="utf-8").splitlines()
    assert lines == ["file,label,group,mask", "images/a.png,scratch,lot 1,", *ROWS[1:]]


def test_plain_folders_get_a_table_and_stay_where_they_are(tmp_path):
    for name in ("ok/1.png", "ng/1.png", "images/1.png"):
        store(tmp_path / name)
    sheet = Sheet(tmp_path)
    assert not (tmp_path / "labels.csv").exists(), "nothing is written before a key is pressed"
    assert [(row.file, row.label) for row in sheet.rows] == [
        ("images/1.png", ""), ("ng/1.png", "ng"), ("ok/1.png", "ok"),
    ]  # fmt: skip
    sheet.label(0, "ok", "")
    assert labels_of(tmp_path) == {"images/1.png": "ok", "ng/1.png": "ng", "ok/1.png": "ok"}


def test_loose_pictures_are_a_set_without_labels(tmp_path):
    store(tmp_path / "二.png")
    store(tmp_path / "one.png")
    (tmp_path / "notes.txt").write_text("no picture")
    Sheet(tmp_path).label(1, "ng", "")
    assert labels_of(tmp_path) == {"one.png": "", "二.png": "ng"}


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds neither"):
        Sheet(tmp_path)


def test_a_stroke_marks_the_pixels_under_the_brush_at_the_pictures_own_size(folder):
    Sheet(folder).stroke(1, DOT)
    rows, columns = np.nonzero(mask_of(folder, 1))
    # a disc of radius 3 around the point where pixels 9 and 10 meet
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == pytest.approx((17, 23, 7, 13), abs=1)
    assert 20 < len(rows) < 45


def test_erasing_all_of_a_mask_leaves_none(folder):
    sheet = Sheet(folder)
    sheet.stroke(1, DOT)
    file = folder / sheet.rows[1].mask
    assert file.is_file()
    sheet.stroke(1, Stroke(DOT.points, 9, erase=True))
    assert read_set(folder)[1].mask is None
    assert not file.exists()


def test_only_a_defect_takes_a_mask(folder):
    for number in (0, 2):
        with pytest.raises(ConfigError, match="defect class first"):
            Sheet(folder).stroke(number, DOT)


def test_undo_goes_back_through_labels_and_strokes(folder):
    sheet = Sheet(folder)
    before = (folder / "labels.csv").read_bytes()
    sheet.label(0, "ng", "")
    sheet.stroke(0, DOT)
    one = mask_of(folder, 0)
    sheet.stroke(0, Stroke(((40.0, 30.0), (50.0, 30.0)), 2))
    sheet.label(2, "ng", "ok")
    assert [sheet.undo(), sheet.undo()] == [2, 0]
    assert (mask_of(folder, 0) == one).all()
    assert [sheet.undo(), sheet.undo(), sheet.undo()] == [0, 0, None]
    assert (folder / "labels.csv").read_bytes() == before
    assert list((folder / "masks").iterdir()) == []


def test_ok_takes_the_mask_away_and_undo_brings_it_back(folder):
    sheet = Sheet(folder)
    sheet.stroke(1, DOT)
    drawn = mask_of(folder, 1)
    sheet.label(1, "ok", "ng")
    assert read_set(folder)[1].mask is None
    sheet.undo()
    assert labels_of(folder)["images/b.png"] == "ng"
    assert (mask_of(folder, 1) == drawn).all()


def test_no_file_of_somebody_else_is_written_over(tmp_path):
    """Neither the mask of a picture with the same name, nor one that no row names, nor a shared one."""
    rows = ["images/a.png,ng,,", "a.png,ng,,", "b.png,ng,,shared.png", "c.png,ng,,shared.png"]
    folder = a_set(tmp_path, rows)
    cv2.imencode(".png", np.zeros((48, 64), np.uint8))[1].tofile(folder / "shared.png")
    store(folder / "masks" / "a.png")
    foreign = (folder / "masks" / "a.png").read_bytes()
    sheet = Sheet(folder)
    for number in range(3):
        sheet.stroke(number, Stroke(((5.0 + 10 * number, 5.0),), 2))
    masks = [row.mask for row in sheet.rows]
    assert len(set(masks)) == 4
    assert masks[3] == "shared.png"
    assert not read_image(folder / "shared.png").any()
    assert (folder / "masks" / "a.png").read_bytes() == foreign


def test_rows_that_another_program_has_added_stay(folder):
    sheet = Sheet(folder)
    store(folder / "images/new.png")
    with (folder / "labels.csv").open("a", encoding="utf-8") as table:
        table.write("images/new.png,,lot 9,\n")
    sheet.label(0, "ok", "")
    assert labels_of(folder) == {
        "images/a.png": "ok",
        "images/b.png": "ng",
        "images/欠け 3.png": "ok",
        "images/new.png": "",
    }
    sheet.label(3, "ng", "")
    assert read_set(folder)[3].group == "lot 9"


def test_a_label_that_changed_meanwhile_is_not_written_over(folder):
    sheet = Sheet(folder)
    text = (folder / "labels.csv").read_text(encoding="utf-8")
    (folder / "labels.csv").write_text(text.replace("a.png,,", "a.png,dent,"), encoding="utf-8")
    with pytest.raises(ConfigError, match="was labelled 'dent' meanwhile"):
        sheet.label(0, "ok", "")
    assert labels_of(folder)["images/a.png"] == "dent"


@pytest.mark.parametrize("label", ["a\nb", "x" * 41, "tab\there"])
def test_a_class_that_the_table_would_not_give_back_is_refused(folder, label):
    with pytest.raises(ConfigError, match="shorter name"):
        Sheet(folder).label(0, label, "")


def test_a_table_that_vanished_is_told_and_not_made_anew(folder):
    sheet = Sheet(folder)
    (folder / "labels.csv").rename(folder / "away")
    for act in (lambda: sheet.label(0, "ng", ""), lambda: sheet.stroke(1, DOT), lambda: sheet.wipe(1), sheet.undo):
        with pytest.raises(ConfigError, match=r"labels\.csv is gone: put it back"):
            act()
    assert not (folder / "labels.csv").exists()
    (folder / "away").rename(folder / "labels.csv")
    sheet.label(0, "ng", "")
    assert labels_of(folder)["images/a.png"] == "ng"


def test_what_changes_while_the_table_is_read_is_read_again(folder, monkeypatch):
    read = sheets.pictures_in

    def read_while_another_writes(place):
        found = read(place)
        text = (place / "labels.csv").read_text(encoding="utf-8")
        (place / "labels.csv").write_text(text.replace("a.png,,", "a.png,scratch,"), encoding="utf-8")
        return found

    monkeypatch.setattr(sheets, "pictures_in", read_while_another_writes)
    sheet = Sheet(folder)
    monkeypatch.undo()
    assert sheet.refresh() and sheet.rows[0].label == "scratch"


def test_a_full_disk_changes_nothing_and_is_told(folder, monkeypatch):
    sheet = Sheet(folder)

    def full(path, *_parts):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(sheets, "write_whole", full)
    with pytest.raises(JournalError, match="No space left"):
        sheet.label(0, "ng", "")
    monkeypatch.undo()
    assert labels_of(folder)["images/a.png"] == ""
    sheet.label(0, "ok", "")
    assert labels_of(folder)["images/a.png"] == "ok"


def test_a_large_picture_is_shown_small_and_any_part_of_it_at_full_size(tmp_path):
    store(tmp_path / "big.png", 4000, 3000)
    picture = Sheet(tmp_path).picture(0)
    views = Views()
    whole = views.whole(picture)
    assert (whole.width, whole.height) == (4000, 3000)
    assert cv2.imdecode(np.frombuffer(whole.data, np.uint8), cv2.IMREAD_COLOR).shape == (1536, 2048, 3)
    part = cv2.imdecode(np.frombuffer(views.part(picture, 1500, 2000, 300, 200).data, np.uint8), cv2.IMREAD_COLOR)
    assert (part == read_image(picture.path)[2000:2200, 1500:1800]).all()
    for box in ((4000, 0, 10, 10), (0, 0, 4000, 3000), (0, 0, 0, 10)):
        with pytest.raises(ConfigError, match="load the page again"):
            views.part(picture, *box)


def test_the_log_counts_minutes_and_no_pauses(tmp_path):
    clock = ManualClock()
    log = LabelLog(tmp_path, clock)
    log.looking()
    for seconds, label in ((3, "ok"), (5, "ng"), (3_600, "ok")):
        clock.advance(seconds * SECOND)
        log.add("label", f"{seconds}.png", label)
    assert log.so_far() == (3, pytest.approx((3 + 5 + 60) / 60))
    cost = effort(read_log(tmp_path))
    assert (cost.labels, cost.pictures, cost.minutes) == (3, 3, pytest.approx(68 / 60))


def test_a_log_that_a_power_cut_tore_goes_on(tmp_path):
    log = LabelLog(tmp_path, ManualClock())
    log.add("label", "a.png", "ok")
    path = tmp_path / "labelling.csv"
    os.truncate(path, path.stat().st_size - 4)
    LabelLog(tmp_path, ManualClock()).add("label", "b.png", "ng")
    assert [entry.file for entry in read_log(tmp_path)][-1] == "b.png"
