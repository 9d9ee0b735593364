"""A Debian machine with the real services: installed by two commands, looked at through its panel, stopped, crashed,
upgraded, rebooted, removed."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from edge.clock import MS, SECOND
from edge.line.messages import VERSION
from tests.eye.stations import SPEC, bundle
from tests.eye.test_new_bundles import blind_to_bright
from tests.infer.students import student
from tests.peers import eventually
from tests.system.belts import GATE, MIDDLE, PERMIT, lay_out, relays, zone_of
from tests.system.board import Board
from tests.system.device.app import wheel
from tests.system.device.image import wheels
from tests.system.nspawn import Container
from tests.system.plant import (
    BY_TLS,
    EYE,
    FILE,
    GREY,
    LINE,
    METRICS,
    OUTBOX,
    OUTSIDE,
    PACE,
    PANEL,
    PASSWORD,
    PORT,
    TLS,
    Plant,
    bring,
    certify,
    serial_pair,
)
from tests.system.results import ROOT, Table

LIMITS = {LINE: 8, EYE: 16, OUTBOX: 12, METRICS: 12, PANEL: 15}  # of systemd-analyze's exposure, in tenths
INSTALL = "python3 -m venv /opt/kenpin && /opt/kenpin/bin/pip install --quiet '{wheel}[panel,mqtt]'"
SETUP = f"/opt/kenpin/bin/edge setup {FILE}"
FETCH = "import sys, urllib.request as web; print(web.urlopen(sys.argv[1], timeout=10).read().decode())"
RESULTS = Table(
    "installed",
    "Installed services on a Debian 12 machine in a container",
    "make test-system PYTEST_ARGS='-k test_installed'",
    ["what", "seen"],
)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A fresh machine; what an integrator brings along lies in /etc/kenpin."""
    if os.geteuid() != 0 or not shutil.which("systemd-nspawn"):
        pytest.skip("booting a container takes root and the package systemd-container")
    folder = tmp_path_factory.mktemp("plant")
    shelf = folder / "shelf"
    shelf.mkdir()
    wheel(shelf)
    shutil.copy(ROOT / "tests" / "system" / "guest" / "panel_visit.py", shelf)
    station = lay_out(folder / "station", PACE, relays(PORT, PACE), run_dir="/run/kenpin")
    with Board(PACE.silence) as board, serial_pair(board, folder) as port:
        binds = (f"{port}:{PORT}", f"{wheels()}:/opt/wheels", f"{shelf}:/opt/shelf")
        environment = ("PIP_NO_INDEX=1", "PIP_FIND_LINKS=/opt/wheels")
        with Container(folder / "machine", binds, environment) as machine:
            bring(folder / "station", machine.root / "etc" / "kenpin")
            yield Plant(machine, board, zone_of(station), shelf)


def seconds(wait: Callable[[], object]) -> str:
    began_ns = time.monotonic_ns()
    wait()
    return f"{(time.monotonic_ns() - began_ns) / SECOND:.1f} s"


def test_two_commands_make_a_running_station(plant: Plant) -> None:
    started_ns = time.monotonic_ns()
    packed = next(plant.shelf.glob("*.whl")).name
    took = seconds(lambda: plant.machine.run(INSTALL.format(wheel=f"/opt/shelf/{packed}"), within_s=300))
    RESULTS.add("installed into /opt/kenpin in", f"{took}, from wheels on the machine")
    began_ns = time.monotonic_ns()
    said = plant.machine.run(f"{SETUP} --bundle /etc/kenpin/cap-a-1.bundle")
    assert f"{EYE}.service: started" in said
    plant.parts_pass()
    RESULTS.add("third part passed after edge setup", f"{(time.monotonic_ns() - began_ns) / SECOND:.1f} s")
    plant.check_purged(started_ns)


def test_a_second_setup_changes_nothing(plant: Plant) -> None:
    before = plant.ask(LINE, "MainPID"), plant.ask(EYE, "MainPID")
    said = plant.machine.run(SETUP).splitlines()
    assert all(words.endswith(": same") for words in said[: -len(LIMITS)])
    assert said[-len(LIMITS) :] == [f"{unit}.service: runs" for unit in (LINE, EYE, OUTBOX, PANEL, METRICS)]
    assert before == (plant.ask(LINE, "MainPID"), plant.ask(EYE, "MainPID"))


