"""Between the grabbing and the reading thread the oldest picture gives way, and memory goes round."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edge.capture.newest import NewestFrames
from edge.errors import CameraError


def picture(level: int) -> np.ndarray:
    return np.full((4, 4), level, np.uint8)


def test_the_oldest_gives_way_and_the_numbers_show_it() -> None:
    frames = NewestFrames(2)
    for level in range(5):
        frames.put(picture(level), level)
    taken = [frames.take(0), frames.take(0)]
    assert [(one.number, one.at_ns, one.image[0, 0]) for one in taken if one] == [(3, 3, 3), (4, 4, 4)]
    assert frames.take(0) is None


def test_a_picture_that_is_being_read_is_never_written_into() -> None:
    frames = NewestFrames(1)
    frames.put(picture(1), 0)
    given = frames.take(0)
    assert given is not None
    for level in range(2, 30):
        buffer = frames.buffer()
        image = picture(0) if buffer is None else buffer
        image[:] = level
        frames.put(image, 0)
        assert not np.shares_memory(image, given.image)
    assert given.image[0, 0] == 1


def test_three_buffers_are_enough_for_ever() -> None:
    frames, made = NewestFrames(1), 0
    for number in range(50):
        buffer = frames.buffer()
        made += buffer is None
        frames.put(picture(0) if buffer is None else buffer, number)
        if number % 3 == 0:
            frames.take(0)
    assert made <= 3


def test_what_waits_is_read_before_the_end_is_told() -> None:
    frames = NewestFrames(1)
    frames.put(picture(1), 0)
    frames.end("the cable came off")
    frames.end("a later cause")
    assert frames.take(0) is not None
    with pytest.raises(CameraError, match="the cable came off"):
        frames.take(0)


def test_a_waiting_reader_is_woken_by_a_picture_and_by_the_end() -> None:
    frames = NewestFrames(1)
    timer = threading.Timer(0.05, frames.put, (picture(1), 0))
    timer.start()
    assert frames.take(30) is not None
    timer.join()
    timer = threading.Timer(0.05, frames.end, ("gone",))
    timer.start()
    with pytest.raises(CameraError, match="gone"):
        frames.take(30)
    timer.join()
