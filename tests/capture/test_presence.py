"""The virtual photo-eye sees every part of a free-running picture once, whatever the lamp does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge import options
from edge.capture.belt import BeltCamera
from edge.capture.presence import PresenceLine
from edge.clock import MS, SECOND, ManualClock
from edge.conveyor import passes_ns
from edge.records import Edge, Frame, TimeSource

FPS = 60
PITCH_NS = 200 * MS


def belt_edges(parts: int, **settings: Any) -> list[Edge]:
    """What a line in the middle of the belt's picture reports while `parts` pass."""
    clock = ManualClock(7 * SECOND)
    given = {"width": 160, "height": 160, "triggered": False, "fps": FPS, "pitch_ms": 200, "jitter_ms": 10}
    chosen = options.BeltCamera.model_validate({"kind": "belt", "name": "top", "seed": 4, **given, **settings})
    camera, line = BeltCamera(chosen, clock), PresenceLine("x", 0.5, 0.12, 2)
    camera.open()
    edges = []
    until_ns = clock.now_ns() + SECOND + parts * PITCH_NS  # the first second is for learning
    while clock.now_ns() < until_ns:
        frame = camera.read(1.0)
        assert frame is not None
        edge = line.see(frame)
        edges += [edge] if edge else []
    return edges


def parts_between(begin_ns: int, end_ns: int) -> list[int]:
    """The parts whose middle crosses the picture's middle in this time."""
    first, last = begin_ns // PITCH_NS - 1, end_ns // PITCH_NS + 2
    times = ((part, passes_ns(4, PITCH_NS, 10 * MS, part)) for part in range(first, last))
    return [part for part, at_ns in times if begin_ns <= at_ns < end_ns]


@pytest.mark.parametrize("drift", [0.0, 0.5])
def test_every_part_is_seen_once(drift: float) -> None:
    edges = belt_edges(60, light_drift=drift)
    comings = [edge for edge in edges if edge.level]
    goings = [edge for edge in edges if not edge.level]
    assert len(comings) >= 58
    steps = np.diff([edge.at_ns for edge in comings])
    assert steps.min() > PITCH_NS - 40 * MS
    assert steps.max() < PITCH_NS + 40 * MS
    assert len(parts_between(comings[0].at_ns, goings[-1].at_ns)) == len(goings)
    assert [edge.counter for edge in comings] == list(range(1, len(comings) + 1))


def test_the_time_of_an_edge_is_the_parts_own_within_the_stated_error() -> None:
    comings = [edge for edge in belt_edges(40) if edge.level]
    parts = parts_between(comings[0].at_ns, comings[-1].at_ns + PITCH_NS)
    leads = [passes_ns(4, PITCH_NS, 10 * MS, part) - edge.at_ns for part, edge in zip(parts, comings, strict=False)]
    # the part's front comes the same time before its middle, but for the stated error and its place on the belt
    assert max(leads) - min(leads) <= 2 * comings[0].err_ns + 4 * MS
    assert comings[0].err_ns == pytest.approx(SECOND / FPS / 2, rel=0.01)


def frame(level: int, number: int, stripe: int | None = None) -> Frame:
    """A flat picture of brightness `level`, with a striped part on the line where `stripe` is given."""
    image = np.full((128, 128, 3), level, np.uint8)
    if stripe is not None:
        image[20:108:2] = stripe
    return Frame(image, "top", number, number * 10 * MS, 3 * MS, TimeSource.DRIVER)


def seen(levels: list[tuple[int, int | None]], axis: str = "x", learn: int = 5) -> list[Edge]:
    line = PresenceLine(axis, 0.5, 0.12, 2, learn_frames=learn)  # type: ignore[arg-type]
    edges = (line.see(frame(level, number, stripe)) for number, (level, stripe) in enumerate(levels))
    return [edge for edge in edges if edge is not None]


@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_part_makes_a_coming_and_a_going(axis: str) -> None:
    edges = seen([(60, None)] * 10 + [(60, 200)] * 5 + [(60, None)] * 5, axis)
    assert [(edge.level, edge.counter) for edge in edges] == [(True, 1), (False, 1)]
    assert 90 * MS <= edges[0].at_ns <= 100 * MS
    assert 140 * MS <= edges[1].at_ns <= 150 * MS
    assert edges[0].err_ns == 3 * MS + 5 * MS
    assert edges[0].source == TimeSource.DRIVER


