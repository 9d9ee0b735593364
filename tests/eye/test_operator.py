"""A person at a running station, by the commands they type: real processes, real peers that log what the gate did.

The peer is a process of its own: starting a command holds this one's interpreter until the command runs.
"""

from __future__ import annotations

import json
import random
import re
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from edge.clock import MS
from edge.control import SOCKET, Control, Status
from edge.errors import ControlError
from edge.journal.files import existing_days
from edge.journal.lots import lots_in
from edge.journal.reading import read_notes
from edge.journal.rows import PartRow
from edge.records import GateOutcome, Kind, Reason
from tests.eye.stations import (
    BELT,
    BELT_TRIGGER,
    BRIGHT,
    DARK,
    Bench,
    EdgeProcess,
    draw,
    modbus_bench,
    parts_reach,
    relay_bench,
    show,
)
from tests.line.lines import end_child
from tests.peers import eventually


def told(*arguments: str | Path) -> tuple[int, str]:
    """Exit code and words of `edge ...`."""
    with EdgeProcess(*arguments) as edge:
        code = edge.ends()
    assert "Traceback" not in edge.output
    return code, edge.output


def status_of(bench: Bench) -> Status | None:
    with suppress(ControlError):
        return Control(bench.station).status()
    return None


def becomes(bench: Bench, holds: Callable[[Status], bool], what: str, within_s: float = 60.0) -> Status:
    """The first status that fulfils this."""
    until, status = time.monotonic() + within_s, status_of(bench)
    while status is None or not holds(status):
        if time.monotonic() > until:
            pytest.fail(f"not within {within_s:g} s: {what}; the station: {status}")
        time.sleep(0.02)
        status = status_of(bench)
    return status


def words_of(bench: Bench, kind: str) -> list[str]:
    return [note.words for note in read_notes(bench.folder / "journal") if note.kind == kind]


def released(rows: list[PartRow]) -> list[PartRow]:
    return [row for row in rows if row.outcome and row.outcome.outcome is GateOutcome.RELEASED]


def purged_first(rows: list[PartRow]) -> bool:
    """Whether the parts before the first release were rejected, some of them because the zone was not known."""
    first = next((index for index, row in enumerate(rows) if row in released(rows)), len(rows))
    reasons = {row.outcome.reason for row in rows[:first] if row.outcome}
    return Reason.PURGE in reasons or first == len(rows)


def test_a_stop_waits_for_a_person_and_the_zone_is_purged_after_the_acknowledgement(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, loop=True, consecutive_rejects=2) as bench:
        draw(tmp_path, [DARK] * 4)
        report = tmp_path / "report.json"
        with EdgeProcess("run", bench.file, "--report", report) as edge:
            becomes(bench, lambda status: status.outcomes["released"] >= 2, "good parts pass")
            show(tmp_path, BRIGHT)
            becomes(bench, lambda status: status.level == "STOPPED", "the limit stops the line")
            stopped = becomes(bench, lambda status: not status.permit, "the belt is stopped")
            assert stopped.level == "STOPPED" and stopped.cause == "2 rejects in a row" and stopped.can_acknowledge
            stopped_ns, passed = time.monotonic_ns(), len(released(bench.rows()))
            later = becomes(bench, lambda status: status.parts >= stopped.parts + 8, "more parts are born")
            assert later.level == "STOPPED" and edge.process.poll() is None
            code, said = told("status", bench.file)
            assert code == 0 and "STOPPED 2 rejects in a row" in said and "edge ack" in said
            show(tmp_path, DARK)
            # none that is judged after the acknowledgement may be one of before: it would stop the line again
            becomes(bench, lambda status: status.parts >= later.parts + 12, "good parts are born")
            asked_ns = time.monotonic_ns()
            code, said = told("ack", bench.file, "--why", "nozzle cleaned", "--who", "Anna Berg")
            assert code == 0 and "acknowledged: 2 rejects in a row" in said and "as 'Anna Berg'" in said
            becomes(bench, lambda status: status.level == "READY", "the line goes on")
            becomes(bench, lambda status: status.outcomes["released"] > passed, "parts pass again")
            show(tmp_path, BRIGHT)
            becomes(bench, lambda status: status.level == "STOPPED", "the limit stops the line again")
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 75, edge.output
        rows = bench.rows()
        bench.check_gate(rows)
        between = [row for row in rows if row.outcome and stopped_ns < row.outcome.born_ns < asked_ns]
        assert len(between) >= 8 and not released(between)
        assert purged_first([row for row in rows if row.outcome and row.outcome.born_ns > asked_ns])
        (note,) = words_of(bench, "acknowledge")
        assert re.fullmatch(r"'2 rejects in a row' by \w+ \(uid \d+\) as 'Anna Berg': nozzle cleaned", note)
        values = json.loads(report.read_text())
        assert values["exit_code"] == 75 and "2 rejects in a row" in values["cause"]
        assert not bench.permit()[-1][1] and values["journal"]["lost"] == 0


