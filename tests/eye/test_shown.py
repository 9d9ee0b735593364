"""A picture that somebody asked for lies in the run folder once, small and with its heat map; others cost nothing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.clock import ManualClock
from edge.control import Refused, picture_name
from edge.control import Shown as Told
from edge.eye.shown import WIDEST, Shown
from edge.heat_map import heat_map, heat_map_in, painted
from edge.pixels import InputSpec
from edge.records import Kind
from tests.interned import interned

PART = 0x700000001
IMAGE = np.full((1_536, 2_048, 3), 90, np.uint8)
HEAT = heat_map(np.eye(4, dtype=np.float32), InputSpec(32, 32, roi=(1_000, 500, 1_048, 1_036)))


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    return Shown(tmp_path, ["top", "side"], ManualClock())


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_nothing_is_written_for_nobody(shown: Shown, tmp_path: Path) -> None:
    shown.show(0, PART, Kind.PASS, IMAGE, HEAT)
    assert names(tmp_path) == set() and not shown.wants(0)


def test_each_time_that_it_is_asked_for_one_picture_comes(shown: Shown, tmp_path: Path) -> None:
    assert shown.ask("top") == Told(part_id=0, kind="", wall_ns=0)
    assert shown.wants(0) and not shown.wants(1)
    shown.show(1, PART, Kind.PASS, IMAGE, None)
    for part in range(PART, PART + 3):
        shown.show(0, part, Kind.REJECT, IMAGE, HEAT)
    assert names(tmp_path) == {picture_name(PART, "top")}
    answer = shown.ask("top")
    assert isinstance(answer, Told) and (answer.part_id, answer.kind) == (PART, "REJECT")
    shown.show(0, PART, Kind.REJECT, IMAGE, HEAT)
    assert shown.wants(0), "the same part again is no newer picture"
    shown.show(0, PART + 9, Kind.PASS, IMAGE, HEAT)
    assert names(tmp_path) == {picture_name(PART + 9, "top")}, "the one of before has gone"


def test_a_large_picture_is_made_small_and_its_heat_map_still_fits(shown: Shown, tmp_path: Path) -> None:
    shown.ask("top")
    shown.show(0, PART, Kind.REJECT, IMAGE, HEAT)
    data = (tmp_path / picture_name(PART, "top")).read_bytes()
    image, heat = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), heat_map_in(data)
    assert image is not None and heat is not None
    assert image.shape[1] <= WIDEST and len(data) < 60_000
    coloured = np.ptp(painted(image.astype(np.uint8), heat).astype(int), axis=2) > 40
    rows, columns = np.nonzero(coloured)
    share = (columns.min() / image.shape[1], rows.min() / image.shape[0])
    assert share == pytest.approx((1_000 / 2_048, 500 / 1_536), abs=0.03), "where it was in the large one"


def test_what_an_eye_that_was_killed_left_is_taken_away(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / picture_name(PART, "top")).touch()
    (tmp_path / "control.sock").touch()
    shown.clear()
    assert names(tmp_path) == {"control.sock"}


def test_a_camera_that_there_is_not_and_a_folder_that_fails_are_no_harm(shown: Shown, tmp_path: Path) -> None:
    answer = shown.ask("../top")
    assert isinstance(answer, Refused) and "top, side" in answer.words
    lost = Shown(tmp_path / "none", ["top"], ManualClock())
    lost.ask("top")
    lost.show(0, PART, Kind.PASS, IMAGE, None)
    answer = lost.ask("top")
    assert isinstance(answer, Told) and answer.part_id == 0


def test_names_that_never_come_again_are_not_interned(shown: Shown) -> None:
    with interned() as found:
        for part in range(PART, PART + 3):
            shown.ask("top")
            shown.show(0, part, Kind.REJECT, IMAGE, HEAT)
    assert not [text for text in found if "_top" in text]
