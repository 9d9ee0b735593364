"""The first cause stays, the gravest state shows, and the watchdog is fed by work only."""

import socket
from pathlib import Path

from edge.clock import SECOND, ManualClock
from edge.health import Health, Level, Notifier, Progress, Standing


def test_a_station_without_causes_is_ready() -> None:
    assert Health().standing == Standing(Level.READY, "")


def test_the_first_cause_is_kept_while_others_follow() -> None:
    health = Health()
    health.report("camera top", Level.NOT_READY, "camera top is away")
    health.report("line", Level.NOT_READY, "the line is away")
    health.report("camera top", Level.NOT_READY, "camera top is still away")
    assert health.standing == Standing(Level.NOT_READY, "camera top is away")
    health.clear("camera top")
    assert health.standing == Standing(Level.NOT_READY, "the line is away")
    health.clear("line")
    assert health.is_ready


def test_another_cause_of_the_same_source_is_told_anew_without_being_well_in_between() -> None:
    told: list[Standing] = []
    health = Health(told.append)
    health.report("plc", Level.NOT_READY, "no handshake", anew=True)
    health.report("plc", Level.NOT_READY, "unknown recipe", anew=True)
    assert told == [Standing(Level.NOT_READY, "no handshake"), Standing(Level.NOT_READY, "unknown recipe")]
    assert health.standing.source == "plc"


def test_the_gravest_cause_is_the_state() -> None:
    health = Health()
    health.report("line", Level.STOPPED, "10 rejects in a row")
    health.report("journal", Level.FAULT, "disk full")
    assert health.standing == Standing(Level.FAULT, "disk full")
    health.report("run", Level.STOPPING, "asked to stop")
    assert health.standing.level is Level.STOPPING


def test_a_fault_does_not_heal_by_itself() -> None:
    health = Health()
    health.report("journal", Level.FAULT, "disk full")
    health.clear("journal")
    assert health.standing == Standing(Level.FAULT, "disk full")


def test_changes_are_told_once() -> None:
    told: list[Standing] = []
    health = Health(told.append)
    health.report("line", Level.NOT_READY, "away")
    health.report("line", Level.NOT_READY, "away again")
    health.clear("line")
    health.clear("line")
    assert told == [Standing(Level.NOT_READY, "away"), Standing(Level.READY, "")]


def test_a_thread_that_stops_beating_is_named() -> None:
    clock = ManualClock()
    progress = Progress(clock, {"inference": 2 * SECOND, "line": SECOND})
    clock.advance(SECOND)
    progress.beat("line")
    assert progress.stalled() == []
    clock.advance(SECOND + 1)
    assert progress.stalled() == ["inference", "line"]
    progress.beat("inference")
    assert progress.stalled() == ["line"]


def test_systemd_hears_ready_status_and_watchdog_as_datagrams(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(str(tmp_path / "notify"))
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"}
        with Notifier.from_environment(environment) as notifier:
            notifier.ready()
            notifier.status("READY\nall is well")
            for at_ns in (0, SECOND // 2, SECOND):
                notifier.alive(at_ns)
            notifier.stopping()
        heard = [service.recv(200) for _ in range(5)]
    fed = [b"WATCHDOG=1"] * 2  # at 0 and at 1 s: half a second later would be more often than every quarter of 3 s
    assert heard == [b"READY=1", b"STATUS=READY all is well", *fed, b"STOPPING=1"]


def test_an_abstract_notify_socket_is_reached_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind("\0kenpin-test-notify")
        with Notifier("@kenpin-test-notify", 3 * SECOND) as notifier:
            notifier.alive(0)
        assert service.recv(200) == b"WATCHDOG=1"


def test_a_watchdog_meant_for_another_process_is_not_ours(tmp_path: Path) -> None:
    environment = {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}
    assert not Notifier.from_environment(environment, pid=77).is_hungry(0)


def test_without_systemd_or_with_a_dead_one_nothing_happens(tmp_path: Path) -> None:
    Notifier.from_environment({}).ready()
    with Notifier(str(tmp_path / "nobody"), 3 * SECOND) as notifier:
        notifier.alive(0)
