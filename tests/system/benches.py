"""A station on an emulated device and a relay board beside it: starts it, listens, and holds it to the claims."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from edge.journal.reading import read_parts
from edge.journal.rows import PartRow
from edge.station import Station
from tests.line.lines import Levels
from tests.system.belts import GATE, PERMIT, Pace, lay_out, parts_between, relays, zone_of
from tests.system.board import Board
from tests.system.claims import Acknowledged, Gate
from tests.system.device.disks import disk_with, files_on
from tests.system.device.machine import ADAPTER, Device, disk
from tests.system.device.sockets import awaited

PYTHON = "/opt/kenpin/bin/python"
# slow enough for an emulator that shares its processors with other work
PACE = Pace(
    pitch=2_000, travel=2_200, decide=900, pulse=500, tolerance=250, heartbeat=400, silence=1_100, timeout=1_000
)
RUN_DIR = "/run/kenpin"
MOUNT = "mount /dev/disk/by-id/virtio-data /data"


@dataclass
class Bench:
    """The station's disk outlives the device's boots; the board has power of its own and a watchdog."""

    folder: Path
    station: Station
    board: Board
    acknowledged: Acknowledged = field(default_factory=Acknowledged)

    @property
    def disk(self) -> Path:
        return self.folder / "data.img"

    @property
    def found(self) -> Path:
        """Where `read` puts the files of the disk."""
        return self.folder / "found"

    def is_at_rest(self) -> bool:
        """The belt may not run and the gate rejects."""
        return not self.board.is_on(GATE) and not self.board.is_on(PERMIT)

    def read(self) -> list[PartRow]:
        """The parts that the journal on the disk holds; the device must be off, or the disk unmounted."""
        files_on(self.disk, self.found, "journal", "state")
        journal = self.found / "journal"
        return read_parts(journal) if list(journal.glob("*.sqlite")) else []


@contextmanager
def bench(folder: Path, journal: str = "", rest: str = "reject") -> Iterator[Bench]:
    """A station file on a disk, and the board that it will find."""
    with Board(PACE.silence) as board:
        station = lay_out(
            folder / "station", PACE, relays(ADAPTER, PACE), journal=journal, rest=rest, run_dir=RUN_DIR
        )
        made = Bench(folder, station, board)
        disk_with(folder / "station", made.disk)
        yield made


class Boot:
    """One time that the device is on, from `__enter__` until its power is cut. `data` are the emulator's words for the
    station's disk, where it is not a plain one."""

    def __init__(self, bench: Bench, *extra: str, data: Sequence[str] = ()) -> None:
        self.bench = bench
        words = (*(data or disk("data", bench.disk, "cache=none")), *extra)
        self.device = Device(bench.folder / "machine", board=bench.board.socket, extra=words)
        self.guest = self.device.guest

    def __enter__(self) -> Boot:
        self.device.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.device.__exit__(*error)

    def inspect(self, mount: str = MOUNT) -> None:
        """Mount the disk, start the station and a second reader of its journal."""
        self.guest.run(mount)
        self.start_eye()
        self.guest.start("witness", f"{PYTHON} -m tests.system.guest.witness /data/journal 50")

    def dismiss_witness(self) -> None:
        """Nobody reads the journal any more but the station."""
        self.guest.signal("witness", signal.SIGKILL)
        self.guest.ends("witness")
        self.hear()

    def unmount(self) -> None:
        """After the station's end: the disk is off."""
        if self.guest.ended("witness") is None:
            self.dismiss_witness()
        self.guest.run("umount /data")

    def start_eye(self, options: str = "") -> None:
        self.guest.start("eye", f"PYTHONFAULTHANDLER=1 exec {PYTHON} -m edge.cli run /data/station.toml {options}")

    def words(self) -> str:
        """What the eye and its line have said."""
        return self.guest.text("eye")

    def console(self) -> str:
        """What the kernel and systemd have said."""
        return self.device.console.read_text(errors="replace")

    def says(self, words: str, within_s: float = 60.0) -> None:
        """Wait until they say this."""
        awaited(lambda: words in self.words(), f"the station says {words!r}", self.words, within_s)

    def openings(self, since_ns: int = 0) -> Levels:
        """When the gate was opened for a part."""
        return [edge for edge in self.bench.board.levels(GATE, max(since_ns, self.device.on_ns)) if edge[1]]

    def opens(self, count: int = 1, within_s: float = 180.0) -> None:
        """Wait until so many more parts are let pass."""
        known = len(self.openings())
        awaited(lambda: len(self.openings()) >= known + count, f"{count} parts pass", self.words, within_s)

    def permit_is(self, on: bool, within_s: float = 60.0) -> None:
        """Wait until the board's permit stands so."""
        board = self.bench.board
        awaited(lambda: board.is_on(PERMIT) is on, f"the permit is {'on' if on else 'off'}", self.words, within_s)

    def hear(self) -> None:
        """Take in what the second reader said so far; a line that a cut tore is no line."""
        heard = self.bench.acknowledged
        heard.clock_offset_ns = None
        for line in self.guest.lines("witness"):
            with suppress(ValueError):
                heard.hear(line.text, line.at_ns)

    def end(self, within_s: float = 120.0) -> int:
        """SIGTERM; the eye's exit code. One that does not end says where its threads stand."""
        self.guest.signal("eye", signal.SIGTERM)
        until = time.monotonic() + within_s
        while self.guest.ended("eye") is None and time.monotonic() < until:
            time.sleep(0.05)
        if self.guest.ended("eye") is None:
            self.guest.signal("eye", signal.SIGABRT)
        return self.guest.ends("eye", 30)

    def gate(self) -> Gate | None:
        """What the board saw in this boot; None when the second reader has not told the device's clock."""
        offset_ns, on_ns = self.bench.acknowledged.clock_offset_ns, self.device.on_ns
        if offset_ns is None:
            return None
        levels, permit = self.bench.board.levels(GATE, on_ns), self.bench.board.levels(PERMIT, on_ns)
        return Gate(zone_of(self.bench.station), levels, permit, offset_ns)

    def check_gate(self, rows: list[PartRow]) -> int:
        """Of this boot's parts; how many passed. The cut must be a watchdog's time ago."""
        gate = self.gate()
        if gate is None:
            assert not self.openings(), "the gate opened before the station said a word"
            return 0
        gate.check_outcomes(row.outcome for row in rows if row.outcome)
        began_ns, now_ns = gate.from_host(self.device.on_ns), gate.from_host(time.monotonic_ns())
        gate.check_purged(self.device.on_ns)
        return gate.check_nothing_passed_unrecorded(rows, parts_between(PACE, began_ns, now_ns - gate.zone.transit))
