"""The real line process with trigger, gate and permit on one serial bus; and a second one that wants the same port."""

from __future__ import annotations

import time
from pathlib import Path

from edge.line.messages import LineState
from edge.records import Kind
from edge.station import Station
from tests.line.lines import Eye, LineProcess, eye_of, station_file
from tests.peers import ModbusServer, PtyPair, eventually, punctual

GATE, PERMIT, EYE = 0, 1, 0


def on_the_bus(folder: Path, pty: PtyPair) -> Station:
    """A pseudo-terminal of a busy machine may take long to pass bytes on: nothing here depends on how long."""
    folder.mkdir(exist_ok=True)
    unit = f'kind = "modbus_rtu"\nport = "{pty.device}"\nbaud = 115200\ntimeout_ms = 1500\n'
    guarded = "external_watchdog = true\nheartbeat_ms = 300\nowner_register = 9\n"
    return station_file(
        folder,
        trigger=f"{unit}input = {EYE}\npoll_ms = 40",
        gate=f"{unit}coil = {GATE}\n{guarded}watchdog_register = 8\nwatchdog_value = 1000",
        permit=f"{unit}coil = {PERMIT}\n{guarded}",
    )


def pass_by(server: ModbusServer, eye: Eye) -> None:
    server.set_input(EYE, True)
    eye.run_for(0.12)
    server.set_input(EYE, False)
    eye.run_for(0.12)


def ready(eye: Eye) -> None:
    """A late poll purges the zone again, so ask until it is ready, and a person acknowledges what stops it."""
    until = time.monotonic() + 60
    while eye.state() is not LineState.READY and time.monotonic() < until:
        if eye.state() is LineState.FAULT:
            eye.link.clear_stop()
        eye.run_for(0.2)
    assert eye.state() is LineState.READY, eye.states[-3:]


def released(server: ModbusServer, eye: Eye) -> None:
    """Parts pass until one is released."""
    before, until = eye.released(), time.monotonic() + 60
    while eye.released() == before and time.monotonic() < until:
        ready(eye)
        pass_by(server, eye)
        eye.run_for(0.5)
    assert eye.released() > before, eye.events[-3:]


def test_one_bus_carries_trigger_gate_and_permit_and_comes_back_when_it_is_plugged_in_again(tmp_path: Path) -> None:
    with punctual(), PtyPair() as pty, ModbusServer(pty.peer) as server:
        station = on_the_bus(tmp_path, pty)
        with LineProcess(station), eye_of(station) as eye:
            eye.judge = lambda part: Kind.PASS
            ready(eye)
            assert server.coil(PERMIT) is True and server.register(8) == 1_000 and server.register(9) != 0
            released(server, eye)
            assert {edge.address for edge in server.coil_log()} == {GATE, PERMIT}
            pty.unplug()
            server.stop()
            eye.until(lambda: eye.state() is LineState.FAULT, "the bus is lost")
            pty.plug()
            server.start()
            ready(eye)
            assert server.coil(PERMIT) is True and server.register(8) == 1_000
            released(server, eye)


def test_a_second_station_that_names_the_same_port_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with punctual(), PtyPair() as pty, ModbusServer(pty.peer) as server:
        first, second = on_the_bus(tmp_path / "first", pty), on_the_bus(tmp_path / "second", pty)
        with LineProcess(first), eye_of(first) as eye:
            eye.judge = lambda part: Kind.PASS
            ready(eye)
            with LineProcess(second) as intruder, eye_of(second) as other:
                other.run_for(1.0)
                eventually(lambda: "is in use by another process" in intruder.words, "it says why")
                assert other.state() is not LineState.READY
                released(server, eye)
