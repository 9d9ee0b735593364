"""What it costs that people look: the panel's share of a core at 10 parts/s, and the eye's times with and without."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edge.clock import SECOND, SystemClock
from edge.control import Control, Figures
from edge.demo.run import HERE, station_text
from edge.errors import ControlError
from edge.install import install
from edge.panel.users import Role, Users
from edge.relay_board import RelayBoard
from edge.station import Station, load
from tests.eye.stations import EdgeProcess, end_child
from tests.panel.panels import PASSWORDS, Visitor
from tests.peers import eventually
from tests.peers.plcs import free_port
from tests.system.results import Table

RATE, TURN_S, TURNS = 10.0, 30, 4
PAGES = 3  # that look at once
ASKS_EVERY_S = 0.75  # as the page does
_TICKS = os.sysconf("SC_CLK_TCK")
RESULTS = Table(
    "panel-watched",
    f"A panel with {PAGES} pages open beside {RATE:g} parts/s, in turns of {TURN_S} s",
    "make test-system PYTEST_ARGS='-k panel_watched'",
    (
        "who looks",
        "panel, % of a core",
        "eye, % of a core",
        "capture to verdict: mean, ms",
        "parts that took over 20 ms, %",
        "verdicts too late",
        "pictures shown a second",
    ),
)


@dataclass
class Turns:
    """Sums over the turns of one kind."""

    panel_s: float = 0
    eye_s: float = 0
    seconds: float = 0
    parts: int = 0
    total_ms: float = 0
    slow: int = 0
    missed: int = 0
    pictures: set[str] = field(default_factory=set)

    def row(self, who: str) -> tuple[str, ...]:
        parts = max(1, self.parts)
        return (
            who,
            f"{100 * self.panel_s / self.seconds:.1f}",
            f"{100 * self.eye_s / self.seconds:.1f}",
            f"{self.total_ms / parts:.2f}",
            f"{100 * self.slow / parts:.2f}",
            f"{self.missed} of {self.parts}",
            f"{len(self.pictures) / self.seconds:.2f}",
        )


def cpu_s(pid: int) -> float:
    """Processor time of the process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def slower(figures: Figures, than_ns: int) -> int:
    bins = figures.stages["capture_to_verdict"].bins
    within = sum(1 for bound in figures.stage_bounds_ns if bound <= than_ns)
    return sum(bins[within:])


@contextmanager
def looking(port: int, seen: set[str]) -> Iterator[None]:
    """Pages that refresh themselves, and show the newest picture."""
    stop = threading.Event()

    def page() -> None:
        visitor = Visitor(port)
        assert visitor.login("vera").status == 200
        known, revision = "", ""
        while not stop.wait(ASKS_EVERY_S):
            told = visitor.get(f"/api/live?camera=belt&revision={revision}").json
            revision, part = told["revision"], told["latest"].get("id", "")
            if part and part != known and visitor.get(f"/latest/{part}/belt").status == 200:
                known = part
                seen.add(part)

    pages = [threading.Thread(target=page) for _ in range(PAGES)]
    for each in pages:
        each.start()
    try:
        yield
    finally:
        stop.set()
        for each in pages:
            each.join()


@contextmanager
def a_line(folder: Path) -> Iterator[Station]:
    with RelayBoard(SystemClock()) as board:
        text = station_text(board.port, RATE).replace("pictures_max_mb = 50", "pictures_max_mb = 500")
        (folder / "station.toml").write_text(text)
        (folder / "keys").mkdir()
        shutil.copy(HERE / "demo.pub", folder / "keys")
        station = load(folder / "station.toml")
        install(next(HERE.glob("*.bundle")), station)
        Users(station.station.state_dir).add("vera", Role.VIEWER, PASSWORDS["vera"])
        try:
            yield station
        finally:
            end_child(station)


def test_a_panel_that_is_looked_at_costs_little_and_the_eye_next_to_nothing(tmp_path: Path) -> None:
    port = free_port()
    with (
        a_line(tmp_path) as station,
        EdgeProcess("run", station.source) as eye,
        EdgeProcess("panel", station.source, "--listen", f"127.0.0.1:{port}") as panel,
    ):
        os.setpriority(os.PRIO_PROCESS, panel.process.pid, os.nice(0) + 10)  # as its unit does
        control = Control(station)
        eventually(lambda: "http://" in panel.output, "the panel serves", 60)
        eventually(lambda: is_ready(control), "it inspects", 60)
        kinds = {"nobody": Turns(), f"{PAGES} pages": Turns()}
        for turn in range(2 * TURNS):
            who = list(kinds)[turn % 2]
            if turn % 2:
                with looking(port, kinds[who].pictures):
                    take(kinds[who], control, eye, panel)
            else:
                take(kinds[who], control, eye, panel)
        for who, sums in kinds.items():
            RESULTS.add(*sums.row(who))
        nobody, watched = kinds.values()
        assert watched.panel_s / watched.seconds < 0.15
        assert watched.eye_s / watched.seconds < nobody.eye_s / nobody.seconds + 0.05
        assert len(watched.pictures) > 0.4 * watched.seconds


def is_ready(control: Control) -> bool:
    try:
        return control.status().level == "READY"
    except ControlError:
        return False


def take(sums: Turns, control: Control, eye: EdgeProcess, panel: EdgeProcess) -> None:
    """Add one turn."""
    began = time.monotonic_ns(), cpu_s(panel.process.pid), cpu_s(eye.process.pid), control.figures()
    time.sleep(TURN_S)
    ended = time.monotonic_ns(), cpu_s(panel.process.pid), cpu_s(eye.process.pid), control.figures()
    before, after = (figures.stages["capture_to_verdict"] for figures in (began[3], ended[3]))
    sums.seconds += (ended[0] - began[0]) / SECOND
    sums.panel_s += ended[1] - began[1]
    sums.eye_s += ended[2] - began[2]
    sums.parts += sum(after.bins) - sum(before.bins)
    sums.total_ms += (after.total_ns - before.total_ns) / 1e6
    sums.slow += slower(ended[3], 20_000_000) - slower(began[3], 20_000_000)
    sums.missed += ended[3].deadlines["missed"] - began[3].deadlines["missed"]
