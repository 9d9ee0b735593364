"""The station's disk is full, has no inodes left, refuses writes, turns read-only or takes seconds: the policy of the
station file happens, no part passes without its record, and the gate keeps its times."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.clock import MS
from edge.errors import JournalError
from edge.journal.rows import PartRow
from edge.records import GateOutcome, Kind
from tests.system.benches import PACE, Boot, bench
from tests.system.results import Table

RESULTS = Table(
    "failing-disks",
    "A station whose disk fails",
    "make test-system PYTEST_ARGS='-k failing_disks'",
    ["fault", "what the station did"],
)
NAMED = "/dev/disk/by-id/virtio-data"
MOUNT = "mount /dev/mapper/station /data"
FILL = (
    "dd if=/dev/zero of=/data/ballast bs=64k 2>/dev/null; dd if=/dev/zero of=/data/ballast2 bs=1k 2>/dev/null; sync"
)
FREE = "rm /data/ballast /data/ballast2"
RELEASED_NS = round(
    (PACE.travel + PACE.pulse) * MS
)  # so long after a fault a part may pass that was released before


class Mapper:
    """The kernel's device mapper under the station's disk: it lets the disk fail."""

    def __init__(self, boot: Boot) -> None:
        self._guest = boot.guest
        self._sectors = int(boot.guest.run(f"modprobe -a dm_flakey dm_delay && blockdev --getsz {NAMED}"))
        self._guest.run(f"dmsetup create station --table '{self._linear}'")

    @property
    def _linear(self) -> str:
        return f"0 {self._sectors} linear {NAMED} 0"

    def works(self) -> None:
        self._becomes(self._linear)

    def refuses_writes(self) -> None:
        """Each write is an I/O error, each read works."""
        self._becomes(f"0 {self._sectors} flakey {NAMED} 0 0 3600 1 error_writes")

    def is_slow(self, flush_ms: int) -> None:
        """Each flush takes so long: what fsync waits for."""
        self._becomes(f"0 {self._sectors} delay {NAMED} 0 0 {NAMED} 0 0 {NAMED} 0 {flush_ms}")

    def _becomes(self, table: str) -> None:
        change = f"dmsetup suspend --noflush --nolockfs station && dmsetup load station --table '{table}'"
        self._guest.run(f"{change} && dmsetup resume station")


@contextmanager
def inspecting(folder: Path, policy: str = "stop") -> Iterator[tuple[Boot, Mapper]]:
    """A station that lets parts pass."""
    with bench(folder, f'on_disk_full = "{policy}"') as made, Boot(made) as boot:
        mapper = Mapper(boot)
        boot.inspect(MOUNT)
        boot.opens(2)
        yield boot, mapper


def nothing_passes(boot: Boot, seconds: float) -> None:
    """From now on, but for what was released before."""
    since_ns = time.monotonic_ns() + RELEASED_NS
    time.sleep(RELEASED_NS / 1e9 + seconds)
    assert boot.openings(since_ns) == [], boot.words()


def check(boot: Boot) -> list[PartRow]:
    """At the end: nothing acknowledged is lost, nothing passed unrecorded, each part has one outcome."""
    boot.unmount()
    rows = boot.bench.read()
    boot.bench.acknowledged.check(boot.bench.found / "journal")
    assert boot.check_gate(rows) > 0
    assert all(row.outcome for row in rows)
    return rows


def restart(boot: Boot) -> int:
    """A person ends the station, mends the file system and starts it again; the first eye's exit code."""
    code = boot.end()
    boot.unmount()
    boot.guest.run("e2fsck -fp /dev/mapper/station || test $? -eq 1")
    boot.inspect(MOUNT)
    return code


def test_a_full_disk_stops_the_belt_until_there_is_room(tmp_path: Path) -> None:
    with inspecting(tmp_path) as (boot, _):
        boot.guest.run(FILL)
        boot.permit_is(False)
        boot.says("disk is full")
        nothing_passes(boot, 5)
        boot.guest.run(FREE)
        boot.permit_is(True)
        boot.opens(2)
        assert boot.end() == 0, boot.words()
        check(boot)
    RESULTS.add('full, `on_disk_full = "stop"`', "permit off, nothing passes; goes on by itself when there is room")


def test_a_full_disk_rejects_all_where_the_belt_shall_run_on(tmp_path: Path) -> None:
    with inspecting(tmp_path, policy="reject") as (boot, _):
        boot.guest.run(FILL)
        boot.says("disk is full")
        nothing_passes(boot, 5)
        boot.permit_is(True)
        boot.guest.run(FREE)
        boot.opens(2)
        assert boot.end() == 0, boot.words()
        check(boot)
    RESULTS.add(
        'full, `on_disk_full = "reject"`', "permit on, every part rejected; releases again when there is room"
    )


def take_all_inodes(boot: Boot) -> None:
    boot.guest.run(
        "n=/data/many/$RANDOM; mkdir -p $n; for i in $(seq 100000); do : > $n/$i || break; done 2>/dev/null; true"
    )
    code, _ = boot.guest.attempt(": > /data/one-more")
    assert code != 0, "there are inodes left"


def test_without_inodes_a_running_station_goes_on_and_a_new_one_says_why_it_cannot_start(tmp_path: Path) -> None:
    with inspecting(tmp_path) as (boot, _):
        take_all_inodes(boot)
        boot.opens(2)
        boot.dismiss_witness()
        boot.end()
        take_all_inodes(boot)  # those that SQLite gave back at its end
        boot.start_eye()
        assert boot.guest.ends("eye", 180) == JournalError.exit_code, boot.words()
        boot.guest.run("rm -r /data/many")
        boot.start_eye()
        boot.opens(2)
        boot.end()
        check(boot)
    RESULTS.add("no inodes", "goes on; a start is refused with exit code 74 until there are some")


@pytest.mark.parametrize("fault", ["refuses writes", "read-only"])
def test_a_disk_that_fails_stops_the_belt_until_a_person_mends_it(tmp_path: Path, fault: str) -> None:
    with inspecting(tmp_path) as (boot, mapper):
        if fault == "read-only":
            boot.guest.run("mount -o remount,abort /data")
        else:
            mapper.refuses_writes()
        boot.permit_is(False)
        boot.says("check the disk")
        nothing_passes(boot, 40)  # the kernel writes the ring's pages back within 35 s
        mapper.works()
        code = restart(boot)
        boot.opens(2)
        assert boot.end() == 0, boot.words()
        check(boot)
    RESULTS.add(
        fault, f"permit off, nothing passes; ends with exit code {code}; mended and started again, it inspects"
    )


def test_a_disk_that_takes_seconds_delays_no_gate_and_lets_nothing_pass_unrecorded(tmp_path: Path) -> None:
    with inspecting(tmp_path) as (boot, mapper):
        mapper.is_slow(4_000)
        nothing_passes(boot, 20)
        mapper.works()
        boot.opens(2)
        boot.end()
        rows = check(boot)
        gate = boot.gate()
        assert gate is not None
        unheard = [
            row for row in rows if row.decided and row.decided.verdict.kind is Kind.PASS and not let_pass(row)
        ]
        assert len(unheard) >= 3, "good parts whose record came too late were rejected"
        assert sum(row.outcome is not None and row.outcome.outcome is GateOutcome.LATE for row in rows) == 0
    RESULTS.add(
        "4 s for each flush",
        f"{len(unheard)} good parts rejected because their record came late; no gate edge late",
    )


def let_pass(row: PartRow) -> bool:
    return row.outcome is not None and row.outcome.outcome is GateOutcome.RELEASED
