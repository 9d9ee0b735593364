"""A line that an eye begins before it has loaded itself, and what becomes of it where that eye does not come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.clock import SECOND, SystemClock
from edge.errors import ConfigError
from edge.line.messages import LineState
from edge.line_starter import starting
from tests.line.lines import Bench, LineProcess, eye_of, relay_bench
from tests.peers import eventually


def pid_of_line(bench: Bench) -> int:
    lock = bench.station.station.state_dir / "line.lock"
    eventually(lambda: lock.exists() and lock.read_text() != "", "the line runs")
    return int(lock.read_text())


@pytest.fixture
def relays(tmp_path: Path) -> Iterator[Bench]:
    with relay_bench(tmp_path) as made:
        yield made


def test_a_line_is_begun_before_its_eye_and_ended_where_none_comes(relays: Bench) -> None:
    with pytest.raises(ConfigError), starting([relays.station], SystemClock()):
        pid = pid_of_line(relays)
        raise ConfigError("the eye does not load")
    assert not Path(f"/proc/{pid}").exists()


def test_who_does_not_wait_leaves_the_line_to_end_by_itself(relays: Bench) -> None:
    with pytest.raises(KeyboardInterrupt), starting([relays.station], SystemClock()) as (starter,):
        pid_of_line(relays)
        raise KeyboardInterrupt
    assert not starter.wait(0), "it was waited for"
    assert starter.wait(10 * SECOND), "it ends"


def test_no_line_is_begun_beside_one_that_runs(relays: Bench) -> None:
    with LineProcess(relays.station) as line, eye_of(relays.station) as eye:
        eye.until(lambda: eye.state() is LineState.READY, "ready")
        with starting([relays.station], SystemClock()) as (starter,):
            assert starter.wait(0), "it has begun none"
        assert line.process.poll() is None
