"""A station whose camera loses its power is NOT_READY, and READY again when it returns, in one and the same run."""

from __future__ import annotations

import signal
from importlib.util import find_spec
from pathlib import Path

import pytest

from edge.records import GateOutcome
from tests.eye.stations import REPLAY_TRIGGER, EdgeProcess, modbus_bench, parts_reach
from tests.peers import eventually
from tests.peers.aravis_camera import AravisCamera
from tests.peers.rtsp_camera import RtspCamera
from tests.peers.waiting import missing

GIGE = (
    '[[camera]]\nname = "top"\nkind = "gige"\naddress = "127.0.0.1"\ntriggered = false\nfps = 10\ntimeout_ms = 1500'
)
RTSP = '[[camera]]\nname = "top"\nkind = "gst"\nuri = "URI"\nencoding = "jpeg"\ncaptured_err_ms = 20\ntimeout_ms = 1500'


@pytest.mark.parametrize("kind", ["gige", "rtsp"])
def test_a_station_goes_on_when_its_camera_has_power_again(tmp_path: Path, kind: str) -> None:
    if find_spec("gi") is None:
        missing("install kenpin[gige]")
    peer = AravisCamera() if kind == "gige" else RtspCamera(fps=10)
    with peer:
        camera = GIGE if kind == "gige" else RTSP.replace("URI", peer.uri)
        with modbus_bench(tmp_path, camera=camera, trigger=REPLAY_TRIGGER, rate=10.0) as bench:
            with EdgeProcess("run", bench.file) as edge:
                parts_reach(bench, 8)
                peer.kill()
                eventually(lambda: "NOT_READY: camera 'top'" in edge.output, f"NOT_READY: {edge.output}", 10.0)
                eventually(lambda: not bench.permit()[-1][1], "the belt is stopped", 10.0)
                before = len(bench.rows())
                peer.start()
                eventually(lambda: _ready_again(edge.output), f"READY again: {edge.output}", 30.0)
                parts_reach(bench, before + 8)
                edge.signal(signal.SIGTERM)
                assert edge.ends() == 0, edge.output
            rows = bench.rows()
            bench.check_gate(rows)
        assert any(row.outcome and row.outcome.outcome is GateOutcome.RELEASED for row in rows[-8:])


def _ready_again(output: str) -> bool:
    _, lost, after = output.partition("NOT_READY: camera 'top'")
    return bool(lost) and any(line.endswith(" READY") for line in after.splitlines())
