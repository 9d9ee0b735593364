"""A station on a simulated belt for tests that kill things: about half of its parts pass, its gate rests at reject.

Its board's watchdog trips before the next part is at the gate, so that a gate which stands open when its line dies
lets nobody else pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.bundle import ModelEntry, write_bundle
from edge.clock import MS
from edge.conveyor import first_after, passes_ns
from edge.install import install
from edge.line.zone import Zone
from edge.station import Station, load
from tests.bundles import EVIDENCE, KEY, MODEL, a_manifest, png
from tests.eye.stations import SPEC
from tests.infer.students import student

SEED = 1
GATE, PERMIT = 1, 2  # the board's channels
MIDDLE = 0.284  # more than half of the belt's parts are darker under a steady lamp

TEXT = """
[station]
name = "test"
product = "cap-a"
state_dir = "state"
run_dir = "{run_dir}"
keys_dir = "keys"
[[camera]]
name = "top"
kind = "belt"
seed = {seed}
pitch_ms = {pitch}
jitter_ms = {jitter}
light_drift = 0
width = 128
height = 128
trigger_to_frame_ms = 8
window_ms = {window}
[trigger]
{trigger}
[travel]
trigger_to_gate_ms = {travel}
decide_before_ms = {decide}
lead_ms = 10
pitch_ms = {least_pitch}
[gate]
{gate}
pulse_ms = {pulse}
late_tolerance_ms = {tolerance}
rest = "{rest}"
[line_permit]
{permit}
[journal]
dir = "journal"
pictures_max_mb = 5
{journal}
[limits]
consecutive_rejects = 0
unknown_in_a_row = 0
missed_deadlines = 0
"""

SIMULATED = 'kind = "simulated"\nseed = {seed}\npitch_ms = {pitch}\njitter_ms = {jitter}'


@dataclass(frozen=True)
class Pace:
    """How fast the belt runs and how patient its board is, in ms."""

    pitch: float
    travel: float
    decide: float
    pulse: float
    tolerance: float
    heartbeat: float
    silence: float  # of the board's watchdog
    timeout: float = 100  # of the serial port
    window: float = 20  # around the time at which a part's frame is expected

    @property
    def jitter(self) -> float:
        return self.pitch / 50

    @property
    def least_pitch(self) -> float:
        return self.pitch - 2 * self.jitter


def relays(port: str, pace: Pace) -> tuple[str, str]:
    """Gate and permit as two relays of a board."""
    board = f'kind = "serial_bytes"\nport = "{port}"\nexternal_watchdog = true\nheartbeat_ms = {pace.heartbeat}\n'
    gate, permit = (f"{board}timeout_ms = {pace.timeout}\nchannel = {channel}" for channel in (GATE, PERMIT))
    return gate, permit


def lay_out(
    folder: Path,
    pace: Pace,
    outputs: tuple[str, str],
    trigger: str = SIMULATED,
    journal: str = "",
    rest: str = "reject",
    run_dir: str = "run",
) -> Station:
    """Write the station file, trust the test key and install a bundle whose threshold is the belt's middle."""
    keys = vars(pace) | {"seed": SEED, "jitter": pace.jitter, "least_pitch": pace.least_pitch}
    keys["trigger"] = trigger.format(**keys)
    gate, permit = outputs
    folder.mkdir(parents=True)
    path = folder / "station.toml"
    path.write_text(TEXT.format(gate=gate, permit=permit, journal=journal, rest=rest, run_dir=run_dir, **keys))
    (folder / "keys").mkdir()
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "keys" / "test.pub").write_bytes(public)
    model = student(SPEC)
    entry = ModelEntry(MODEL, sha256(model).hexdigest(), "ort", "fp32", MIDDLE, EVIDENCE, proven=True)
    manifest = a_manifest(model, input=SPEC, models=(entry,), classes=())
    write_bundle(folder / "cap-a-1.bundle", manifest, {MODEL: model}, {"ok.png": ("ok", png(60))}, "", KEY)
    install(folder / "cap-a-1.bundle", load(path))
    return load(path)


def zone_of(station: Station) -> Zone:
    assert station.travel is not None and station.gate is not None
    return Zone.of(station.travel, station.gate)


def parts_between(pace: Pace, from_ns: int, to_ns: int) -> Iterator[int]:
    """When each part of the belt passes the photo-eye, from the conveyor's own law: also those nobody saw."""
    pitch_ns, jitter_ns = round(pace.pitch * MS), round(pace.jitter * MS)
    part = first_after(SEED, pitch_ns, jitter_ns, from_ns)
    while (at_ns := passes_ns(SEED, pitch_ns, jitter_ns, part)) < to_ns:
        yield at_ns
        part += 1
