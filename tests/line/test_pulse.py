"""systemd hears that the line lives only while its loop turns and no input's thread stands still."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.clock import SECOND, ManualClock
from edge.health import Notifier
from edge.line.pulse import BOUND_NS, Pulse


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(str(tmp_path / "notify"))
        service.setblocking(False)
        yield service


def fed(service: socket.socket) -> int:
    """How often the watchdog was fed since the last look."""
    count = 0
    while True:
        try:
            count += service.recv(200) == b"WATCHDOG=1"
        except BlockingIOError:
            return count


def test_a_turning_loop_feeds_the_watchdog_until_an_input_stands_still(systemd: socket.socket) -> None:
    clock, said = ManualClock(), list[str]()
    with Notifier(systemd.getsockname(), 4 * SECOND) as notifier:
        pulse = Pulse(notifier, clock, said.append)
        beat = pulse.of("trigger")
        for _ in range(20):
            pulse.turned()
            clock.advance(SECOND // 2)
        assert fed(systemd) == 10, "every quarter of its time"
        clock.advance(BOUND_NS)
        for _ in range(3):
            pulse.turned()
            clock.advance(SECOND)
        assert fed(systemd) == 0
        assert said == ["no sign of life from trigger: systemd is no longer told that the line lives"]
        beat()
        pulse.turned()
        assert fed(systemd) == 1