def test_members_of_the_group_may_ask_and_others_may_not(plant: Plant) -> None:
    plant.machine.run("useradd --groups kenpin worker && useradd visitor")
    assert "READY" in plant.machine.run(f"su worker -c '/opt/kenpin/bin/edge status {FILE}'")
    code, said = plant.machine.attempt(f"su visitor -c '/opt/kenpin/bin/edge status {FILE}'")
    assert code == 69 and "member" in said


@pytest.mark.parametrize("unit", LIMITS)
def test_the_running_units_are_as_closed_as_they_should_be(plant: Plant, unit: str) -> None:
    told = plant.machine.run(f"systemd-analyze security --no-pager --threshold={LIMITS[unit]} {unit}")
    assert plant.ask(unit, "ActiveState") == "active"
    exposure = re.search(r"Overall exposure level for \S+: (\S+)", told)
    assert exposure is not None
    RESULTS.add(f"exposure of {unit}, 0 is best", f"{exposure[1]} of at most {LIMITS[unit] / 10}")


def test_panel_and_metrics_answer_in_the_machine_and_nothing_listens_to_others(plant: Plant) -> None:
    plant.machine.run(f"echo '{PASSWORD}' | /opt/kenpin/bin/edge panel-user add {FILE} anna --role operator")
    seen = plant.visit("http://127.0.0.1:8080")
    assert seen["state"] == "READY" and seen["without_token"] == 403
    figures = plant.machine.run(f"python3 -c '{FETCH}' http://127.0.0.1:9317/metrics")
    assert 'kenpin_up{station="line-3"} 1.0' in figures
    found = plant.listeners()
    assert set(found) == {"127.0.0.1:8080", "127.0.0.1:9317"}, found
    RESULTS.add("panel and metrics", "answer on the machine; all that listens: " + " and ".join(sorted(found)))


def test_the_panel_is_reached_by_tls_where_its_file_says_so(plant: Plant) -> None:
    before = plant.ask(LINE, "MainPID"), plant.ask(EYE, "MainPID")
    place = plant.machine.root / "etc" / "kenpin"
    certify(place, f"subjectAltName=IP:{OUTSIDE}")
    (place / "line-3.toml").write_text((place / "line-3.toml").read_text().replace("\n[panel]\n", BY_TLS, 1))
    plant.machine.run(f"ip address replace {OUTSIDE}/32 dev lo")
    assert f"systemctl restart {PANEL}" in plant.machine.run(SETUP)
    plant.machine.run(f"systemctl restart {PANEL}")
    eventually(lambda: "0.0.0.0:8443" in plant.listeners(), "it listens", 30)
    seen = plant.visit(*TLS)
    assert seen["state"] == "READY" and seen["cookie"].startswith("__Host-") and "; Secure" in seen["cookie"]
    assert plant.machine.attempt(f"python3 -c '{FETCH}' http://{OUTSIDE}:8443/login")[0] == 1, "not without TLS"
    assert set(plant.listeners()) == {"0.0.0.0:8443", "127.0.0.1:9317"}
    plant.machine.run(f"systemd-analyze security --threshold={LIMITS[PANEL]} {PANEL}")
    assert before == (plant.ask(LINE, "MainPID"), plant.ask(EYE, "MainPID"))
    RESULTS.add("panel by TLS", "on an address of the network, its private key root's alone; eye and line went on")


