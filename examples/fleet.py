"""Ten simulated stations and one broker on one machine: what arrives, and what each station costs.

    mosquitto -p 1883 &
    python examples/fleet.py --stations 10 --for 60 [--broker 127.0.0.1:1883] [--json costs.json]

Each station is what a device runs: an eye with its line, a journal, an outbox. Camera, photo-eye, gate are simulated.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

import edge.demo
from edge.install import install
from edge.station import load

DEMO = Path(edge.demo.__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
STATION = """
[station]
name = "{name}"
product = "washer"
state_dir = "state"
run_dir = "run"
keys_dir = "{keys}"
[[camera]]
name = "belt"
kind = "belt"
seed = {seed}
pitch_ms = 1000
trigger_to_frame_ms = 8
window_ms = 200
[trigger]
kind = "simulated"
seed = {seed}
pitch_ms = 1000
[travel]
trigger_to_gate_ms = 1500
decide_before_ms = 40
lead_ms = 5
pitch_ms = 900
[gate]
kind = "memory"
pulse_ms = 60
rest = "reject"
[line_permit]
kind = "memory"
[journal]
dir = "journal"
pictures_max_mb = 20
[limits]
consecutive_rejects = 0
[mqtt]
host = "{host}"
port = {port}
tls = false
status_every_s = 2
"""


class Office:
    """Who watches the fleet: counts each station's records once, and knows its newest status."""

    def __init__(self, host: str, port: int) -> None:
        self.records: Counter[str] = Counter()
        self.status: dict[str, dict[str, object]] = {}
        self._newest: dict[str, int] = {}
        self._there = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("kenpin/+/+", qos=1)
        self._client.on_subscribe = lambda *_: self._there.set()
        self._client.on_message = self._heard
        self._client.connect(host, port)
        self._client.loop_start()
        if not self._there.wait(10):
            raise SystemExit(f"the broker at {host}:{port} does not answer; start it: mosquitto -p {port}")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _heard(self, _client, _userdata, message) -> None:
        _, name, kind = message.topic.split("/")
        told = json.loads(message.payload)
        if kind == "status":
            self.status[name] = told
        elif told["number"] > self._newest.get(name, 0):  # numbers grow: what comes again is known
            self._newest[name] = told["number"]
            self.records[name] += 1


def lay_out(folder: Path, number: int, host: str, port: int) -> Path:
    """A station's folder with its file and the demo's bundle."""
    home = folder / f"line-{number}"
    home.mkdir()
    path = home / "station.toml"
    path.write_text(STATION.format(name=home.name, seed=number, keys=DEMO, host=host, port=port))
    install(next(DEMO.glob("*.bundle")), load(path))
    return path


def start(path: Path, command: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "edge.cli", command, str(path)]
    with path.with_name(f"{command}.log").open("wb") as log:
        return subprocess.Popen(words, stdout=log, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"})


def family(pid: int) -> Iterator[int]:
    """A process and those that it has started."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from family(int(child))


def cost(pid: int) -> tuple[float, float]:
    """Seconds of processor, and MB of memory where shared pages count by their share, of a process's family."""
    seconds = memory = 0.0
    for member in family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / TICKS
        lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        memory += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1_000
    return seconds, memory


def until(holds, what: str, within_s: float) -> None:
    end = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"not within {within_s:g} s: {what}")
        time.sleep(0.2)


def is_ready(told: dict[str, object] | None) -> bool:
    state = told.get("state") if told else None
    return isinstance(state, dict) and state["level"] == "READY"


def measured(paths: list[Path], office: Office, for_s: float) -> dict[str, dict[str, float]]:
    """Start all, wait until all inspect, and look for so long; per station what it did and cost meanwhile."""
    with ExitStack() as stack:
        processes = {}
        for path in paths:
            for command in ("run", "outbox"):
                process = processes[path.parent.name, command] = start(path, command)
                stack.callback(process.wait)
                stack.callback(process.send_signal, signal.SIGTERM)
        names = [path.parent.name for path in paths]
        until(lambda: all(is_ready(office.status.get(name)) for name in names), "all stations are READY", 300)
        before, records = {key: cost(process.pid) for key, process in processes.items()}, Counter(office.records)
        time.sleep(for_s)
        after = {key: cost(process.pid) for key, process in processes.items()}
        found = {}
        for name in names:
            row = found[name] = {"records": office.records[name] - records[name]}
            for command in ("run", "outbox"):
                row[f"{command}_cpu_s"] = after[name, command][0] - before[name, command][0]
                row[f"{command}_mb"] = after[name, command][1]
            row["ready"] = is_ready(office.status[name])
        return found


def main() -> None:
    """Run the stations and their broker, then print what each cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stations", type=int, default=10)
    parser.add_argument("--for", dest="for_s", type=float, default=60, help="seconds that are measured")
    parser.add_argument("--broker", default="127.0.0.1:1883")
    parser.add_argument("--json", type=Path, help="write the costs here, too")
    options = parser.parse_args()
    host, _, port = options.broker.rpartition(":")
    office = Office(host, int(port))
    try:
        with tempfile.TemporaryDirectory(prefix="kenpin-fleet-") as folder:
            paths = [lay_out(Path(folder), number + 1, host, int(port)) for number in range(options.stations)]
            found = measured(paths, office, options.for_s)
    finally:
        office.close()
    print(f"in {options.for_s:g} s, a part a second at each station:")
    print(f"{'station':10} {'ready':6} {'records':>8} {'eye, line: s':>13} {'MB':>6} {'outbox: s':>10} {'MB':>6}")
    for name, row in found.items():
        print(
            f"{name:10} {'yes' if row['ready'] else 'NO':6} {row['records']:8} {row['run_cpu_s']:13.1f} "
            f"{row['run_mb']:6.0f} {row['outbox_cpu_s']:10.2f} {row['outbox_mb']:6.0f}"
        )
    if options.json:
        options.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
