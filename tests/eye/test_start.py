"""Between the start and READY: line and cameras come up while the networks are loaded, and nothing passes meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge.clock import SECOND, SystemClock
from edge.control import Status
from edge.errors import EngineError
from edge.eye import run as eye_run
from edge.eye.run import Until
from edge.eye.student import Student, students_of
from edge.line_starter import starting
from edge.records import GateOutcome
from edge.station import Station
from tests.eye.stations import BELT, BELT_TRIGGER, Bench, relay_bench
from tests.eye.test_operator import becomes
from tests.line.lines import level_at

TRANSIT_MS = 300
Load = Callable[[Sequence[Station], Any], list[dict[int, Student]]]


def start(bench: Bench, monkeypatch: pytest.MonkeyPatch, load: Load, **until: int) -> Any:
    """Run the eye in this process with this way to load its networks."""
    monkeypatch.setattr(eye_run, "students_of", load)
    clock = SystemClock()
    with starting([bench.station], clock) as starters:
        return eye_run.run([bench.station], Until(**until), clock, threading.Event(), starters=starters)


def line_pid(bench: Bench) -> int:
    return int((bench.folder / "state" / "line.lock").read_text())


def test_the_line_is_up_before_the_network_and_lets_nothing_pass_until_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with relay_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER, transit=TRANSIT_MS, rest="reject") as bench:
        seen: list[Status] = []
        loaded_ns: list[int] = []

        def load(stations: Sequence[Station], clock: Any) -> list[dict[int, Student]]:
            def waits_for_the_network(status: Status) -> bool:
                return status.line == "PURGING" and status.cause == "the network is being loaded"

            seen.append(becomes(bench, waits_for_the_network, "the line is up and the camera is open"))
            time.sleep(3 * TRANSIT_MS / 1_000)  # longer than a purge takes
            seen.append(becomes(bench, waits_for_the_network, "the line waits all the same"))
            loaded_ns.append(time.monotonic_ns())
            return students_of(stations, clock)

        report = start(bench, monkeypatch, load, duration_ns=3 * SECOND)
        assert all(status.level == "NOT_READY" and not status.permit for status in seen)
        assert not any(on for at_ns, on in [*bench.permit(), *bench.gate()] if at_ns < loaded_ns[0])
        rows = bench.rows()
        released = [row.outcome for row in rows if row.outcome and row.outcome.outcome is GateOutcome.RELEASED]
        assert released and all(event.born_ns > loaded_ns[0] for event in released)
        assert report.to_dict()["parts"] == len(rows), "also what was born while the network was loaded"
        bench.check_gate(rows)


def test_a_network_that_does_not_load_leaves_no_line_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with relay_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER) as bench:
        pids: list[int] = []

        def load(_stations: Sequence[Station], _clock: Any) -> list[dict[int, Student]]:
            becomes(bench, lambda status: status.line == "PURGING", "the line is up")
            pids.append(line_pid(bench))
            raise EngineError("the library was updated")

        with pytest.raises(EngineError, match="the library was updated"):
            start(bench, monkeypatch, load)
        assert pids and not Path(f"/proc/{pids[0]}").exists()
        now_ns = time.monotonic_ns()
        assert not level_at(bench.permit(), now_ns) and not level_at(bench.gate(), now_ns)
        assert not any(row.outcome and row.outcome.outcome is GateOutcome.RELEASED for row in bench.rows())