def test_an_eye_that_stands_still_passes_nothing_and_is_restarted_by_its_watchdog(plant: Plant) -> None:
    restarts = int(plant.ask(EYE, "NRestarts"))
    plant.machine.run(f"systemctl kill --signal=STOP {EYE}")
    stopped_ns = time.monotonic_ns()
    eventually(lambda: int(plant.ask(EYE, "NRestarts")) > restarts, "the watchdog restarts it", 30)
    restarted_ns = time.monotonic_ns()
    undecided_ns = stopped_ns + 2 * round(PACE.travel * MS)
    assert [at_ns for at_ns in plant.openings(undecided_ns) if at_ns < restarted_ns] == []
    plant.parts_pass()
    RESULTS.add(
        "eye stopped (SIGSTOP)", f"restarted after {(restarted_ns - stopped_ns) / SECOND:.1f} s; nothing passed"
    )
    assert "most recent call first" in plant.says(EYE), "where its threads stood is on record"


def test_a_line_that_stands_still_falls_to_rest_and_is_restarted_by_its_watchdog(plant: Plant) -> None:
    restarts = int(plant.ask(LINE, "NRestarts"))
    plant.machine.run(f"systemctl kill --signal=STOP {LINE}")
    stopped_ns = time.monotonic_ns()
    eventually(lambda: not plant.board.is_on(PERMIT), "the permit falls", 10, every_s=0.02)
    fell_ns = time.monotonic_ns()
    eventually(lambda: int(plant.ask(LINE, "NRestarts")) > restarts, "the watchdog restarts it", 30)
    plant.parts_pass()
    plant.check_purged(fell_ns)
    RESULTS.add(
        "line stopped (SIGSTOP)", f"permit off after {(fell_ns - stopped_ns) / SECOND:.1f} s; purged, then READY"
    )


def test_a_crash_loop_ends_with_a_station_that_rejects_and_says_why(plant: Plant) -> None:
    line = plant.ask(LINE, "MainPID")
    plant.machine.run(f"systemctl reset-failed {EYE}")

    def fails() -> bool:
        plant.machine.attempt(f"systemctl kill --signal=KILL --kill-who=main {EYE}")
        return plant.ask(EYE, "ActiveState") == "failed"

    eventually(fails, "systemd gives the eye up", 60, every_s=0.3)
    gave_up_ns = time.monotonic_ns() + 2 * round(PACE.travel * MS)
    time.sleep(5)
    assert plant.openings(gave_up_ns) == []
    assert plant.ask(LINE, "MainPID") == line, "the line goes on"
    assert "Start request repeated too quickly" in plant.says(EYE)
    plant.machine.run(SETUP)
    plant.parts_pass()
    RESULTS.add(
        "eye killed again and again", "given up after 5 starts in 2 min; rejects; started again by edge setup"
    )


def test_a_crash_loop_of_the_line_ends_at_rest_with_its_cause_kept_and_one_command_ends_it(plant: Plant) -> None:
    eye, began_ns = plant.ask(EYE, "MainPID"), time.monotonic_ns()
    plant.machine.run(f"systemctl reset-failed {LINE}")

    def fails() -> bool:
        state = plant.ask(LINE, "ActiveState")
        if state == "active":  # its outputs are armed
            plant.machine.attempt(f"systemctl kill --signal=SEGV --kill-who=main {LINE}")
        return state == "failed"

    eventually(fails, "systemd gives the line up", 110, every_s=0.2)
    gave_up_ns = time.monotonic_ns()
    plant.check_crashes_purged(began_ns)
    eventually(lambda: not (plant.board.is_on(PERMIT) or plant.board.is_on(GATE)), "both relays are at rest", 5)
    time.sleep(5)
    assert plant.openings(gave_up_ns) == [] and not plant.board.levels(PERMIT, gave_up_ns + 2 * SECOND)
    assert plant.ask(EYE, "MainPID") == eye, "the eye goes on"
    plant.check_told_of_line(starts=10)
    plant.machine.run(SETUP)
    started_ns = time.monotonic_ns()
    plant.parts_pass()
    plant.check_purged(gave_up_ns)
    assert plant.ask(EYE, "MainPID") == eye and plant.ask(LINE, "NRestarts") == "0"
    took = (time.monotonic_ns() - started_ns) / SECOND
    RESULTS.add(
        "line crashing again and again (SIGSEGV)",
        f"given up after 10 starts in 2 min; permit off, gate at rest; edge status, panel, edge doctor and log "
        f"say so; third part passed {took:.1f} s after edge setup",
    )


