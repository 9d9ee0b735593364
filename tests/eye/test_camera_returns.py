"""A station whose camera loses its power is NOT_READY, and READY again when it returns, in one and the same run."""

from __future__ import annotations

import signal
from importlib.util import find_spec
from pathlib import Path

from edge.records import GateOutcome
from tests.eye.stations import REPLAY_TRIGGER, Bench, EdgeProcess, modbus_bench, parts_reach
from tests.peers import eventually
from tests.peers.aravis_camera import AravisCamera
from tests.peers.waiting import missing

CAMERA = """
[[camera]]
name = "top"
kind = "gige"
address = "127.0.0.1"
triggered = false
fps = 10
timeout_ms = 1500
"""


def test_a_station_goes_on_when_its_camera_has_power_again(tmp_path: Path) -> None:
    if find_spec("gi") is None:
        missing("install kenpin[gige]")
    with (
        AravisCamera() as peer,
        modbus_bench(tmp_path, camera=CAMERA, trigger=REPLAY_TRIGGER, rate=10.0) as bench,
    ):
        with EdgeProcess("run", bench.file) as edge:
            parts_reach(bench, 8)
            peer.kill()
            eventually(lambda: "NOT_READY: camera 'top'" in edge.output, f"NOT_READY: {edge.output}")
            eventually(lambda: not bench.permit()[-1][1], "the belt is stopped")
            stopped_ns = bench.permit()[-1][0]
            peer.start()
            eventually(lambda: _ready_again(edge.output), f"READY again: {edge.output}")
            eventually(lambda: _has_released(bench, stopped_ns), "parts pass again", every_s=0.05)
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
        bench.check_gate(bench.rows())


def _has_released(bench: Bench, since_ns: int) -> bool:
    """Whether a part that was born later was let pass."""
    events = [row.outcome for row in bench.rows() if row.outcome]
    return any(event.born_ns > since_ns and event.outcome is GateOutcome.RELEASED for event in events)


def _ready_again(output: str) -> bool:
    _, lost, after = output.partition("NOT_READY: camera 'top'")
    return bool(lost) and any(line.endswith(" READY") for line in after.splitlines())
