"""A whole station for tests: replayed pictures of known brightness, a student that scores brightness, a real peer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.bundle import ModelEntry, write_bundle
from edge.clock import SystemClock
from edge.evidence import column
from edge.install import install
from edge.journal.reading import read_parts
from edge.journal.rows import PartRow
from edge.line.zone import Zone
from edge.pixels import InputSpec
from edge.records import GateOutcome, Kind
from edge.relay_board import RelayBoard
from edge.station import Station, load
from tests.bundles import EVIDENCE, JUDGED, KEY, MODEL, a_manifest, judged_entry, png
from tests.infer.students import student
from tests.line.lines import Levels, end_child, level_at
from tests.peers import ModbusServer, eventually, hurry, punctual

ROOT = Path(__file__).parents[2]
SPEC = InputSpec(64, 64)
DARK, BRIGHT = 60, 200  # the student scores the mean: below and above its threshold of 0.5

TEXT = """
[station]
name = "{name}"
product = "cap-a"
mode = "{mode}"
state_dir = "state"
run_dir = "run"
keys_dir = "keys"
{camera}
{trigger}
[travel]
trigger_to_gate_ms = {transit}
decide_before_ms = 60
lead_ms = 10
pitch_ms = {pitch}
[gate]
{gate}
pulse_ms = {pulse}
late_tolerance_ms = 25
rest = "{rest}"
{permit}
[journal]
dir = "journal"
pictures_max_mb = 5
[limits]
consecutive_rejects = {consecutive_rejects}
unknown_in_a_row = {unknown_in_a_row}
missed_deadlines = 0
bypass_max_min = {bypass_max_min}
"""

REPLAY = '[[camera]]\nname = "top"\nkind = "folder"\ndir = "pictures"\nrate_hz = {rate}\nloop = {loop}'
REPLAY_TRIGGER = '[trigger]\nkind = "camera"\ncamera = "top"'
BELT = (
    '[[camera]]\nname = "top"\nkind = "belt"\npitch_ms = {pitch}\nwidth = 128\nheight = 128\n'
    "trigger_to_frame_ms = 8"
)
BELT_TRIGGER = '[trigger]\nkind = "simulated"\npitch_ms = {pitch}'


@dataclass(frozen=True)
class Bench:
    """A station on a peer that logs the levels of gate and permit with CLOCK_MONOTONIC ns."""

    folder: Path
    gate: Any
    permit: Any
    modbus: ModbusServer | None = None

    @property
    def file(self) -> Path:
        return self.folder / "station.toml"

    @property
    def station(self) -> Station:
        return load(self.file)

    def rows(self) -> list[PartRow]:
        """What the journal holds, in the order of part ids; all of it if no eye runs."""
        return sorted(read_parts(self.folder / "journal"), key=lambda row: row.part_id)

    def gate_levels(self) -> Levels:
        return list(self.gate())

    def check_gate(self, rows: Sequence[PartRow]) -> None:
        """In the middle of each part's slot the peer's gate stood as the journal says."""
        station, levels = self.station, self.gate_levels()
        assert station.travel is not None and station.gate is not None
        zone = Zone.of(station.travel, station.gate)
        for row in rows:
            event = row.outcome
            assert event is not None, f"part {row.part_id} has no outcome"
            middle_ns = zone.slot_start(event.born_ns) + zone.pulse // 2
            rejected = level_at(levels, middle_ns) is not zone.rest_rejects
            if event.outcome is GateOutcome.RELEASED:
                assert not rejected, f"a released part was hit: {event}"
                assert row.decided is not None and row.decided.verdict.kind is Kind.PASS
            elif event.outcome is GateOutcome.FIRED:
                assert rejected, f"a rejected part was let pass: {event}"


def lay_out(
    folder: Path,
    *,
    gate: str,
    permit: str,
    name: str = "test",
    camera: str = REPLAY,
    trigger: str = REPLAY_TRIGGER,
    mode: str = "inspect",
    rest: str = "pass",
    rate: float = 10.0,
    loop: bool = False,
    unknown_in_a_row: int = 0,
    consecutive_rejects: int = 0,
    bypass_max_min: float = 0,
    transit: int = 300,
) -> None:
    """Write the station file, trust the test key and install a bundle. A long `transit` lets a busy machine judge each
    part in time."""
    pitch = 1_000 / rate
    values = {"rate": rate, "loop": str(loop).lower(), "pitch": pitch}
    text = TEXT.format(
        name=name,
        camera=camera.format(**values),
        trigger=trigger.format(**values),
        gate=gate,
        permit=f"[line_permit]\n{permit}" if permit else "",
        mode=mode,
        rest=rest,
        pitch=pitch * 0.96,
        pulse=round(pitch * 0.6),
        unknown_in_a_row=unknown_in_a_row,
        consecutive_rejects=consecutive_rejects,
        bypass_max_min=bypass_max_min,
        transit=transit,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "station.toml").write_text(text)
    (folder / "keys").mkdir(exist_ok=True)
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "keys" / "test.pub").write_bytes(public)
    install(bundle(folder / "cap-a-1.bundle"), load(folder / "station.toml"))


def bundle(
    path: Path,
    version: int = 1,
    product: str = "cap-a",
    threshold: float = 0.5,
    report: str = "<p>report</p>",
    is_judged: bool = False,
) -> Path:
    """A signed bundle with the student that scores brightness. `is_judged`: it holds what that said of a set."""
    model = student(SPEC)
    entry = ModelEntry(MODEL, sha256(model).hexdigest(), "ort", "fp32", threshold, EVIDENCE, proven=True)
    entry = judged_entry(entry) if is_judged else entry
    manifest = a_manifest(model, version=version, input=SPEC, models=(entry,), classes=(), product=product)
    judged = {column(entry): JUDGED} if is_judged else None
    write_bundle(path, manifest, {MODEL: model}, {"ok.png": ("ok", png(DARK))}, report, KEY, judged)
    return path


def draw(folder: Path, levels: Sequence[int]) -> None:
    """Pictures of these brightnesses with some texture, in this order."""
    images = folder / "pictures" / "images"
    images.mkdir(parents=True)
    rows = ["file,label,group,mask"]
    noise = np.random.default_rng(1)
    for number, level in enumerate(levels):
        picture = np.clip(noise.normal(level, 12, (96, 128, 3)), 0, 255).astype(np.uint8)
        cv2.imwrite(str(images / f"{number:04d}.png"), picture)
        rows.append(f"images/{number:04d}.png,{'ng' if level > 127 else 'ok'},part-{number},")
    (folder / "pictures" / "labels.csv").write_text("\n".join(rows) + "\n")


def show(folder: Path, level: int) -> None:
    """From now on a looping camera sees pictures of this brightness only; those it has read already still come."""
    noise = np.random.default_rng(level)
    for path in (folder / "pictures" / "images").glob("*.png"):
        picture = np.clip(noise.normal(level, 12 if level else 0, (96, 128, 3)), 0, 255).astype(np.uint8)
        fresh = path.with_suffix(".fresh.png")
        cv2.imwrite(str(fresh), picture)
        fresh.replace(path)


@contextmanager
def modbus_bench(folder: Path, **keys: Any) -> Iterator[Bench]:
    """Gate and permit are coils 0 and 1 of a libmodbus device."""
    with ModbusServer() as server:

        def output(coil: int) -> str:
            return (
                f'kind = "modbus"\nhost = "127.0.0.1"\nport = {server.port}\ncoil = {coil}\ntimeout_ms = 300\n'
                "external_watchdog = true\nheartbeat_ms = 150"
            )

        def levels(coil: int) -> Levels:
            return [(edge.at_ns, edge.level) for edge in server.coil_log() if edge.address == coil]

        lay_out(folder, gate=output(0), permit=output(1), **keys)
        bench = Bench(folder, lambda: levels(0), lambda: levels(1), server)
        try:
            yield bench
        finally:
            end_child(bench.station)


@contextmanager
def relay_bench(folder: Path, **keys: Any) -> Iterator[Bench]:
    """Gate and permit are two relays of a board with a watchdog of 500 ms, on a pseudo-terminal."""
    with punctual(), RelayBoard(SystemClock(), silence_ms=500) as board:
        hurry(board._thread.native_id or 0)

        def output(channel: int) -> str:
            return (
                f'kind = "serial_bytes"\nport = "{board.port}"\nchannel = {channel}\n'
                "external_watchdog = true\nheartbeat_ms = 100"
            )

        def levels(channel: int) -> Levels:
            return [(edge.at_ns, edge.on) for edge in list(board.edges) if edge.channel == channel]

        lay_out(folder, gate=output(1), permit=output(2), **keys)
        bench = Bench(folder, lambda: levels(1), lambda: levels(2))
        try:
            yield bench
        finally:
            end_child(bench.station)


class EdgeProcess:
    """`edge COMMAND ...` as a process; killed at the end when it still runs.

    It prints into a file: a pipe would stay open as long as the line process that it may leave behind.
    """

    def __init__(self, *arguments: str | Path, cwd: Path | None = None) -> None:
        command = [sys.executable, "-m", "edge.cli", *map(str, arguments)]
        environment = dict(os.environ, PYTHONPATH=str(ROOT), COLUMNS="120")
        with tempfile.NamedTemporaryFile(delete=False) as log:
            self._log = Path(log.name)
            self._kept = ""
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, cwd=cwd or ROOT, env=environment
            )

    def __enter__(self) -> EdgeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._kept = self.output
        self._log.unlink()

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._kept or self._log.read_text()

    def ends(self, within_s: float = 90.0) -> int:
        """The exit code."""
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {within_s:g} s: {self.output}") from None

    def signal(self, number: signal.Signals) -> int:
        """Send it; returns when (ns)."""
        at_ns = time.monotonic_ns()
        self.process.send_signal(number)
        return at_ns


def run_to_end(bench: Bench, *arguments: str | Path, within_s: float = 60.0) -> dict[str, Any]:
    """`edge run` to its end without an error; its report. The files of other stations may be among the arguments."""
    report = bench.folder / "report.json"
    with EdgeProcess("run", bench.file, *arguments, "--report", report) as edge:
        assert edge.ends(within_s) == 0, edge.output
    values: dict[str, Any] = json.loads(report.read_text())
    return values


def parts_reach(bench: Bench, count: int, within_s: float = 60.0) -> None:
    """Wait until the running station's journal holds so many outcomes."""

    def outcomes() -> int:
        if not list((bench.folder / "journal").glob("*.sqlite")):
            return 0
        return sum(row.outcome is not None for row in bench.rows())

    eventually(
        lambda: outcomes() >= count, f"{count} outcomes", within_s, every_s=0.05
    )  # the board wants to run too
