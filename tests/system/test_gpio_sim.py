"""GPIO on the kernel's own character device, over gpio-sim: real edges with the kernel's times, real owners."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from edge.clock import MS
from edge.journal.reading import read_parts
from edge.records import GateOutcome
from edge.station import load
from tests.line.lines import Levels
from tests.system.belts import GATE, PERMIT, SEED, lay_out, zone_of
from tests.system.benches import MOUNT, PACE, PYTHON, RUN_DIR
from tests.system.claims import Gate
from tests.system.device.disks import disk_with, files_on
from tests.system.device.guest import Guest
from tests.system.device.machine import Device, disk
from tests.system.device.sockets import awaited
from tests.system.results import Table

RESULTS = Table(
    "gpio-sim",
    "GPIO on a simulated chip of the kernel",
    "make test-system PYTEST_ARGS='-k gpio_sim'",
    ["what", "seen"],
)
BELT = replace(PACE, window=150)  # a shell under emulation pulls the photo-eye's line some milliseconds late
NEAR_NS = 150 * MS
# Without the loss of the chip: gpio-sim of kernel 6.1 oopses when it is taken away from somebody who listens for edges,
# and comes back under another number while a line is held.
CHOSEN = "gpio and not lose and not lost and not loss and not away"
CONTRACT = f"{PYTHON} -m pytest tests/line_devices -k '{CHOSEN}' -p no:cacheprovider --timeout=600"
FLOODED = 2_600  # edges; the kernel keeps 1,024 for a reader that does not read
# not faster: the kernel's own thread merges edges that come before it has taken the last one
FLOOD = (
    "import time; pull = open('{lines}/sim_gpio0/pull', 'w', buffering=1)\n"
    "for i in range({edges}): pull.write(('pull-up', 'pull-down')[i % 2] + chr(10)); time.sleep(0.002)"
)


def simulated_chip(guest: Guest) -> tuple[str, str]:
    """A chip of eight lines: its device, and the folder of its pulls and values."""
    made = "/sys/kernel/config/gpio-sim/chip"
    guest.run(
        f"modprobe gpio-sim && mkdir -p {made}/bank && echo 8 > {made}/bank/num_lines && echo 1 > {made}/live"
    )
    name, chip = guest.run(f"cat {made}/dev_name {made}/bank/chip_name").split()
    return f"/dev/{chip}", f"/sys/devices/platform/{name}/{chip}"


def test_the_gpio_contract_holds_on_the_kernels_chip(tmp_path: Path) -> None:
    with Device(tmp_path / "machine") as device:
        chip, lines = simulated_chip(device.guest)
        named = f"KENPIN_GPIO_CHIP={chip} KENPIN_GPIO_SIM={lines} HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis"
        code, said = device.guest.attempt(f"{named} {CONTRACT}", 900)
        assert code == 0, said
    counted = re.search(r"(\d+) passed", said)
    assert counted
    RESULTS.add(
        "the GPIO tests of tests/line_devices in the guest, but for the loss of the chip", f"{counted[1]} passed"
    )


class Station:
    """A station whose photo-eye, gate and permit are lines of the chip."""

    def __init__(self, device: Device) -> None:
        self.guest = device.guest
        self.chip, self.lines = simulated_chip(device.guest)

    def start(self) -> None:
        self.guest.run(MOUNT)
        belt = f"{self.lines} {SEED} {BELT.pitch} {BELT.jitter}"
        self.guest.start("belt", f"{PYTHON} -m tests.system.guest.gpio_belt {belt}")
        self.start_line()  # one of its own: an eye replaces a line that hangs, if it has started it
        self.guest.start("eye", f"{PYTHON} -m edge.cli run /data/station.toml --no-own-line")

    def start_line(self) -> None:
        self.guest.start("line", f"exec {PYTHON} -m edge.line /data/station.toml")

    def levels(self, line: int) -> Levels:
        """What the belt saw, in the guest's time."""
        words = [seen.text.split() for seen in self.guest.lines("belt")]
        return [
            (int(at_ns), level == "1")
            for name, level, at_ns in (w for w in words if len(w) == 3)
            if name == str(line)
        ]

    def born(self) -> list[int]:
        return [int(line.text.split()[1]) for line in self.guest.lines("belt") if line.text.startswith("part")]

    def openings(self) -> int:
        return sum(level for _, level in self.levels(GATE))

    def opens(self, count: int) -> None:
        known = self.openings()
        awaited(lambda: self.openings() >= known + count, f"{count} parts pass", self.words, 180)

    def just_closed(self) -> bool:
        """The next opening is a second away at least."""
        edges = [line for line in self.guest.lines("belt") if line.text.startswith(f"{GATE} ")]
        return bool(edges) and edges[-1].text.split()[1] == "0" and time.monotonic_ns() - edges[-1].at_ns < 200 * MS

    def says(self, words: str) -> None:
        awaited(lambda: words in self.guest.text("line"), words, self.words, 60)

    def words(self) -> str:
        return self.guest.text("eye") + self.guest.text("line")


