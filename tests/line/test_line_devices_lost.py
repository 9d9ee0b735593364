"""The real line process when its devices fail: it rejects, drops the permit, comes back, and purges first."""

from __future__ import annotations

import time
from pathlib import Path

from edge.clock import MS
from edge.line.messages import LineState
from edge.records import GateOutcome, Kind, Reason
from edge.station import load
from tests.line.lines import (
    Eye,
    LineProcess,
    check_gate,
    eye_of,
    level_at,
    modbus_bench,
    station_file,
)
from tests.peers import ModbusServer, PtyPair, RelayBoard, eventually


def pass_by(server: ModbusServer, eye: Eye) -> None:
    """A part covers the photo-eye for 60 ms."""
    server.set_input(0, True)
    eye.run_for(0.06)
    server.set_input(0, False)
    eye.run_for(0.12)


def test_a_photo_eye_that_goes_silent_stops_the_belt_and_its_zone_is_purged_when_it_is_back(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, wired_trigger=True) as bench, ModbusServer() as photo_eye:
        path = bench.station.source
        assert bench.modbus is not None
        path.write_text(
            path.read_text().replace(f"port = {bench.modbus.port}\ninput", f"port = {photo_eye.port}\ninput")
        )
        station = load(path)
        with LineProcess(station), eye_of(station) as eye:
            eye.judge = lambda part: Kind.PASS
            eye.until(lambda: eye.state() is LineState.READY, "the line is ready")
            pass_by(photo_eye, eye)
            eye.until(lambda: eye.released() == 1, "a part is released")
            photo_eye.freeze()
            eye.until(lambda: eye.state() is LineState.FAULT, "the trigger is lost")
            assert "trigger lost" in eye.states[-1].words()
            eventually(lambda: not level_at(bench.permit(), time.monotonic_ns()), "the permit drops")
            photo_eye.thaw()
            eye.until(lambda: eye.state() is LineState.PURGING, "the trigger is back")
            pass_by(photo_eye, eye)
            eye.until(lambda: eye.state() is LineState.READY, "the zone is known again")
            pass_by(photo_eye, eye)
            eye.until(lambda: len(eye.events) == 3, "three parts ended")
        before, purged, after = eye.events
        assert before.outcome is GateOutcome.RELEASED
        assert (purged.outcome, purged.reason) == (GateOutcome.FIRED, Reason.PURGE)
        assert after.verdict is Kind.PASS and after.reason is not Reason.PURGE
        check_gate(bench, eye.events)


def test_a_gate_that_stops_answering_is_a_fault_that_a_person_must_acknowledge(tmp_path: Path) -> None:
    with modbus_bench(tmp_path) as bench, LineProcess(bench.station), eye_of(bench.station) as eye:
        eye.until(lambda: eye.released() >= 1, "parts pass")
        assert bench.modbus is not None
        bench.modbus.misbehave("silent", 0)
        eye.until(lambda: eye.state() is LineState.FAULT, "the output fails")
        first = eye.states[-1].words()
        failed_ns = time.monotonic_ns()
        eye.run_for(0.5)
        bench.modbus.behave()
        device = bench.modbus
        eventually(lambda: not device.coil(0) and not device.coil(1), "both rest")
        eye.run_for(0.5)
        assert eye.state() is LineState.FAULT and eye.states[-1].words() == first
        assert not [event for event in eye.events if event.born_ns > failed_ns and event.part_id in passed(eye)]
        count = eye.released()
        while eye.state() is LineState.FAULT:  # the retry after a pause may still be due
            eye.link.clear_stop()
            eye.run_for(0.2)
        eye.until(lambda: eye.released() > count, "parts pass again")
        check_gate(bench, [event for event in eye.events if event.outcome is GateOutcome.RELEASED])


def passed(eye: Eye) -> set[int]:
    return {event.part_id for event in eye.events if event.outcome is GateOutcome.RELEASED}


def test_a_relay_board_that_is_unplugged_comes_back_at_rest(tmp_path: Path) -> None:
    with PtyPair() as pty:
        relay = f'kind = "serial_bytes"\nport = "{pty.device}"\nchannel = {{}}\n'
        relay += "external_watchdog = true\nheartbeat_ms = 100"
        station = station_file(tmp_path, gate=relay.format(1), permit=relay.format(2))
        with RelayBoard(pty.peer) as board, LineProcess(station) as line, eye_of(station) as eye:
            eye.until(lambda: eye.released() >= 1, "parts pass")
            assert board.level(2)
            pty.unplug()
            eye.until(lambda: eye.state() is LineState.FAULT, "the board is lost")
            pty.plug()
            with RelayBoard(pty.peer) as again:
                eventually(lambda: len(again.commands) >= 2, "the line opens the board again")
                assert [command.on for command in again.commands[:2]] == [False, False]
                count = eye.released()
                while eye.state() is LineState.FAULT:
                    eye.link.clear_stop()
                    eye.run_for(0.2)
                eye.until(lambda: eye.released() > count, "parts pass again")
                assert again.level(2)
                line.process.terminate()
                assert line.ends() == 0
                again.settle()
                assert not again.level(1) and not again.level(2)


def test_births_from_the_eye_are_booked_or_refused(tmp_path: Path) -> None:
    with (
        modbus_bench(tmp_path, trigger='kind = "camera"\ncamera = "top"') as bench,
        LineProcess(bench.station),
        eye_of(bench.station) as eye,
    ):
        eye.judge = lambda part: Kind.PASS
        eye.until(lambda: eye.state() is LineState.READY, "the line is ready")
        now_ns = time.monotonic_ns()
        eye.link.ask_birth(11, now_ns, 1 * MS, 7)
        eye.link.ask_birth(12, now_ns - 400 * MS, 0, 7)  # it has been at the gate
        eye.link.ask_birth(13, now_ns + 900 * MS, 0, 7)  # it is not there yet
        eye.until(lambda: len(eye.parts) == 1 and len(eye.refused) == 2, "one is born, two are refused")
        part = eye.parts[0]
        assert (part.token, part.born_ns, part.born_err_ns, part.recipe) == (11, now_ns, 1 * MS, 7)
        assert sorted(eye.refused) == [12, 13]
        eye.until(lambda: len(eye.events) == 1, "the part ended")
        assert eye.events[0].outcome is GateOutcome.RELEASED and eye.events[0].recipe == 7
        check_gate(bench, eye.events)


def test_a_shadowing_line_touches_no_output(tmp_path: Path) -> None:
    with (
        modbus_bench(tmp_path, mode="shadow") as bench,
        LineProcess(bench.station),
        eye_of(bench.station) as eye,
    ):
        eye.until(lambda: eye.released() >= 2, "parts would have passed")
        assert bench.modbus is not None
        assert (bench.modbus.requests(), bench.modbus.clients()) == (0, 0)
        assert all(event.shadow for event in eye.events)
        assert {event.reason for event in eye.events} <= {
            Reason.NONE,
            Reason.DEFECT,
            Reason.PURGE,
            Reason.NO_VERDICT,
        }