def test_a_bundle_that_the_machine_scores_otherwise_is_refused(plant: Plant) -> None:
    before = plant.active()
    code, said = plant.install(4, student(SPEC), stated=0.9)
    assert code == 65 and "is not accepted on this device: ok.png scores" in said, said
    assert plant.active() == before
    RESULTS.add("edge install of a bundle with other scores", "65, refused; the active one stays")


def test_a_new_bundle_is_accepted_here_watched_on_the_line_and_kept(plant: Plant) -> None:
    line = plant.ask(LINE, "MainPID")
    code, said = plant.install(4, student(SPEC), stated=GREY / 255)
    assert code == 0 and "accepted on this device: FP32, 1 pictures" in said, said
    assert "watched, else back to 3" in plant.active()
    plant.machine.run(f"systemctl restart {EYE}")
    took = seconds(lambda: eventually(lambda: "watched" not in plant.active(), "it is kept", 90, every_s=0.5))
    assert re.search(r"cap-a\W+4\b", plant.active())
    plant.parts_pass()
    assert plant.ask(LINE, "MainPID") == line
    RESULTS.add("a new bundle", f"accepted, taken up by a restart of the eye, kept {took} later; the line went on")


def test_an_eye_goes_back_to_a_bundle_and_forward_again_and_is_started_again(plant: Plant) -> None:
    """As an engineer at the panel asks for it, under all that the eye's unit forbids."""
    line, restarts = plant.ask(LINE, "MainPID"), int(plant.ask(EYE, "NRestarts"))
    before = plant.status()["versions"]["cap-a"]
    newer = before + 1
    bundle(plant.machine.root / "etc" / "kenpin" / "newer.bundle", version=newer)
    plant.machine.run(f"/opt/kenpin/bin/edge install /etc/kenpin/newer.bundle --station {FILE}")
    for version in (before, newer):
        plant.control(f"change_bundle('cap-a', {version}, 'tried on the line', 'erna')")
        words = f"version {version} is active when the eye starts again"
        eventually(lambda words=words: words in plant.status()["bundle"], words, 60, 0.5)  # type: ignore[misc]
    assert plant.status()["versions"] == {"cap-a": before}
    eventually(lambda: plant.status()["can_start_again"], "a minute has passed", 90, 1.0)
    began_ns = time.monotonic_ns()
    plant.control("start_again('the newer one is to judge', 'erna')")
    eventually(lambda: int(plant.ask(EYE, "NRestarts")) == restarts + 1, "systemd starts it", 60)
    plant.parts_pass()
    took = (time.monotonic_ns() - began_ns) / SECOND
    assert plant.status()["versions"] == {"cap-a": newer} and plant.ask(LINE, "MainPID") == line
    assert "Failed with result" not in plant.says(EYE).rpartition("start again: by")[2]
    RESULTS.add(
        "back to the bundle before, forward again, eye started again",
        f"by one command each; parts pass after {took:.1f} s",
    )


def test_a_bundle_that_fails_on_the_line_is_left_by_the_station_itself(plant: Plant) -> None:
    eventually(lambda: "watched" not in plant.active(), "the one before is kept", 90, every_s=0.5)
    code, said = plant.install(6, blind_to_bright(student(SPEC), MIDDLE), stated=GREY / 255)
    assert code == 0 and "accepted on this device" in said, said
    plant.machine.run(f"systemctl restart {EYE}")
    began_ns = time.monotonic_ns()
    eventually(lambda: "version 6 left" in plant.active(), "it goes back", 90, every_s=0.5)
    assert re.search(r"cap-a\W+5\b", plant.active())
    plant.parts_pass()
    assert plant.ask(EYE, "NRestarts") == "1", "systemd started it again"
    assert "cap-a is back at version 5: version 6 left 3 of its first" in plant.says(EYE)
    RESULTS.add(
        "a bundle that gives no score on the line",
        f"left by itself; third part passed {(time.monotonic_ns() - began_ns) / SECOND:.1f} s after its start",
    )


