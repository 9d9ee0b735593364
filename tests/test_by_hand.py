"""`edge io camera` tells what a camera's pictures are worth, and draws them."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

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
    assert "cap-a: NOT as the student learned: focus" in said
    assert "brightness 6" not in said.partition("NOT as")[2]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--name", "side"), 78, "'side' is not one of top"),
        (("--frames", "5", "--sheet", "/nowhere/x.png"), 78, "cannot write /nowhere/x.png"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, words: tuple[str, ...], code: int, message: str) -> None:
    (tmp_path / "station.toml").write_text(COLLECT)
    ended, said = edge("io", "camera", tmp_path / "station.toml", *words)
    assert (ended, message in said) == (code, True), said
