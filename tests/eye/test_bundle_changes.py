"""Another kept bundle becomes active by the same commands as by hand, and judges when the eye starts again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edge.clock import SECOND, ManualClock
from edge.control import ChangeBundle, Control, MoveThreshold
from edge.errors import BundleError, RefusedError
from edge.eye.bundle_changes import STARTS_AGAIN, STEADY_NS, BundleChanges, command_for, threshold_command
from edge.install import Installed, install, open_active
from edge.station import Station
from tests.contracts.source_tree import ROOT
from tests.eye.stations import BELT, BELT_TRIGGER, Bench, EdgeProcess, bundle, lay_out, modbus_bench
from tests.eye.test_operator import becomes, words_of
from tests.line.lines import end_child

WHY = "tried on the line"
SERVED = """
import os, sys
from edge.eye import bundle_changes
from edge.cli import main
os.environ["SYSTEMD_EXEC_PID"] = str(os.getpid())
bundle_changes.STEADY_NS = 0
sys.argv[0] = "edge"
main()
"""


@pytest.fixture
def station(tmp_path: Path) -> Station:
    lay_out(tmp_path, gate='kind = "memory"', permit='kind = "memory"')
    return Bench(tmp_path, list, list).station


def kept(*versions: int, active: int) -> list[Installed]:
    return [Installed("cap-a", each, each == active, Path(f"{each}.bundle")) for each in versions]


def wanted(version: int) -> ChangeBundle:
    return ChangeBundle(product="cap-a", version=version, why=WHY)


def test_the_newest_is_installed_and_the_one_before_is_gone_back_to(station: Station) -> None:
    where = ["--station", str(station.source)]
    assert command_for(kept(1, 2, 3, active=2), wanted(3), station) == ["install", "3.bundle", *where]
    assert command_for(kept(1, 2, 3, active=2), wanted(1), station) == ["rollback", "cap-a", *where]


@pytest.mark.parametrize(
    ("version", "active", "words"),
    [(9, 3, "not kept here"), (3, 3, "active already"), (1, 3, "one before"), (2, 1, "newest version")],
)
def test_every_other_way_is_refused(station: Station, version: int, active: int, words: str) -> None:
    with pytest.raises(BundleError, match=words):
        command_for(kept(1, 2, 3, active=active), wanted(version), station)


def test_the_way_back_leads_past_what_the_station_has_left_by_itself(station: Station) -> None:
    known = [replace(each, left=each.version == 2, words="it failed") for each in kept(1, 2, 3, active=3)]
    assert command_for(known, wanted(1), station)[:2] == ["rollback", "cap-a"]
    with pytest.raises(BundleError, match="version 2: it failed; `edge rollback --version 2` takes it anyway"):
        command_for(known, wanted(2), station)


@pytest.mark.parametrize(("value", "given"), [(0.1, "0.1"), (0.4200000001, "0.4200000001"), (None, "--reset")])
def test_a_threshold_is_moved_by_its_command_which_takes_none_that_is_unproven(
    station: Station, value: float | None, given: str
) -> None:
    request = MoveThreshold(product="cap-a", value=value, why="--allow-unproven", who="--reset")
    words = ["--product=cap-a", "--by=--reset", "--why=--allow-unproven"]
    assert threshold_command(request, station) == ["threshold", str(station.source), given, *words]


def changes_of(station: Station, **environment: str) -> tuple[BundleChanges, ManualClock]:
    clock = ManualClock()
    return BundleChanges(station, clock, lambda kind, words: None, environment), clock


def test_only_a_service_that_has_run_for_a_while_is_started_again(station: Station) -> None:
    by_hand, _ = changes_of(station, SYSTEMD_EXEC_PID="1")
    assert "by hand" in by_hand.why_not_again()
    changes, clock = changes_of(station, SYSTEMD_EXEC_PID=str(os.getpid()))
    clock.sleep_until(clock.now_ns() + STEADY_NS - SECOND)
    assert "less than 60 s" in changes.why_not_again()
    clock.sleep_until(clock.now_ns() + SECOND)
    assert changes.why_not_again() == ""
    changes.begin(wanted(2))
    assert "being accepted" in changes.why_not_again()


@contextmanager
def a_service(bench: Bench) -> Iterator[subprocess.Popen[bytes]]:
    """The eye as it is where systemd has started it."""
    command = [sys.executable, "-c", SERVED, "run", str(bench.file)]
    with subprocess.Popen(command, env=dict(os.environ, PYTHONPATH=str(ROOT)), cwd=ROOT) as eye:
        try:
            yield eye
        finally:
            eye.kill()
            eye.wait()
            end_child(bench.station)


def test_a_running_eye_changes_its_bundle_and_takes_it_up_when_it_starts_again(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER, rate=5.0, transit=1_500) as bench:
        install(bundle(tmp_path / "cap-a-2.bundle", version=2), bench.station)
        control = Control(bench.station)
        with a_service(bench) as eye:
            becomes(bench, lambda status: status.parts > 3, "it inspects")
            control.change_bundle("cap-a", 1, WHY, "erna")
            gone_back = "cap-a version 1 is active when the eye starts again"
            status = becomes(bench, lambda status: gone_back in status.bundle, "it has gone back")
            assert status.versions == {"cap-a": 2} and status.can_start_again, "what runs goes on"
            assert open_active(bench.station, "cap-a").manifest.version == 1
            control.change_bundle("cap-a", 7, WHY, "erna")
            becomes(
                bench, lambda status: "7 was not made active: " in status.bundle, "what is not there is refused"
            )
            control.change_bundle("cap-a", 2, WHY, "erna")
            becomes(bench, lambda status: "version 2 is active when" in status.bundle, "it is accepted once more")
            damaged = bench.station.station.state_dir / "bundles" / "cap-a" / "1.bundle"
            damaged.write_bytes(damaged.read_bytes()[:-1])
            control.change_bundle("cap-a", 1, WHY)
            becomes(bench, lambda status: "no version of cap-a before 2" in status.bundle, "and the reason is told")
            before = becomes(bench, lambda status: True, "it answers").parts
            becomes(bench, lambda status: status.parts > before + 3, "parts are judged all the while")
            control.start_again(WHY, "erna")
            assert eye.wait(60) == STARTS_AGAIN
        notes = words_of(bench, "bundle")
        assert any(
            "version 1 is to be active, asked by " in words and "as 'erna': " + WHY in words for words in notes
        )
        assert any("as 'erna': " + WHY in words for words in words_of(bench, "start again"))
        bench.check_gate(bench.rows())
        with a_service(bench):
            status = becomes(bench, lambda status: status.level == "READY", "it inspects again")
            assert status.versions == {"cap-a": 2}, "the active one is loaded"


def test_a_running_eye_moves_its_threshold_for_its_next_start(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER, rate=5.0, transit=1_500) as bench:
        install(bundle(tmp_path / "cap-a-2.bundle", version=2, is_judged=True), bench.station)
        control = Control(bench.station)

        def in_force() -> float:
            return open_active(bench.station, "cap-a").manifest.models[0].threshold

        with a_service(bench):
            becomes(bench, lambda status: status.parts > 3, "it inspects")
            control.move_threshold("cap-a", 0.45, WHY, "erna")
            becomes(bench, lambda status: "cap-a is 0.45 when the eye starts again" in status.bundle, "it is moved")
            assert in_force() == 0.45
            control.move_threshold("cap-a", 0.54, "--allow-unproven", "erna")
            status = becomes(bench, lambda status: "cap-a was not moved: " in status.bundle, "it is refused")
            assert "--allow-unproven" in status.bundle and in_force() == 0.45
            control.move_threshold("cap-a", None, WHY, "erna")
            own = "cap-a is the bundle's own when the eye starts again"
            status = becomes(bench, lambda status: own in status.bundle, "it is the bundle's own")
            assert in_force() == 0.5 and status.unproven == []
            becomes(bench, lambda after: after.parts > status.parts + 3, "parts are judged all the while")
        asked, recorded, done = words_of(bench, "threshold")[:3]
        assert asked.startswith("the threshold of cap-a is to be 0.45, asked by ") and f"as 'erna': {WHY}" in asked
        assert "from 0.5 (0 of 60 defects missed" in recorded and f"as 'erna': {WHY}" in recorded
        assert done == "the threshold of cap-a is 0.45 when the eye starts again"


def test_an_eye_that_was_started_by_hand_is_not_ended_for_that(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER, rate=5.0, transit=1_500) as bench:
        with EdgeProcess("run", bench.file) as edge:
            becomes(bench, lambda status: status.level == "READY", "it inspects")
            with pytest.raises(RefusedError, match="started by hand"):
                Control(bench.station).start_again(WHY)
            edge.process.terminate()
            assert edge.ends() == 0, edge.output
        assert words_of(bench, "start again") == []
