"""A disk that hangs or fills up under a running station: the gate keeps its times, nothing passes unrecorded."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.journal.reading import read_notes
from edge.records import GateOutcome, Reason
from tests.eye.stations import BELT, BELT_TRIGGER, Bench, EdgeProcess, parts_reach, relay_bench
from tests.peers import eventually
from tests.peers.disks import fill, tmpfs
from tests.peers.faulty_disk import SYNC, FaultyDisk


def check_complete(bench: Bench) -> None:
    """Whoever asks is told that nothing is missing; every part met its outcome at the gate."""
    with EdgeProcess("journal", "verify", bench.file) as asked:
        assert asked.ends() == 0, asked.output
    assert asked.output.rstrip().endswith("intact")
    rows = bench.rows()
    assert all(row.outcome is not None for row in rows)
    bench.check_gate(rows)


def permit_is(bench: Bench, on: bool) -> bool:
    return bool(bench.permit()) and bench.permit()[-1][1] is on


def test_a_disk_that_hangs_for_seconds_stops_the_belt_and_no_gate_edge_is_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FaultyDisk(tmp_path / "station" / "journal", tmp_path / "faults")
    for name, value in disk.environment.items():
        monkeypatch.setenv(name, value)
    with relay_bench(tmp_path / "station", camera=BELT, trigger=BELT_TRIGGER, rate=4.0) as bench:
        report = tmp_path / "report.json"
        with EdgeProcess("run", bench.file, "--report", report) as edge:
            eventually(lambda: permit_is(bench, True), "the belt runs")
            parts_reach(bench, 10)
            disk.order(SYNC, delay_ms=6_000, suffix="-wal")
            eventually(lambda: permit_is(bench, False), "the belt stops")
            disk.heal()
            eventually(lambda: permit_is(bench, True), "the belt runs again")
            parts_reach(bench, len(bench.rows()) + 10)
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
        disk.close()
        values = json.loads(report.read_text())
        check_complete(bench)
    assert "not taken a record for 2 s" in edge.output
    assert values["gate"]["late"] == values["journal"]["lost"] == 0
    stalled = [row for row in bench.rows() if row.decided and row.decided.verdict.reason is Reason.JOURNAL]
    assert all(row.outcome and row.outcome.outcome is GateOutcome.FIRED for row in stalled)


@pytest.fixture(params=["stop", "reject"])
def small_bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Bench, Path, str]]:
    """A station whose journal has a disk of its own; that disk and what is to be done when it is full."""
    with (
        tmpfs(tmp_path / "disk", "size=12m") as disk,
        relay_bench(tmp_path / "station", camera=BELT, trigger=BELT_TRIGGER, rate=4.0) as bench,
    ):
        settings = f'dir = "{disk}"\nreserve_mb = 2\nfree_min_mb = 1\non_disk_full = "{request.param}"'
        bench.file.write_text(bench.file.read_text().replace('dir = "journal"', settings))
        (bench.folder / "journal").symlink_to(disk)  # where the bench reads
        yield bench, disk, request.param


def test_a_full_disk_ends_what_passes_and_takes_the_last_records(small_bench: tuple[Bench, Path, str]) -> None:
    bench, disk, policy = small_bench
    with EdgeProcess("run", bench.file) as edge:
        eventually(lambda: permit_is(bench, True), "the belt runs")
        parts_reach(bench, 6)
        ballast = fill(disk)
        eventually(lambda: "reserve is given up" in notes_of(disk), "the reserve is given up", every_s=0.05)
        before = len(bench.rows())
        parts_reach(bench, before + 6)
        eventually(lambda: permit_is(bench, policy == "reject"), "the belt stops, or all are rejected")
        ballast.unlink()
        eventually(lambda: has_released(bench, before + 6), "parts pass again", every_s=0.05)
        edge.signal(signal.SIGTERM)
        assert edge.ends() == 0, edge.output
    check_complete(bench)
    refused = [row for row in bench.rows() if row.decided and row.decided.verdict.reason is Reason.JOURNAL]
    assert "emergency reserve" in edge.output and (refused or policy == "stop")
    assert not any(row.outcome and row.outcome.outcome is GateOutcome.RELEASED for row in refused)


def notes_of(disk: Path) -> str:
    return " ".join(note.words for note in read_notes(disk))


def has_released(bench: Bench, after: int) -> bool:
    """Whether a part that came after so many others was let pass."""
    return any(row.outcome and row.outcome.outcome is GateOutcome.RELEASED for row in bench.rows()[after:])
