"""A machine with the real services and a relay board at its serial port, and what a test asks of it."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from edge.bundle import ModelEntry, write_bundle
from edge.line.zone import Zone
from edge.station import load
from tests.bundles import EVIDENCE, KEY, MODEL, a_manifest, png
from tests.eye.stations import SPEC
from tests.peers import eventually
from tests.system.belts import GATE, MIDDLE, PERMIT, Pace
from tests.system.board import Board
from tests.system.claims import Gate
from tests.system.nspawn import Container
from tests.system.results import ROOT

PACE = Pace(
    pitch=500, travel=600, decide=250, pulse=150, tolerance=60, heartbeat=200, silence=900, timeout=300, window=60
)
GREY = 60  # of the picture in its bundles, darker than half of the belt's parts
PORT = "/dev/ttyBOARD"
FILE = "/etc/kenpin/line-3.toml"
EYE, LINE = "kenpin-eye@line-3", "kenpin-line@line-3"
OUTBOX, PANEL, METRICS = "kenpin-outbox@line-3", "kenpin-panel@line-3", "kenpin-metrics@line-3"
MORE = """
[panel]
[metrics]
[mqtt]
host = "127.0.0.1"
tls = false
[new_bundle]
watch_parts = 12
unknown_max = 2
"""
OUTSIDE = "192.0.2.5"  # an address of the machine that is none of loopback's
BY_TLS = f"""
[panel]
listen = "0.0.0.0:8443"
hosts = ["{OUTSIDE}"]
certificate = "panel.crt"
private_key = "panel.key"
peers = ["192.0.2.0/24"]
"""
TLS = (f"https://{OUTSIDE}:8443", "--ca /etc/kenpin/panel.crt")
PASSWORD = "reads the gauge 12"


@dataclass(frozen=True)
class Plant:
    """The machine, the relay board at the other end of its serial port, and the folder with wheels that it sees."""

    machine: Container
    board: Board
    zone: Zone
    shelf: Path

    def openings(self, since_ns: int = 0) -> list[int]:
        """When the gate was opened for a part."""
        return [at_ns for at_ns, on in self.board.levels(GATE, since_ns) if on]

    def parts_pass(self, count: int = 3, within_s: float = 60.0) -> None:
        """Wait until so many more do."""
        known = len(self.openings())
        eventually(lambda: len(self.openings()) >= known + count, f"{count} parts pass", within_s, every_s=0.05)

    def check_purged(self, started_ns: int) -> None:
        """Since then nothing passed before one transit with the permit on."""
        Gate(self.zone, self.board.levels(GATE), self.board.levels(PERMIT)).check_purged(started_ns)

    def check_crashes_purged(self, since_ns: int) -> None:
        """Each time that the permit came on since then, nothing passed before one transit."""
        gate, permit = self.board.levels(GATE, since_ns), self.board.levels(PERMIT, since_ns)
        for begun_ns, on in permit:
            if on:
                Gate(self.zone, gate, permit).check_purged(begun_ns)

    def check_told_of_line(self, starts: int) -> None:
        """Whoever asks learns that the line's unit stays down after so many starts, and why."""
        told, unit = self.status(), f"{LINE}.service"
        assert told["level"] == "NOT_READY" and f"journalctl -u {LINE}" in told["cause"], told["cause"]
        assert f"edge setup {FILE}" in told["cause"] and not told["permit"]
        seen = self.visit(*TLS)
        assert seen["state"] == "NOT_READY" and f"edge setup {FILE}" in seen["cause"]
        code, found = self.machine.attempt(f"/opt/kenpin/bin/edge doctor --json {FILE}")
        (about,) = [each for each in json.loads(found) if each["topic"] == "service" and unit in each["words"]]
        assert code == 69 and about["grade"] == "wrong" and "by SIGSEGV" in about["words"], about
        said = self.says(LINE)
        assert "Start request repeated too quickly" in said
        assert said.count("Fatal Python error: Segmentation fault") >= starts, (
            "where each of them stood is on record"
        )
        assert int(self.ask(LINE, "NRestarts")) == starts + 1, "the last one was refused"

    def ask(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.machine.run(f"systemctl show --property={name} --value {unit}").strip()

    def says(self, unit: str) -> str:
        """What the unit has said, in all boots."""
        return self.machine.run(f"journalctl --no-pager --output=cat --unit={unit}")

    def install(self, version: int, model: bytes, stated: float) -> tuple[int, str]:
        """Give the machine a bundle that states this score of its one picture, and install it."""
        name = f"cap-a-{version}.bundle"
        sha = sha256(model).hexdigest()
        scores = {"ok.png": stated}
        entry = ModelEntry(MODEL, sha, "ort", "fp32", MIDDLE, EVIDENCE, proven=True, scores=scores)
        manifest = a_manifest(model, version=version, input=SPEC, models=(entry,), classes=())
        write_bundle(self.shelf / name, manifest, {MODEL: model}, {"ok.png": ("ok", png(GREY))}, "", KEY)
        return self.machine.attempt(f"/opt/kenpin/bin/edge install /opt/shelf/{name} --station {FILE}")

    def active(self) -> str:
        """What `edge bundles` says of the version that is active."""
        told = self.machine.run(f"COLUMNS=300 /opt/kenpin/bin/edge bundles --station {FILE}")
        return next(line for line in told.splitlines() if "cap-a" in line and " yes " in line)

    def listeners(self) -> dict[str, str]:
        """Every address of the machine that takes connections or packets from a network, and whose it is."""
        lines = self.machine.run("ss --listening --tcp --udp --raw --numeric --processes --no-header").splitlines()
        return {line.split()[4]: line.split()[-1] for line in lines}

    def status(self) -> dict[str, Any]:
        """What the eye says of itself."""
        told: dict[str, Any] = json.loads(self.machine.run(f"/opt/kenpin/bin/edge status --json {FILE}"))
        return told

    def control(self, call: str) -> None:
        """Ask the eye as the panel does, as the user whom it runs as."""
        code = (
            "from pathlib import Path; from edge.control import Control; from edge.station import load; "
            f"Control(load(Path('{FILE}'))).{call}"
        )
        user = "setpriv --reuid=kenpin --regid=kenpin --clear-groups"
        self.machine.run(f"{user} /opt/kenpin/bin/python -c {shlex.quote(code)}")

    def visit(self, address: str, *options: str) -> dict[str, Any]:
        """What a browser gets of the panel there: `tests/system/guest/panel_visit.py`, on the machine itself."""
        words = f"python3 /opt/shelf/panel_visit.py {address} anna '{PASSWORD}' {' '.join(options)}"
        told: dict[str, Any] = json.loads(self.machine.run(words))
        return told


@contextmanager
def serial_pair(board: Board, folder: Path) -> Iterator[Path]:
    """The station's end of a serial line to the board."""
    end = folder / "port"
    command = [sys.executable, "-m", "tests.system.serial_pair", str(board.socket), str(end)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT):
        eventually(end.exists, "the serial line is there", 10)
        yield end.resolve()


def bring(station: Path, place: Path) -> None:
    place.mkdir()
    text = (station / "station.toml").read_text()
    for old, new in (
        ('name = "test"', 'name = "line-3"'),
        ('state_dir = "state"', ""),
        ('dir = "journal"', ""),
    ):
        text = text.replace(old, new, 1)
    (place / "line-3.toml").write_text(text + MORE)
    assert load(place / "line-3.toml").station.state_dir == Path("/var/lib/kenpin")
    shutil.copytree(station / "keys", place / "keys")
    shutil.copy(station / "cap-a-1.bundle", place)


def certify(place: Path, names: str) -> None:
    """A certificate for the panel, with a key that root alone may read."""
    key, certificate = place / "panel.key", place / "panel.crt"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    words = ("openssl", "req", "-x509", *curve, "-days", "2", "-subj", "/CN=line-3", "-addext", names)
    subprocess.run([*words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    key.chmod(0o600)
    certificate.chmod(0o644)