def test_a_flash_shorter_than_the_debounce_is_no_part() -> None:
    assert seen([(60, None)] * 10 + [(60, 200)] + [(60, None)] * 10) == []


def test_slow_light_is_no_part_and_hides_none() -> None:
    drifting = [(60 + number // 4, None) for number in range(160)]
    assert seen(drifting) == []
    edges = seen([*drifting, *[(100, 240)] * 5, *[(100, None)] * 5])
    assert [edge.level for edge in edges] == [True, False]


def test_a_lamp_that_is_switched_is_no_part_and_hides_none() -> None:
    for before, after in ((60, 110), (110, 60)):
        stepped = [(before, None)] * 20 + [(after, None)] * 20
        assert seen(stepped) == []
        edges = seen([*stepped, *[(after, 2 * after)] * 5, *[(after, None)] * 5])
        assert [edge.level for edge in edges] == [True, False]


def test_a_lamp_that_is_switched_over_a_part_ends_it_where_the_part_ends() -> None:
    edges = seen([(60, None)] * 10 + [(60, 120)] * 5 + [(100, 200)] * 5 + [(100, None)] * 5)
    assert [edge.level for edge in edges] == [True, False]
    assert 190 * MS <= edges[1].at_ns <= 200 * MS


@pytest.mark.parametrize(("mains", "fps"), [(100.0, 60.0), (100.0, 49.0), (120.0, 50.0)])
def test_a_lamp_that_flickers_with_the_mains_is_no_part_and_hides_none(mains: float, fps: float) -> None:
    """40 % more and less light at twice the mains' frequency, which beats with the frame rate."""

    def lit(number: int, stripe: int | None) -> Frame:
        light = 1 + 0.4 * np.sin(2 * np.pi * mains * number / fps)
        made = frame(80, number, stripe)
        image = np.clip(made.image * light, 0, 255).astype(np.uint8)
        return Frame(image, "top", number, round(number * SECOND / fps), 3 * MS, TimeSource.DRIVER)

    line = PresenceLine("x", 0.5, 0.12, 2, learn_frames=5)
    found = [line.see(lit(number, 160 if number % 40 >= 30 else None)) for number in range(410)]
    edges = [edge for edge in found if edge is not None]
    assert [edge.level for edge in edges] == [True, False] * 10
    crossings = [edge.at_ns * fps / SECOND % 40 for edge in edges if edge.level]
    assert all(28.5 <= crossing <= 30 for crossing in crossings)


def test_a_part_that_touches_one_end_of_the_line_is_seen() -> None:
    line = PresenceLine("x", 0.5, 0.12, 2, learn_frames=5)
    edges = []
    for number in range(20):
        made = frame(60, number)
        if 10 <= number < 15:
            made.image[:64] = 150
        edges.append(line.see(made))
    assert [edge.level for edge in edges if edge is not None] == [True, False]


def test_learning_while_parts_stand_on_the_line_finds_the_gap_between_them() -> None:
    learning = [(60, 200)] * 4 + [(60, None)] * 2 + [(60, 200)] * 4
    edges = seen(learning + [(60, None)] * 5 + [(60, 200)] * 5, learn=10)
    assert [edge.level for edge in edges] == [True]


def test_a_part_that_stands_on_the_line_when_learning_ends_has_no_time_and_gives_no_edge() -> None:
    line = PresenceLine("x", 0.5, 0.12, 2, learn_frames=5)
    pictures = [(60, None)] * 2 + [(60, 200)] * 6 + [(60, None)] * 4 + [(60, 200)] * 4
    ready, edges = [], []
    for number, (level, stripe) in enumerate(pictures):
        edges.append(line.see(frame(level, number, stripe)))
        ready.append(line.ready)
    assert ready == [False] * 8 + [True] * 8
    found = [edge for edge in edges if edge is not None]
    assert [(edge.level, edge.counter) for edge in found] == [(True, 1)]
    assert 110 * MS <= found[0].at_ns <= 120 * MS