def upgrade(plant: Plant, version: str, protocol: int = 0) -> str:
    """As docs/install.md says it; what runs goes on. Then a new eye; how long that took."""
    line, eye = plant.ask(LINE, "MainPID"), plant.ask(EYE, "MainPID")
    fresh = wheel(plant.shelf / version, version, protocol)
    pip = f"/opt/kenpin/bin/pip install --quiet /opt/shelf/{version}/{fresh.name}"
    plant.machine.run(f"{pip} && {SETUP}", within_s=300)
    plant.parts_pass()
    assert plant.ask(EYE, "MainPID") == eye
    plant.machine.run(f"systemctl reset-failed {EYE}")  # the tests before have started it five times in two minutes
    took = seconds(lambda: plant.machine.run(f"systemctl restart {EYE}"))
    assert plant.ask(LINE, "MainPID") == line
    assert version in plant.machine.run("/opt/kenpin/bin/edge --version")
    return took


def test_an_upgrade_leaves_the_line_running(plant: Plant) -> None:
    """A line of the version before beside a newer eye: both speak one version of the protocol."""
    line = plant.ask(LINE, "MainPID")
    took = upgrade(plant, "99.0")
    plant.parts_pass()
    assert plant.ask(LINE, "MainPID") == line
    RESULTS.add("upgraded", f"line went on beside the newer eye; restart of the eye took {took}")


def test_an_eye_of_another_protocol_passes_nothing_until_the_line_is_started_again(plant: Plant) -> None:
    line = plant.ask(LINE, "MainPID")
    upgrade(plant, "100.0", protocol=VERSION + 1)
    command = f"systemctl restart {LINE}"
    words = (
        f"the line process {line} speaks version {VERSION} of the eye-line protocol, this eye version {VERSION + 1}; "
        f"when the belt may stand, {command}"
    )
    eventually(lambda: words in plant.says(EYE), "the eye says so", 30, 0.5)
    refused_ns = time.monotonic_ns() + 2 * round(PACE.travel * MS)
    time.sleep(5)
    assert plant.openings(refused_ns) == [] and not plant.board.is_on(PERMIT)
    assert (plant.status()["level"], plant.status()["cause"]) == ("NOT_READY", words)
    assert plant.ask(LINE, "MainPID") == line and plant.ask(EYE, "NRestarts") == "0"
    assert plant.says(EYE).count(words) == 1, "once"
    began_ns = time.monotonic_ns()
    plant.machine.run(command)
    plant.parts_pass()
    plant.check_purged(began_ns)
    RESULTS.add(
        "upgraded to another eye-line protocol",
        f"nothing passed, permit off, one line of the log named the remedy; third part passed "
        f"{(time.monotonic_ns() - began_ns) / SECOND:.1f} s after it",
    )


def test_after_a_reboot_it_purges_and_is_ready(plant: Plant) -> None:
    began_ns = time.monotonic_ns()
    plant.machine.reboot()
    plant.parts_pass()
    RESULTS.add(
        "third part passed after a reboot", f"{(time.monotonic_ns() - began_ns) / SECOND:.1f} s, purged first"
    )
    fell_ns = next(at_ns for at_ns, on in plant.board.levels(PERMIT, began_ns) if not on)
    plant.check_purged(fell_ns)
    assert len(plant.machine.run("journalctl --list-boots --no-pager").splitlines()) >= 2, "the log was kept"
    plant.machine.run(f"/opt/kenpin/bin/edge journal verify {FILE}")
    assert [plant.ask(unit, "ActiveState") for unit in LIMITS] == ["active"] * len(LIMITS)


def test_removed_it_leaves_the_records_and_nothing_else(plant: Plant) -> None:
    plant.machine.run(f"/opt/kenpin/bin/edge setup --remove {FILE}")
    assert not plant.board.is_on(PERMIT) and not plant.board.is_on(GATE)
    left = plant.machine.run("find /etc -name '*kenpin*'").split()
    assert left == ["/etc/kenpin"]
    assert plant.machine.run("ls /var/lib/kenpin/journal/*.sqlite")
