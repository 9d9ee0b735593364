"""A line that an eye begins before it has loaded itself, and what becomes of it where that eye does not come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.clock import SystemClock
from edge.line.messages import LineState
from edge.line_starter import starting
from tests.line.lines import Bench, LineProcess, eye_of, relay_bench
from tests.peers import eventually


@pytest.fixture
def relays(tmp_path: Path) -> Iterator[Bench]:
    with relay_bench(tmp_path) as made:
        yield made


def test_a_line_is_begun_before_its_eye_and_ended_where_none_comes(relays: Bench) -> None:
    lock = relays.station.station.state_dir / "line.lock"
    with pytest.raises(KeyboardInterrupt), starting([relays.station], SystemClock()):
        eventually(lambda: lock.exists() and lock.read_text() != "", "the line runs")
        raise KeyboardInterrupt
    assert not Path(f"/proc/{lock.read_text()}").exists()


def test_no_line_is_begun_beside_one_that_runs(relays: Bench) -> None:
    with LineProcess(relays.station) as line, eye_of(relays.station) as eye:
        eye.until(lambda: eye.state() is LineState.READY, "ready")
        with starting([relays.station], SystemClock()) as (starter,):
            assert starter.wait(0), "it has begun none"
        assert line.process.poll() is None