def line_pid(bench: Bench) -> int:
    """The line that holds the lock, 0 while none does for sure."""
    return int((bench.folder / "state" / "line.lock").read_text() or 0)


def test_neither_a_crash_nor_a_restart_ends_a_stop(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, loop=True, consecutive_rejects=2) as bench:
        draw(tmp_path, [BRIGHT] * 4)

        def is_stopped() -> None:
            stopped = becomes(bench, lambda status: status.level == "STOPPED", "the line is stopped")
            assert stopped.cause == "2 rejects in a row"

        with EdgeProcess("run", bench.file) as edge:
            is_stopped()
            show(tmp_path, DARK)
            killed = line_pid(bench)
            end_child(bench.station)
            eventually(lambda: line_pid(bench) not in (0, killed), "another line begins")
            is_stopped()
            edge.signal(signal.SIGKILL)
            end_child(bench.station)
            edge.ends()
        with EdgeProcess("run", bench.file) as edge:
            is_stopped()
            assert not released(bench.rows())
            Control(bench.station).acknowledge("looked at it")
            becomes(bench, lambda status: status.outcomes["released"] > 0, "parts pass again")
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output


def test_an_output_that_failed_is_acknowledged_after_its_repair(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER) as bench, EdgeProcess("run", bench.file) as edge:
        assert bench.modbus is not None
        becomes(bench, lambda status: status.outcomes["released"] >= 2, "parts pass")
        bench.modbus.misbehave("silent")
        fault = becomes(bench, lambda status: status.line == "FAULT", "the output fails")
        bench.modbus.behave()
        passed, until = fault.outcomes["released"], time.monotonic() + 20
        while (status := status_of(bench)) is None or status.line == "FAULT":
            assert time.monotonic() < until
            told("ack", bench.file, "--why", "box has power again")  # it may still be on its way to rest
        becomes(bench, lambda status: status.outcomes["released"] > passed, "parts pass again")
        edge.signal(signal.SIGTERM)
        assert edge.ends() == 0, edge.output
        assert "box has power again" in words_of(bench, "acknowledge")[0]


def test_a_bypass_lets_parts_pass_for_its_time_and_no_longer(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, loop=True, bypass_max_min=1) as bench:
        draw(tmp_path, [BRIGHT] * 4)
        report = tmp_path / "report.json"
        with EdgeProcess("run", bench.file, "--report", report) as edge:
            becomes(bench, lambda status: status.level == "READY" and status.verdicts["reject"] >= 2, "it inspects")
            code, said = told("status", bench.file, "--json")
            assert code == 0 and json.loads(said)["level"] == "READY" and json.loads(said)["product"] == "cap-a"
            code, said = told("bypass", bench.file, "--for", "2m", "--why", "too long")
            assert code == 69 and "1 min at most" in said
            code, said = told("bypass", bench.file, "--for", "4s", "--why", "test pieces")
            assert code == 0 and "4 s" in said and "BYPASSED: parts pass uninspected until " in said
            status = becomes(bench, lambda status: status.bypassed >= 3, "parts pass uninspected")
            assert status.level == "BYPASSED"
            ended = becomes(bench, lambda status: status.level == "READY", "the bypass ends by itself")
            becomes(bench, lambda status: status.parts >= ended.parts + 8, "the station inspects again")
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
        rows = bench.rows()
        bypassed = [row for row in rows if row.outcome and row.outcome.reason is Reason.BYPASS]
        assert released(rows) == bypassed and len(bypassed) == json.loads(report.read_text())["gate"]["bypassed"]
        born = [row.outcome.born_ns for row in bypassed if row.outcome]
        assert born[-1] - born[0] <= 4_000 * MS
        assert all(row.outcome and row.outcome.outcome is GateOutcome.FIRED for row in rows[-4:])
        began, over = words_of(bench, "bypass")
        assert began.startswith("for 4 s by ") and began.endswith(": test pieces") and over == "over"
        kinds = [(note.kind, note.words) for note in read_notes(tmp_path / "journal")]
        assert kinds.index(("bypass", began)) < kinds.index(("line", "BYPASSED: no fault")), "recorded, then done"


def test_sigterm_in_a_bypass_finishes_the_parts_in_the_zone(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER, bypass_max_min=1) as bench:
        with EdgeProcess("run", bench.file) as edge:
            becomes(bench, lambda status: status.outcomes["released"] >= 2, "parts pass")
            Control(bench.station).bypass(30, "test pieces")
            becomes(bench, lambda status: status.bypassed >= 2, "parts pass uninspected")
            asked_ns = edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
        rows = bench.rows()
        assert all(row.outcome is not None for row in rows)
        later = [row for row in rows if row.outcome and row.outcome.born_ns > asked_ns + 500 * MS]
        assert not released(later) and not bench.permit()[-1][1]
        assert words_of(bench, "line")[-2].startswith("STOPPING")


