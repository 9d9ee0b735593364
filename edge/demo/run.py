"""Runs a whole station on simulated devices: belt camera, photo-eye, relay board; everything between them is real."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

from edge.clock import SystemClock
from edge.errors import ConfigError, StationStop
from edge.eye.run import Until
from edge.eye.run import run as run_eye
from edge.install import install
from edge.line_starter import starting
from edge.relay_board import RelayBoard
from edge.screen import live_view, print_evidence, print_report
from edge.station import load

HERE = Path(__file__).parent
GATE, PERMIT = 1, 2  # the board's channels
_SEED = 11
_MIN_RATE, _MAX_RATE = 0.1, 40.0

_STATION = """\
[station]
name = "demo"
product = "washer"
state_dir = "state"
run_dir = "run"
keys_dir = "keys"

[[camera]]
name = "belt"
kind = "belt"
seed = {seed}
pitch_ms = {pitch:.3f}
jitter_ms = {jitter:.3f}
trigger_to_frame_ms = 8
window_ms = {window:.3f}

[trigger]
kind = "simulated"
seed = {seed}
pitch_ms = {pitch:.3f}
jitter_ms = {jitter:.3f}

[travel]
trigger_to_gate_ms = {travel:.3f}
decide_before_ms = 40
lead_ms = 5
pitch_ms = {pitch:.3f}

[engine]
kind = "ort"

[gate]
kind = "serial_bytes"
port = "{port}"
board = "lcus"
channel = {gate}
pulse_ms = {pulse:.3f}
rest = "pass"
late_tolerance_ms = {late:.3f}
heartbeat_ms = 200
external_watchdog = true

[line_permit]
kind = "serial_bytes"
port = "{port}"
board = "lcus"
channel = {permit}
heartbeat_ms = 200
external_watchdog = true

[journal]
dir = "journal"
pictures_max_mb = 50

[limits]
consecutive_rejects = 0
warn = ["unknown_in_a_row"]
"""


def station_text(port: str, rate: float) -> str:
    """The demo's station file for a relay board at this port and so many parts per second.

    Below 10 parts per second the belt itself is slower, so every time along it is longer.
    """
    pitch = 1_000 / rate
    return _STATION.format(
        seed=_SEED,
        pitch=pitch,
        jitter=0.08 * pitch,
        window=0.2 * pitch,
        travel=max(400.0, 4 * pitch),
        pulse=min(60.0, 0.7 * pitch),
        late=min(max(15.0, 0.15 * pitch), 0.2 * pitch),
        port=port,
        gate=GATE,
        permit=PERMIT,
    )


def run_demo(
    duration_ns: int | None, parts: int | None, rate: float, asked: threading.Event
) -> tuple[int, dict[str, Any]]:
    """Run the demo; returns the exit code and the report as plain values."""
    if not _MIN_RATE <= rate <= _MAX_RATE:
        raise ConfigError(f"--rate {rate:g}: give {_MIN_RATE:g} to {_MAX_RATE:g} parts per second")
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="kenpin-demo-") as folder, RelayBoard(clock) as board:
        home = Path(folder)
        (home / "station.toml").write_text(station_text(board.port, rate), encoding="utf-8")
        (home / "keys").mkdir()
        shutil.copy(HERE / "demo.pub", home / "keys")
        station = load(home / "station.toml")
        print_evidence(install(_bundle(), station))
        with live_view(f"kenpin demo, {rate:g} parts/s") as watch, starting([station], clock) as starters:
            done = run_eye([station], Until(duration_ns, parts, stop_ends=True), clock, asked, watch, starters)
        print_report(done)
        if done.exit_code == StationStop.exit_code:
            print(
                "The demo ended as a real line would: this machine did not answer in time. Where other programs keep "
                "it busy, end them, or try fewer parts: edge demo --rate 3"
            )
        print(f"{_what_the_board_saw(board)}; journal, pictures and station file were in {home} and are gone now")
    return done.exit_code, done.to_dict()


def _bundle() -> Path:
    return next(HERE.glob("*.bundle"))


def _what_the_board_saw(board: RelayBoard) -> str:
    pulses = sum(edge.on for edge in board.edges if edge.channel == GATE)
    rested = "all relays at rest" if not any(board.relays) else "A RELAY IS STILL ON"
    return (
        f"the relay board saw {pulses} gate pulses (neighbouring rejects share one), {board.bad_bytes} bad bytes, "
        f"{rested}"
    )
