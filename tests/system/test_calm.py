"""A machine that is busy is told from one that is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.system.calm import CANNOT_DECIDE, MET, MISSED, SHARE, Machine, decided, watched

BUSY = "import time; until = time.monotonic() + 1.5\nwhile time.monotonic() < until: pass"


@pytest.mark.parametrize(("waited_s", "stolen_s", "calm"), [(0.9, 0.0, True), (0.6, 0.6, False), (0.0, 1.1, False)])
def test_waiting_and_stolen_time_count_together(waited_s: float, stolen_s: float, calm: bool) -> None:
    assert Machine(1 / SHARE, waited_s, stolen_s).is_calm is calm


def test_more_work_than_processors_is_seen() -> None:
    with watched() as machine:
        workers = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(2 * (os.cpu_count() or 1))]
        time.sleep(1.5)
        for worker in workers:
            worker.wait()
    assert not machine.is_calm and "waited" in machine.words()


@pytest.mark.parametrize(
    ("is_met", "waited_s", "said"),
    [(True, 0.0, MET), (True, 90.0, MET), (False, 1.0, MISSED), (False, 90.0, CANNOT_DECIDE)],
)
def test_a_busy_machine_decides_no_miss(is_met: bool, waited_s: float, said: str) -> None:
    assert decided(is_met, Machine(100.0, waited_s, 0.0)) == said
