"""A folder is replayed as its table says, and a file that cannot be read stands for a part nobody may pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.capture import EndOfPictures
from edge.capture.quality import FrameCheck
from edge.clock import MS, SECOND, ManualClock
from edge.errors import CameraError
from edge.records import Reason
from tests.capture.cameras import FRAMES, build, picture, write_folder


def a_camera(folder: Path, clock: ManualClock, **settings: Any) -> Any:
    camera = build({"kind": "folder", "dir": folder, "rate_hz": 10, **settings}, clock)
    camera.open()
    return camera


def test_pictures_come_in_the_tables_order_on_the_grid(tmp_path: Path) -> None:
    clock = ManualClock(SECOND)
    camera = a_camera(write_folder(tmp_path), clock)
    for number in range(FRAMES):
        frame = camera.read(1.0)
        assert frame.name == f"{number}.png"
        assert frame.captured_ns == SECOND + (number + 1) * 100 * MS
        assert np.array_equal(frame.image, picture(number))


def test_groups_select(tmp_path: Path) -> None:
    camera = a_camera(write_folder(tmp_path), ManualClock(), groups=("lot-0", "lot-2"))
    names = [camera.read(1.0).name for _ in range(4)]
    assert names == ["0.png", "1.png", "4.png", "5.png"]
    with pytest.raises(EndOfPictures):
        camera.read(1.0)


def test_groups_may_be_patterns(tmp_path: Path) -> None:
    camera = a_camera(write_folder(tmp_path), ManualClock(), groups=("lot-[12]",))
    assert [camera.read(1.0).name for _ in range(4)] == ["2.png", "3.png", "4.png", "5.png"]


def test_groups_that_select_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="lot-9"):
        a_camera(write_folder(tmp_path), ManualClock(), groups=("lot-9",))


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="top"):
        a_camera(tmp_path / "nothing", ManualClock())


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label,group,mask\n")
    with pytest.raises(CameraError, match="top"):
        a_camera(tmp_path, ManualClock())


def test_a_broken_file_becomes_a_black_frame_that_may_not_be_judged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_folder(tmp_path)
    (folder / "1.png").write_bytes(b"no picture")
    camera, check = a_camera(folder, ManualClock()), FrameCheck(repeats_are_stale=False)
    reasons = [check.check(camera.read(1.0).image) for _ in range(FRAMES)]
    assert reasons == [Reason.NONE, Reason.BAD_FRAME] + [Reason.NONE] * (FRAMES - 2)
    assert "1.png" in caplog.text


def test_a_loop_starts_again(tmp_path: Path) -> None:
    camera = a_camera(write_folder(tmp_path), ManualClock(), loop=True)
    frames = [camera.read(1.0) for _ in range(2 * FRAMES)]
    assert [frame.name for frame in frames[:FRAMES]] == [frame.name for frame in frames[FRAMES:]]
    assert [frame.frame_id for frame in frames] == list(range(2 * FRAMES))


def test_a_late_reader_moves_the_grid(tmp_path: Path) -> None:
    clock = ManualClock()
    camera = a_camera(write_folder(tmp_path), clock)
    camera.read(1.0)
    clock.advance(SECOND)
    late = camera.read(1.0)
    assert late.captured_ns == clock.now_ns()
    assert camera.read(1.0).captured_ns == late.captured_ns + 100 * MS
