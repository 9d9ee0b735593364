"""`edge io camera` tells what a camera's pictures are worth, and draws them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest

from edge import by_hand
from edge.errors import ConfigError
from tests.eye.stations import DARK, draw, modbus_bench
from tests.test_cli import edge

COLLECT = """
[station]
name = "line-3"
mode = "collect"
[[camera]]
name = "top"
kind = "belt"
triggered = false
fps = 100
pitch_ms = 400
width = 320
height = 240
[trigger]
kind = "simulated"
"""


def test_the_pictures_of_a_moving_belt_are_appraised(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text(COLLECT)
    sheet = tmp_path / "camera.png"
    words = ("io", "camera", tmp_path / "station.toml", "--frames", "60", "--exposure-us", "300", "--sheet", sheet)
    code, said = edge(*words)
    assert code == 0, said
    for start in ("60 pictures of 320 x 240", "focus ", "brightness ", "flicker: ", "motion blur: "):
        assert f"camera top: {start}" in said
    drawn = cv2.imread(str(sheet))
    assert drawn is not None and drawn.shape[1] == 1_280


def test_the_installed_students_light_and_focus_are_compared(tmp_path: Path) -> None:
    with modbus_bench(tmp_path) as bench:
        draw(tmp_path, [DARK] * 8)
        code, said = edge("io", "camera", bench.file, "--frames", "8")
    assert code == 0, said
    # the bundle's acceptance picture is plain, the camera's have texture and the same brightness
    assert "cap-a: NOT as the student learned: contrast" in said and "focus" in said.partition("NOT as")[2]
    assert "brightness 6" not in said.partition("NOT as")[2]


def test_a_camera_is_compared_with_a_set_that_was_recorded_with_it(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text(COLLECT)
    into = tmp_path / "set"
    assert edge("collect", tmp_path / "station.toml", "--into", into, "--every", "50ms", "--pictures", "20")[0] == 0
    words = ("io", "camera", tmp_path / "station.toml", "--frames", "60", "--like", into)
    code, said = edge(*words)
    assert code == 0 and f"{into}: light, colour and focus are as the student learned them" in said, said
    for row in (into / "images").iterdir():
        cv2.imwrite(str(row), cv2.imread(str(row)) // 2)
    code, said = edge(*words)
    assert code == 0 and f"{into}: NOT as the student learned: brightness" in said


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"name": "side"}, "'side' is not one of top"),
        ({"sheet": Path("/nowhere/x.png")}, "cannot write /nowhere/x.png"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    (tmp_path / "station.toml").write_text(COLLECT)
    with pytest.raises(ConfigError, match=message):
        by_hand.camera(tmp_path / "station.toml", frames=3, **keys)