@contextmanager
def inspecting(folder: Path) -> Iterator[Station]:
    def line(number: int) -> str:
        return f'kind = "gpio"\nchip = "/dev/gpiochip0"\nline = {number}\nexternal_watchdog = true'

    eye = 'kind = "gpio"\nchip = "/dev/gpiochip0"\nline = 0\ndebounce_ms = 2'
    lay_out(folder / "station", BELT, (line(GATE), line(PERMIT)), trigger=eye, run_dir=RUN_DIR)
    disk_with(folder / "station", folder / "data.img")
    with Device(folder / "machine", extra=disk("data", folder / "data.img", "cache=none")) as device:
        station = Station(device)
        assert station.chip == "/dev/gpiochip0"
        station.start()
        station.opens(2)
        yield station


def test_a_station_on_gpio_survives_lost_edges_a_second_owner_and_the_death_of_its_line(tmp_path: Path) -> None:
    with inspecting(tmp_path) as station:
        guest = station.guest
        busy = f"{PYTHON} -c 'import gpiod; gpiod.request_lines(\"{station.chip}\", {{1: None}})' 2>&1 | tail -1"
        assert "busy" in guest.run(busy)
        # nothing outside brings this chip's gate to rest: a line that stood still with an open gate would let all pass
        awaited(station.just_closed, "the gate has just closed", lambda: guest.text("belt"), 60)
        guest.signal("line", signal.SIGSTOP)
        flood = FLOOD.format(lines=station.lines, edges=FLOODED)
        guest.run(f'{PYTHON} -c "{flood}"')
        guest.signal("line", signal.SIGCONT)
        station.says("trigger edges were lost")
        station.opens(2)
        guest.signal("line", signal.SIGKILL)
        awaited(
            lambda: not station.levels(GATE)[-1][1], "the gate follows its pull", lambda: guest.text("belt"), 10
        )
        station.start_line()
        station.opens(2)
        guest.signal("eye", signal.SIGTERM)
        guest.ends("eye", 120)
        guest.signal("line", signal.SIGTERM)
        guest.ends("line", 60)
        guest.signal("belt", signal.SIGKILL)
        guest.run("umount /data")
        gate = Gate(
            zone_of(load(tmp_path / "station" / "station.toml")), station.levels(GATE), station.levels(PERMIT)
        )
        born = station.born()
    files_on(tmp_path / "data.img", tmp_path / "found", "journal")
    rows = read_parts(tmp_path / "found" / "journal")
    passed = gate.check_nothing_passed_unrecorded(rows, born[:-2], NEAR_NS)
    gate.check_outcomes(row.outcome for row in rows if row.outcome)
    gate.check_purged(0)
    assert all(row.outcome for row in rows)
    released = sum(row.outcome is not None and row.outcome.outcome is GateOutcome.RELEASED for row in rows)
    RESULTS.add(
        f"{FLOODED} edges while the line is stopped",
        "the kernel drops what its buffer cannot hold, that is noticed, the zone is purged",
    )
    RESULTS.add("a second owner of the gate's line", "EBUSY")
    RESULTS.add("kill -9 of the line", "the gate's line follows its pull, the next line purges")
    RESULTS.add(
        "parts", f"{len(rows)} on record, {passed} went through the open gate, {released} recorded as released"
    )