def test_parts_are_of_the_lot_that_was_named_before_they_were_born_also_after_a_crash(tmp_path: Path) -> None:
    with relay_bench(tmp_path, loop=True) as bench:
        draw(tmp_path, [DARK] * 4)
        with EdgeProcess("run", bench.file) as edge:
            becomes(bench, lambda status: status.outcomes["released"] >= 2, "parts pass")
            asked_ns = time.monotonic_ns()
            code, said = told("lot", bench.file, "=4712", "--who", "Anna Berg")
            named_ns = time.monotonic_ns()
            assert code == 0 and "are of lot '=4712'" in said and "as 'Anna Berg'" in said
            seen = becomes(bench, lambda status: status.lot == "=4712", "the status tells it")
            becomes(bench, lambda status: status.parts >= seen.parts + 4, "parts of the lot")
            edge.signal(signal.SIGKILL)
            edge.ends()
        with EdgeProcess("run", bench.file):
            again = becomes(bench, lambda status: status.parts >= 4, "the next run goes on with it")
            assert again.lot == "=4712"
        lots = lots_in(existing_days(bench.folder / "journal"))
        born = {row.part_id: row.outcome.born_ns for row in bench.rows() if row.outcome}
        assert {lots.lot_of(part) for part, at_ns in born.items() if at_ns < asked_ns - 100 * MS} == {""}
        assert {lots.lot_of(part) for part, at_ns in born.items() if at_ns > named_ns} == {"=4712"}


def test_a_bypass_ends_with_the_eye_that_was_asked_for_it(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER, bypass_max_min=1) as bench:
        with EdgeProcess("run", bench.file) as edge:
            becomes(bench, lambda status: status.outcomes["released"] >= 2, "parts pass")
            Control(bench.station).bypass(30, "test pieces")
            becomes(bench, lambda status: status.bypassed >= 2, "parts pass uninspected")
            edge.signal(signal.SIGKILL)
            edge.ends()
            later_ns = time.monotonic_ns() + 100 * MS  # the line has heard of it
            eventually(lambda: time.monotonic_ns() > later_ns + 600 * MS, "six more parts are born")
        with EdgeProcess("run", bench.file) as edge:
            status = becomes(bench, lambda status: status.level == "READY", "the next eye inspects")
            assert status.bypass_left_s == 0
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
        rows = bench.rows()
        orphans = [row for row in rows if row.outcome and row.decided is None and row.outcome.born_ns > later_ns]
        assert orphans and not released(orphans)


def test_an_eye_and_line_that_crash_again_and_again_purge_before_they_release(tmp_path: Path) -> None:
    moments = random.Random(38)
    with modbus_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER) as bench:
        for _ in range(3):
            with EdgeProcess("run", bench.file) as edge:
                becomes(bench, lambda status: status.line in ("PURGING", "READY"), "the line is up")
                time.sleep(moments.uniform(0, 0.8))
                edge.signal(signal.SIGKILL)
                end_child(bench.station)
                edge.ends()
        with EdgeProcess("run", bench.file) as edge:
            becomes(bench, lambda status: status.outcomes["released"] >= 3, "it inspects in the end")
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
        rows = [row for row in bench.rows() if row.outcome and row.outcome.reason is not Reason.LINE_LOST]
        sessions = {row.part_id >> 32 for row in rows}
        assert len(sessions) >= 2
        for session in sessions:
            assert purged_first([row for row in rows if row.part_id >> 32 == session])
        for row in released(rows):
            assert row.decided is not None and row.decided.verdict.kind is Kind.PASS
        bench.check_gate(rows)


def test_garbage_on_the_control_socket_moves_no_gate(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER) as bench:
        report = tmp_path / "report.json"
        with EdgeProcess("run", bench.file, "--report", report) as edge:
            parts_reach(bench, 6)
            path = str(bench.station.station.run_dir / SOCKET)
            until, sent = time.monotonic() + 2, 0
            while time.monotonic() < until:
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer, suppress(OSError):
                    peer.settimeout(0.2)
                    peer.connect(path)
                    peer.send(random.Random(sent).randbytes(40))
                    sent += 1
                time.sleep(0.005)
            status = becomes(bench, lambda status: status.malformed > 0, "the garbage is counted")
            assert status.malformed <= sent
            becomes(bench, lambda status: status.verdicts["pass"] >= 10, "parts pass on")
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
        values = json.loads(report.read_text())
        assert values["gate"]["late"] == 0
        bench.check_gate(bench.rows())


def test_commands_say_what_they_need(tmp_path: Path) -> None:
    with modbus_bench(tmp_path) as bench:
        code, said = told("ack", bench.file, "--why", "x")
        assert code == 69 and "no station answers" in said and "edge run" in said
        assert told("ack", bench.file)[0] == 2, "a reason is asked for"
        for both in ([], ["--end", "--for", "1m"]):
            code, said = told("bypass", bench.file, "--why", "x", *both)
            assert code == 78 and "either --for" in said
