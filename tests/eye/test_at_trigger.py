"""A recording gives each part its own picture or none, by the rule of inspection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.clock import MS
from edge.eye.at_trigger import HOLD_NS, AtTrigger
from edge.records import Edge, Frame, Part, Reason, TimeSource
from edge.station import parse

STATION = """
[station]
name = "line-3"
mode = "collect"
[[camera]]
name = "top"
kind = "belt"
trigger_to_frame_ms = 10
window_ms = 5
{more}
[trigger]
kind = "simulated"
"""
SIDE = '[[camera]]\nname = "side"\nkind = "belt"\ntrigger_to_frame_ms = 30\nwindow_ms = 5\n'


class Recording:
    def __init__(self, more: str = "") -> None:
        self.kept: list[tuple[int, int, int]] = []  # camera, part, brightness of the picture
        self.parts = AtTrigger(parse(STATION.format(more=more).encode(), Path("s.toml")), self._keep)

    def _keep(self, view: int, part: Part, image: np.ndarray) -> None:
        self.kept.append((view, part.part_id, int(image[0, 0])))

    def born(self, at_ms: float, level: bool = True, counter: int = 1) -> None:
        self.parts.born(Edge(level, round(at_ms * MS), 0, TimeSource.KERNEL, counter))

    def see(self, at_ms: float, brightness: int, view: int = 0, reason: Reason = Reason.NONE) -> None:
        image = np.full((8, 8), brightness, np.uint8)
        self.parts.frame(view, Frame(image, "top", 0, round(at_ms * MS), 0, TimeSource.SENSOR), reason)


@pytest.mark.parametrize("birth_first", [True, False])
def test_a_part_gets_the_picture_of_its_instant(birth_first: bool) -> None:
    recording = Recording()
    steps = [lambda: recording.born(100), lambda: recording.see(111, 70)]
    for step in steps if birth_first else reversed(steps):
        step()
    recording.born(150, level=False)
    assert recording.kept == [(0, 1, 70)] and recording.parts.missed == 0


def test_the_views_of_a_part_are_kept_as_one_part() -> None:
    recording = Recording(SIDE)
    recording.born(100)
    recording.see(130, 80, view=1)
    recording.see(110, 70, view=0)
    assert recording.kept == [(1, 1, 80), (0, 1, 70)]


def test_a_part_without_a_good_picture_of_its_own_is_counted() -> None:
    recording = Recording()
    recording.born(100)
    recording.see(110, 0, reason=Reason.BAD_FRAME)  # a bad one
    recording.born(300)
    recording.born(304)
    recording.see(312, 70)  # fits both
    recording.born(500)  # none
    recording.parts.expire(5_000 * MS)
    assert recording.kept == [] and recording.parts.missed == 4


def test_frames_that_nobody_was_born_for_do_not_fill_the_memory() -> None:
    recording = Recording()
    for number in range(200):
        recording.see(number * 20, 70)
        recording.parts.expire(number * 20 * MS + HOLD_NS)
    recording.born(20_000)
    recording.see(20_010, 90)
    assert recording.kept == [(0, 1, 90)]
