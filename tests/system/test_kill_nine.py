"""kill -9 of the eye and of the line at random instants, KENPIN_KILLS of each: nothing acknowledged is lost, nothing
passes unrecorded, and what the gate did is what the records say.

Gate and permit are coils of a libmodbus device with a watchdog, a process of its own that keeps exact times.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edge.clock import MS
from edge.journal.reading import read_parts
from edge.journal.rows import PartRow
from edge.records import GateOutcome, Reason
from edge.station import Station
from tests.eye.stations import EdgeProcess
from tests.line.lines import ROOT, Levels, LineProcess, end_child
from tests.peers import ModbusServer, eventually
from tests.system.belts import GATE, PERMIT, Pace, lay_out, parts_between, zone_of
from tests.system.claims import Acknowledged, Gate, check_files, check_ids, check_ring, check_ring_is_recorded
from tests.system.results import keep

KILLS = int(os.environ.get("KENPIN_KILLS", "1000"))
COMMAND = "make test-system PYTEST_ARGS='-k kill_nine'"
WATCHDOG = 100  # the register that holds its time
PACE = Pace(pitch=300, travel=400, decide=80, pulse=60, tolerance=20, heartbeat=50, silence=150)


@dataclass
class Bench:
    """A station on a Modbus device, a second reader of its journal, and what both saw."""

    station: Station
    device: ModbusServer
    acknowledged: Acknowledged
    started_ns: int
    killed_ns: list[int] = field(default_factory=list)
    ids: set[int] = field(default_factory=set)

    @property
    def file(self) -> Path:
        return self.station.source

    @property
    def journal(self) -> Path:
        return self.station.journal.dir

    @property
    def ring(self) -> Path:
        return self.station.station.state_dir / "outcomes.ring"

    def rows(self) -> list[PartRow]:
        return read_parts(self.journal) if list(self.journal.glob("*.sqlite")) else []

    def gate(self) -> Gate:
        return Gate(zone_of(self.station), self.levels(GATE), self.levels(PERMIT))

    def levels(self, coil: int) -> Levels:
        return [(edge.at_ns, edge.level) for edge in self.device.coil_log() if edge.address == coil]

    def check_records(self) -> None:
        """After a death: the journal is whole and has all that was acknowledged; no id has come back."""
        self.acknowledged.check(self.journal)
        check_files(self.journal, self.station.station.state_dir)
        rows = self.rows()
        check_ids(rows, self.ids, check_ring(self.ring).session if self.ring.exists() else 0)
        self.ids |= {row.part_id for row in rows}

    def check_gate(self) -> int:
        """Over the whole time; how many parts went through the open gate."""
        gate, rows = self.gate(), self.rows()
        gate.check_outcomes(row.outcome for row in rows if row.outcome)
        last_ns = time.monotonic_ns() - gate.zone.transit
        return gate.check_nothing_passed_unrecorded(rows, parts_between(PACE, self.started_ns, last_ns))


def coils(port: int) -> tuple[str, str]:
    device = f'kind = "modbus"\nhost = "127.0.0.1"\nport = {port}\nexternal_watchdog = true\n'
    device += f"heartbeat_ms = {PACE.heartbeat}\nwatchdog_register = {WATCHDOG}\nwatchdog_value = {PACE.silence}\n"
    gate, permit = (f"{device}timeout_ms = {PACE.timeout}\ncoil = {coil}" for coil in (GATE, PERMIT))
    return gate, permit


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with ModbusServer() as device:
        device.watch(WATCHDOG)
        station = lay_out(folder / "station", PACE, coils(device.port))
        made = Bench(station, device, Acknowledged(), time.monotonic_ns())
        with witness(station.journal.dir, made.acknowledged):
            try:
                yield made
            finally:
                end_child(station)


@contextmanager
def witness(journal: Path, heard: Acknowledged) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.system.guest.witness", str(journal)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:

        def listen() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                heard.hear(line, time.monotonic_ns())

        thread = threading.Thread(target=listen, name="witness")
        thread.start()
        try:
            yield
        finally:
            process.kill()
            thread.join()


def wait_for_an_instant(bench: Bench, dice: random.Random, starts_within_s: float) -> None:
    """Any time of a start-up, or any time after records come again."""
    if dice.random() < 0.25:
        time.sleep(dice.uniform(0, starts_within_s))
        return
    known = len(bench.acknowledged.rows)
    eventually(lambda: len(bench.acknowledged.rows) > known + 2, "records come", 120)
    time.sleep(dice.uniform(0, 3 * PACE.pitch / 1_000))


def finish(bench: Bench) -> list[PartRow]:
    """One more eye that runs to an orderly end; then every part has its outcome."""
    with EdgeProcess("run", bench.file, "--parts", "20") as edge:
        assert edge.ends() == 0, edge.output
    bench.check_records()
    rows = bench.rows()
    check_ring_is_recorded(check_ring(bench.ring), rows)
    open_ = [row.part_id for row in rows if row.outcome is None]
    assert not open_, f"parts without an outcome: {open_[:5]}"
    assert sum(row.outcome.outcome is GateOutcome.RELEASED for row in rows[-20:] if row.outcome), (
        "it inspects again"
    )
    return rows


def lines_of(bench: Bench, rows: list[PartRow], passed: int, words: str) -> list[str]:
    outcomes = [row.outcome for row in rows if row.outcome]
    lost = sum(event.reason is Reason.LINE_LOST for event in outcomes)
    released = sum(event.outcome is GateOutcome.RELEASED for event in outcomes)
    return [
        f"- {words}: {len(bench.killed_ns)} kills; {len(bench.acknowledged.rows)} acknowledged rows, all found again "
        f"unchanged after each kill; SQLite whole each time; ids of {rows[-1].part_id >> 32} line starts, none twice",
        f"- {len(rows)} parts recorded, each with one outcome ({lost} were lost with their line); {passed} parts of "
        f"the belt went through the open gate by the device's log, each with a committed PASS; {released} recorded as "
        "released",
    ]


def test_kill_nine_of_the_eye_loses_and_releases_nothing(tmp_path: Path) -> None:
    dice = random.Random(91)
    with bench(tmp_path) as made:
        while len(made.killed_ns) < KILLS:
            with EdgeProcess("run", made.file) as edge:
                wait_for_an_instant(made, dice, 2.0)
                assert edge.process.poll() is None, edge.output
                made.killed_ns.append(edge.signal(signal.SIGKILL))
                edge.process.wait()
            made.check_records()
        rows = finish(made)
        passed = made.check_gate()
    keep("kill-nine-eye", "kill -9 of the eye", COMMAND, lines_of(made, rows, passed, "eye, its line goes on"))


def test_kill_nine_of_the_line_loses_and_releases_nothing(tmp_path: Path) -> None:
    """Now and then the eye dies with it, as a whole machine's lack of memory would have it."""
    dice = random.Random(92)
    with bench(tmp_path) as made:
        edge = EdgeProcess("run", made.file, "--no-own-line")
        both = 0
        while len(made.killed_ns) < KILLS:
            with LineProcess(made.station) as line:
                wait_for_an_instant(made, dice, 1.0)
                assert line.process.poll() is None, line.words
                assert edge.process.poll() is None, edge.output
                if dice.random() < 0.1:
                    both += 1
                    edge.__exit__()
                    edge = EdgeProcess("run", made.file, "--no-own-line")
                made.killed_ns.append(line.signal(signal.SIGKILL))
                line.process.wait()
            made.check_records()
            made.gate().check_purged(made.killed_ns[-2] + 20 * MS if len(made.killed_ns) > 1 else 0)
        edge.__exit__()
        rows = finish(made)
        passed = made.check_gate()
    words = f"line, {both} times with its eye"
    keep("kill-nine-line", "kill -9 of the line", COMMAND, lines_of(made, rows, passed, words))
