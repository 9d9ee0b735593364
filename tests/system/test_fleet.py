"""The example of a fleet: ten stations and a real broker on one machine, and what each station costs."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

from tests.peers.mosquitto import Mosquitto
from tests.peers.plcs import free_port
from tests.system.results import ROOT, Table

STATIONS, FOR_S = 10, 60
RESULTS = Table(
    "fleet",
    f"{STATIONS} simulated stations and mosquitto on one machine, a part a second at each, {FOR_S} s",
    "make test-system PYTEST_ARGS='-k fleet'",
    ("of one station", "least", "median", "most"),
)
COLUMNS = {
    "run_cpu_s": "eye and line: seconds of processor",
    "run_mb": "eye and line: MB of memory, shared pages by their share",
    "outbox_cpu_s": "outbox: seconds of processor",
    "outbox_mb": "outbox: MB of memory, shared pages by their share",
    "records": "records that came to the consumer",
}


def test_ten_stations_send_to_one_broker(tmp_path: Path) -> None:
    costs = tmp_path / "costs.json"
    with Mosquitto(tmp_path, free_port()) as broker:
        words = [sys.executable, "examples/fleet.py", "--stations", str(STATIONS), "--for", str(FOR_S)]
        words += ["--broker", f"127.0.0.1:{broker.port}", "--json", str(costs)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(costs.read_text()).values()
    assert len(rows) == STATIONS and all(row["ready"] for row in rows), done.stdout
    for key, what in COLUMNS.items():
        values = sorted(row[key] for row in rows)
        RESULTS.add(what, *(f"{value:.4g}" for value in (values[0], statistics.median(values), values[-1])))
    assert min(row["records"] for row in rows) >= 2 * 0.8 * FOR_S, "a verdict and an outcome of nearly every part"
