"""The thread at the photo-eye: it passes edges on, reopens a lost device, and ends when it is told to."""

from __future__ import annotations

import threading
from collections import deque

import pytest

from edge.errors import InputError
from edge.line import watch as watch_module
from edge.line.events import TRIGGER, EdgeSeen, Event, InputBack, InputLost
from edge.line.watch import Edges, Watch
from edge.records import Edge, TimeSource
from tests.peers import eventually

EDGE = Edge(True, 5, 1, TimeSource.POLL, 1)


class Device:
    """An input that does what its script says: an Edge is returned, an InputError raised, None waits."""

    def __init__(self, opens: list[Exception | None], waits: list[Edge | Exception]) -> None:
        self.opens = deque(opens)
        self.waits = deque(waits)
        self.is_open = False
        self.closed = threading.Event()

    def open(self) -> None:
        failure = self.opens.popleft() if self.opens else None
        if failure is not None:
            raise failure
        self.is_open = True

    def wait(self, timeout_s: float) -> Edge | None:
        assert self.is_open, "waited on a closed device"
        if not self.waits:
            self.closed.wait(timeout_s)
            return None
        next_ = self.waits.popleft()
        if isinstance(next_, Exception):
            raise next_
        return next_

    def level(self) -> bool:
        return False

    def close(self) -> None:
        self.is_open = False


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "_FIRST_RETRY_S", 0.001)


def told_by(device: Device, count: int) -> list[Event]:
    """What the watch tells, once there are that many events."""
    told: list[Event] = []
    watch = Watch(Edges(device, TRIGGER), TRIGGER, told.append)
    watch.start()
    eventually(lambda: len(told) >= count, f"{count} events, got {told}")
    watch.stop()
    watch.stop()
    assert not device.is_open
    return told


def test_edges_are_passed_on_in_order() -> None:
    second = Edge(False, 9, 1, TimeSource.POLL, 1)
    assert told_by(Device([], [EDGE, second]), 3) == [InputBack(), EdgeSeen(EDGE), EdgeSeen(second)]


def test_a_lost_device_is_told_of_and_opened_again() -> None:
    told = told_by(Device([], [EDGE, InputError("unplugged"), EDGE]), 5)
    assert told == [InputBack(), EdgeSeen(EDGE), InputLost("unplugged"), InputBack(), EdgeSeen(EDGE)]


def test_a_device_that_is_away_at_start_is_tried_until_it_opens() -> None:
    away = InputError("away")
    assert told_by(Device([away, away, None], []), 3) == [InputLost("away"), InputLost("away"), InputBack()]


def test_a_defect_in_a_device_is_told_as_a_lost_trigger_and_not_swallowed() -> None:
    told = told_by(Device([], [ZeroDivisionError("bug")]), 2)
    assert isinstance(told[1], InputLost) and "ZeroDivisionError" in told[1].words


def test_stopping_before_start_releases_the_device() -> None:
    device = Device([], [])
    device.is_open = True
    Watch(Edges(device, TRIGGER), TRIGGER, lambda event: None).stop()
    assert not device.is_open
