"""The real line process on real peers: what it does when it, or its eye, is killed, stopped or told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge import line_link
from edge.clock import MS, SECOND, SystemClock
from edge.errors import ConfigError, DeviceError
from edge.line import messages
from edge.line.messages import AckStatus, LineState
from edge.line_link import LineLink
from edge.line_starter import Starter
from edge.records import GateOutcome, Kind, Reason, RingPlace
from edge.station import load
from tests.line.lines import (
    BENCHES,
    Bench,
    Eye,
    EyeProcess,
    LineProcess,
    check_gate,
    end_child,
    eye_of,
    level_at,
    modbus_bench,
    outcomes_reach,
    relay_bench,
    station_file,
)
from tests.peers import eventually


@pytest.fixture(params=sorted(BENCHES))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with BENCHES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def coils(tmp_path: Path) -> Iterator[Bench]:
    with modbus_bench(tmp_path) as made:
        yield made


@pytest.fixture
def relays(tmp_path: Path) -> Iterator[Bench]:
    with relay_bench(tmp_path) as made:
        yield made


def permit_is(bench: Bench, on: bool) -> None:
    eventually(
        lambda: level_at(bench.permit(), time.monotonic_ns()) is on, f"the permit is {'on' if on else 'off'}"
    )


# --- the life of parts ---------------------------------------------------------------------------------------------


def test_parts_are_released_or_rejected_as_the_eye_says_and_sigterm_finishes_the_zone(bench: Bench) -> None:
    with LineProcess(bench.station) as line, eye_of(bench.station) as eye:
        eye.until(lambda: eye.state() is LineState.READY, "the line is ready")
        eye.until(lambda: eye.released() >= 3, "three parts are released")
        line.signal(signal.SIGTERM)
        eye.until(lambda: LineState.STOPPING in [state.state for state in eye.states], "it says that it stops")
        eye.until(lambda: line.process.poll() is not None, "the line ends")
        assert line.ends() == 0
        eye.until(lambda: eye.events == bench.outcomes(), "every outcome came to the eye, once and in order")
    events = bench.outcomes()
    unheard = [event for event in events if event.part_id < eye.parts[0].part_id]  # born before the eye connected
    assert all(event.outcome is GateOutcome.FIRED for event in unheard)
    # every part ended before the process did
    assert [event.part_id for event in events[len(unheard) :]] == [part.part_id for part in eye.parts]
    for event in events[len(unheard) :]:
        part = next(part for part in eye.parts if part.part_id == event.part_id)
        if event.outcome is GateOutcome.RELEASED:
            assert event.part_id % 2 and part.releasable
        elif event.part_id % 2 == 0 and part.releasable:
            assert (event.verdict, event.reason) == (Kind.REJECT, Reason.DEFECT)
    check_gate(bench, events)
    now_ns = time.monotonic_ns()
    assert not level_at(bench.gate(), now_ns) and not level_at(bench.permit(), now_ns)


def test_parts_born_before_the_zone_is_known_are_not_released(bench: Bench) -> None:
    with LineProcess(bench.station), eye_of(bench.station) as eye:
        eye.judge = lambda part: Kind.PASS
        eye.until(lambda: eye.released() > 0, "the first part is released")
    first = next(event for event in eye.events if event.outcome is GateOutcome.RELEASED)
    permit_on_ns = bench.permit()[0][0]
    assert first.born_ns > permit_on_ns + bench.zone.transit
    purged = [event for event in eye.events if event.born_ns < permit_on_ns + bench.zone.transit]
    assert purged and all(event.outcome is GateOutcome.FIRED for event in purged)
    check_gate(bench, eye.events)


def test_a_photo_eye_on_the_wire_gives_the_parts(tmp_path: Path) -> None:
    with (
        modbus_bench(tmp_path, wired_trigger=True) as bench,
        LineProcess(bench.station),
        eye_of(bench.station) as eye,
    ):
        eye.judge = lambda part: Kind.PASS
        eye.until(lambda: eye.state() is LineState.READY, "the line is ready")
        assert bench.modbus is not None
        raised = []
        for _ in range(3):
            raised.append(time.monotonic_ns())
            bench.modbus.set_input(0, True)
            eye.run_for(0.08)
            bench.modbus.set_input(0, False)
            eye.run_for(0.12)
        eye.until(lambda: len(eye.events) == 3, "three parts ended")
        assert bench.modbus.clients() == 3  # gate, permit and trigger each have a connection of their own
    assert len(eye.parts) == 3
    for part, at_ns in zip(eye.parts, raised, strict=True):
        assert at_ns - part.born_err_ns <= part.born_ns <= at_ns + 500 * MS
        assert part.gate_ns - part.born_ns == 300 * MS
    check_gate(bench, eye.events)


# --- the eye dies or hangs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_nothing_born_after_the_eye_is_gone_is_released(bench: Bench, number: signal.Signals) -> None:
    with LineProcess(bench.station) as line, EyeProcess(bench.station) as eye:
        outcomes_reach(bench, lambda all_: sum(e.outcome is GateOutcome.RELEASED for e in all_) >= 2, "parts pass")
        gone_ns = eye.signal(number)
        after_ns = gone_ns + 700 * MS  # a stopped eye counts as silent after 500 ms
        outcomes_reach(bench, lambda all_: sum(e.born_ns > after_ns for e in all_) >= 4, "parts after the eye")
        line.signal(signal.SIGTERM)
        assert line.ends() == 0
    events = bench.outcomes()
    for event in events:
        if event.born_ns > gone_ns:
            assert (event.outcome, event.verdict) == (GateOutcome.FIRED, Kind.UNKNOWN)
    last_ns = gone_ns + bench.zone.trigger_to_gate
    assert not [at_ns for at_ns, on in bench.gate() if on and at_ns > last_ns], "the gate opened without an eye"
    check_gate(bench, events)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_permit_drops_when_the_eye_stays_away(tmp_path: Path, number: signal.Signals) -> None:
    with (
        modbus_bench(tmp_path, unknown_in_a_row=3) as bench,
        LineProcess(bench.station),
        EyeProcess(bench.station) as eye,
    ):
        outcomes_reach(bench, lambda all_: sum(e.outcome is GateOutcome.RELEASED for e in all_) >= 2, "parts pass")
        gone_ns = eye.signal(number)
        permit_is(bench, False)
        dropped_ns = bench.permit()[-1][0]
        silent = [event for event in bench.outcomes() if event.reason is Reason.NO_VERDICT]
    assert gone_ns < dropped_ns
    assert len(silent) >= 3
    check_gate(bench, bench.outcomes())


def test_an_open_gate_without_an_eye_rejects_what_comes_and_stops_the_belt(tmp_path: Path) -> None:
    with (
        modbus_bench(tmp_path, rest="pass", unknown_in_a_row=3) as bench,
        LineProcess(bench.station),
        EyeProcess(bench.station) as eye,
    ):
        outcomes_reach(bench, lambda all_: sum(e.outcome is GateOutcome.RELEASED for e in all_) >= 2, "parts pass")
        gone_ns = eye.signal(signal.SIGKILL)
        permit_is(bench, False)
        dropped_ns = bench.permit()[-1][0]
        check_gate(bench, bench.outcomes())
    for event in bench.outcomes():
        if gone_ns < event.born_ns < dropped_ns:
            assert event.outcome is GateOutcome.FIRED


def test_an_eye_that_wakes_up_too_late_releases_nothing_of_the_past(relays: Bench) -> None:
    with LineProcess(relays.station), EyeProcess(relays.station) as eye:
        outcomes_reach(relays, lambda all_: sum(e.outcome is GateOutcome.RELEASED for e in all_) >= 1, "parts pass")
        stopped_ns = eye.signal(signal.SIGSTOP)
        time.sleep(1.5)
        woken_ns = eye.signal(signal.SIGCONT)
        outcomes_reach(relays, lambda all_: any(e.born_ns > woken_ns for e in all_), "parts after the wake-up")
        outcomes_reach(
            relays,
            lambda all_: any(e.born_ns > woken_ns and e.outcome is GateOutcome.RELEASED for e in all_),
            "the eye that is back releases again",
        )
        events = relays.outcomes()
    slept = [event for event in events if stopped_ns < event.born_ns < woken_ns - relays.zone.trigger_to_gate]
    assert slept and all(event.verdict is Kind.UNKNOWN for event in slept)
    check_gate(relays, events)


def test_a_new_eye_takes_over_and_releases_only_what_was_born_to_it(relays: Bench) -> None:
    with LineProcess(relays.station), eye_of(relays.station) as first:
        first.judge = lambda part: None
        first.until(lambda: first.state() is LineState.READY, "the line is ready")
        count = len(first.parts)
        first.until(lambda: len(first.parts) > count, "a part is born")
        orphan, words = first.parts[-1], len(first.away)
        with eye_of(relays.station, first.newest()) as second:
            second.judge = lambda part: Kind.PASS
            second.until(lambda: bool(second.states), "the second eye is connected")
            second.link.release(orphan)
            second.until(lambda: second.released() > 0, "a part of the second eye is released")
            answer = next(ack for ack in second.acks if ack.number == orphan.part_id)
        assert answer.status in (AckStatus.NOT_RELEASABLE, AckStatus.LATE)
        assert next(e for e in second.events if e.part_id == orphan.part_id).outcome is GateOutcome.FIRED
        first.until(lambda: len(first.away) > words, "the first eye learns that it was replaced")


# --- the line dies or hangs: what survival.py promises ----------------------------------------------------------------


def test_relays_of_a_board_with_a_watchdog_fall_when_the_line_is_killed(relays: Bench) -> None:
    with LineProcess(relays.station) as line, eye_of(relays.station) as eye:
        eye.until(lambda: eye.state() is LineState.READY, "the line is ready")
        killed_ns = line.signal(signal.SIGKILL)
        permit_is(relays, False)
        fell_ns = relays.permit()[-1][0]
        assert fell_ns - killed_ns < 400 * MS + 2 * SECOND
        assert not [at_ns for at_ns, on in relays.gate() if on and at_ns > killed_ns + 50 * MS]


def test_relays_of_a_board_with_a_watchdog_fall_when_the_line_hangs_and_it_purges_after(relays: Bench) -> None:
    with LineProcess(relays.station) as line, eye_of(relays.station) as eye:
        eye.until(lambda: eye.released() >= 1, "parts pass")
        hung_ns = line.signal(signal.SIGSTOP)
        permit_is(relays, False)
        assert not level_at(relays.gate(), time.monotonic_ns())
        line.signal(signal.SIGCONT)
        woken_ns = time.monotonic_ns()
        eye.until(lambda: sum(e.born_ns > woken_ns for e in eye.events) >= 3, "parts go on")
        events = relays.outcomes()
    check_gate(relays, [event for event in events if relays.middle_ns(event) > woken_ns + 100 * MS])
    hung = [event for event in events if hung_ns < event.born_ns < woken_ns]
    assert hung and not [event for event in hung if event.outcome is GateOutcome.RELEASED]


def test_a_coil_keeps_its_level_when_the_line_is_killed_until_a_watchdog_or_the_next_line(coils: Bench) -> None:
    assert coils.modbus is not None
    with LineProcess(coils.station) as line, eye_of(coils.station) as eye:
        eye.until(lambda: eye.state() is LineState.READY, "the line is ready")
        line.signal(signal.SIGKILL)
        line.ends()
        time.sleep(0.6)
        assert coils.modbus.coil(1) is True  # only the device's own watchdog can drop it, as survival.py says
    started_ns = time.monotonic_ns()
    with LineProcess(coils.station):
        permit_is(coils, False)
    assert coils.permit()[-1][0] > started_ns


def test_a_line_that_is_killed_and_started_again_purges_first_and_no_outcome_is_lost(bench: Bench) -> None:
    with eye_of(bench.station) as eye:
        with LineProcess(bench.station) as line:
            eye.until(lambda: eye.released() >= 2, "parts pass")
            words = len(eye.away)  # it has looked for a line before there was one
            line.signal(signal.SIGKILL)
            line.ends()
        eye.until(lambda: len(eye.away) > words, "the eye learns that the line is gone")
        before = list(eye.events)
        assert before == bench.outcomes()
        with LineProcess(bench.station) as line:
            eye.until(lambda: eye.released() >= sum(e.outcome is GateOutcome.RELEASED for e in before) + 2, "again")
            line.signal(signal.SIGTERM)
            eye.until(lambda: line.process.poll() is not None, "the line ends")
        eye.until(lambda: eye.events == bench.outcomes(), "every outcome came to the eye, once and in order")
    sessions = sorted({event.part_id >> 32 for event in eye.events})
    assert sessions == [1, 2]
    again = [event for event in eye.events if event.part_id >> 32 == 2]
    on_ns = [at_ns for at_ns, on in bench.permit() if on][-1]
    first = next(event for event in again if event.outcome is GateOutcome.RELEASED)
    assert first.born_ns > on_ns + bench.zone.transit
    check_gate(bench, again)


def test_outcomes_of_a_time_without_an_eye_are_imported_from_the_ring(coils: Bench) -> None:
    with LineProcess(coils.station) as line:
        with eye_of(coils.station) as eye:
            eye.until(lambda: len(eye.events) >= 2, "parts end")
            newest = eye.newest()
        outcomes_reach(coils, lambda all_: len(all_) >= newest.ring_seq + 3, "parts end without an eye")
        with eye_of(coils.station, newest) as heir:
            heir.until(lambda: bool(heir.states), "the new eye is connected")
            assert len(heir.events) >= 3  # before the first state, as promised
            heir.until(lambda: len(heir.events) >= 5, "new outcomes come by message")
        line.signal(signal.SIGKILL)
        line.ends()
        with eye_of(coils.station, newest) as late:
            late.until(lambda: bool(late.away), "no line listens")
            assert late.events == []  # nothing is invented while no line says which ring is true
    first = newest.ring_seq + 1
    assert [event.ring_seq for event in heir.events] == list(range(first, first + len(heir.events)))
    assert heir.lost == 0


# --- who may run ---------------------------------------------------------------------------------------------------


def test_a_second_line_process_on_the_same_station_is_refused(coils: Bench) -> None:
    with LineProcess(coils.station) as first, eye_of(coils.station) as eye:
        eye.until(lambda: bool(eye.states), "the first line is up")
        with LineProcess(coils.station) as second:
            assert second.ends() == DeviceError.exit_code
        assert "another line process" in first.words
        assert first.process.poll() is None
        count = len(eye.events)
        eye.until(lambda: len(eye.events) > count, "the first line goes on")


def test_a_station_whose_outputs_stay_on_without_us_is_refused(tmp_path: Path) -> None:
    unsafe = 'kind = "modbus"\nhost = "127.0.0.1"\ncoil = {}\n'
    station = station_file(tmp_path, gate=unsafe.format(0), permit=unsafe.format(1))
    with LineProcess(station) as line:
        assert line.ends() == ConfigError.exit_code
        assert "external_watchdog" in line.words


def test_the_eye_starts_its_line_and_again_after_a_kill_and_stop_ends_it(bench: Bench) -> None:
    with eye_of(bench.station, starts_line=True) as eye:
        eye.until(lambda: eye.state() is LineState.READY, "the line is started and ready")
        eye.until(lambda: eye.released() >= 1, "parts pass")
        first_pid = eye.link.line_pid
        os.kill(first_pid, signal.SIGKILL)
        eye.until(lambda: eye.link.line_pid not in (0, first_pid), "another line is started")
        count = eye.released()
        eye.until(lambda: eye.released() > count, "it releases after its purge")
        eye.link.stop()
        eye.until(lambda: eye.state() is LineState.STOPPING, "the line stops")
        assert eye.link.finish(10 * SECOND)
        eye.until(lambda: eye.events == bench.outcomes(), "every outcome arrived")
        assert eye.lost == 0
    assert not level_at(bench.permit(), time.monotonic_ns())
    check_gate(bench, [event for event in eye.events if event.part_id >> 32 == 2])


def test_an_eye_that_ends_while_its_line_is_being_started_leaves_none_behind(
    relays: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, made = threading.Event(), []

    def slow(*words: Any, **options: Any) -> subprocess.Popen[bytes]:
        begun.set()
        time.sleep(0.3)  # a busy machine takes as long to begin a process
        made.append(real(*words, **options))
        return made[-1]

    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", slow)
    link = LineLink(relays.station, SystemClock(), RingPlace(), Starter(relays.station.source, SystemClock()))
    thread = threading.Thread(target=link.poll, args=(0.01, Eye(link)))
    thread.start()
    assert begun.wait(10)
    link.stop()
    assert link.end_line(10 * SECOND)
    thread.join()
    assert [process.poll() is not None for process in made] == [True]
    link.close()


def test_a_line_that_hangs_is_killed_by_its_eye_and_replaced(
    relays: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_link, "_SILENT_NS", 1_500 * MS)
    with eye_of(relays.station, starts_line=True) as eye:
        eye.until(lambda: eye.state() is LineState.READY, "ready")
        hung = eye.link.line_pid
        os.kill(hung, signal.SIGSTOP)
        eye.until(lambda: any("hangs" in words for words in eye.away), "the eye notices")
        eye.until(lambda: not Path(f"/proc/{hung}").exists(), "it has died")
        states = len(eye.states)
        eye.until(lambda: len(eye.states) > states and eye.state() is LineState.READY, "another line is ready")
        assert eye.link.line_pid != hung
        assert LineState.PURGING in {state.state for state in eye.states[states:]}


def test_a_line_of_a_unit_that_hangs_is_left_to_its_unit(relays: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_link, "_SILENT_NS", 1_500 * MS)
    with LineProcess(relays.station) as line, eye_of(relays.station) as eye:
        eye.until(lambda: eye.state() is LineState.READY, "ready")
        line.signal(signal.SIGSTOP)
        eye.until(lambda: any("restart its unit" in words for words in eye.away), "the eye notices")
        assert line.process.poll() is None
        line.signal(signal.SIGCONT)
        states = len(eye.states)
        eye.until(lambda: len(eye.states) > states, "the line is heard again")


def test_an_eye_with_another_station_file_replaces_the_child_line(coils: Bench) -> None:
    with eye_of(coils.station, starts_line=True) as eye:
        eye.until(lambda: bool(eye.states), "the line is up")
        first_pid = eye.link.line_pid
        path = coils.station.source
        path.write_text(path.read_text().replace("pulse_ms = 80", "pulse_ms = 81", 1))
        changed = load(path)
        with eye_of(changed, starts_line=True) as other:
            other.until(lambda: bool(other.states), "a line of the new file is up")
            assert other.link.line_pid != first_pid
            assert any("another station file" in words for words in other.away)
            end_child(changed)


def test_an_eye_with_another_station_file_refuses_a_line_that_is_not_its_own(coils: Bench) -> None:
    with LineProcess(coils.station):
        other = coils.station.model_copy(update={"agreed": b"otherone"})
        with eye_of(other) as eye, pytest.raises(ConfigError, match="restart its unit"):
            eye.until(lambda: bool(eye.states), "the line greets")


@contextmanager
def another_version(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Eyes of this process speak it meanwhile; lines are processes of their own, and of the version that is."""
    other = messages.VERSION + 1
    with monkeypatch.context() as patch:
        for module in (messages, line_link):
            patch.setattr(module, "VERSION", other)
        yield


def test_an_eye_of_another_version_releases_nothing_and_one_of_the_lines_own_goes_on(
    coils: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LineProcess(coils.station) as line:
        with eye_of(coils.station) as eye:
            eye.until(lambda: eye.released() >= 1, "parts pass")
        last = eye.parts[-1].part_id
        with another_version(monkeypatch), eye_of(coils.station, eye.newest()) as other:
            other.until(lambda: bool(other.away), "the eye turns away")
            outcomes_reach(coils, lambda all_: all_[-1].part_id > last + 4, "parts come and go")
            (words,) = other.away
            assert f"the line process {line.process.pid} speaks version" in words and not other.states
        newest = coils.outcomes()[-1].part_id
        with eye_of(coils.station, eye.newest()) as heir:
            heir.until(lambda: heir.released() >= 1, "parts pass again")
        assert line.process.poll() is None
    alone = [event for event in coils.outcomes() if last < event.part_id <= newest]
    assert alone and {event.outcome for event in alone} == {GateOutcome.FIRED}
    check_gate(coils, alone)


def test_an_eye_of_another_version_replaces_the_child_line(coils: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with eye_of(coils.station, starts_line=True) as eye:
        eye.until(lambda: eye.released() >= 1, "parts pass")
        with another_version(monkeypatch), eye_of(coils.station, eye.newest()) as other:
            other.until(lambda: "it finishes its parts and is replaced" in "".join(other.away), "it says so")
            other.until(lambda: eye.link.finish(0), "the line has finished and ended")
        assert not level_at(coils.permit(), time.monotonic_ns())


def test_a_line_that_hears_stop_from_a_unit_goes_on_waiting_for_an_eye(coils: Bench) -> None:
    with LineProcess(coils.station) as line, eye_of(coils.station) as eye:
        eye.until(lambda: eye.released() >= 1, "parts pass")
        eye.link.stop()
        eye.until(lambda: eye.state() is LineState.STOPPING, "the line stops")
        eye.until(lambda: eye.state() in (LineState.PURGING, LineState.STARTING), "it waits for an eye")
        assert line.process.poll() is None
        assert not level_at(coils.permit(), time.monotonic_ns())
        eye.link.close()
        with eye_of(coils.station, eye.newest()) as heir:
            heir.until(lambda: heir.released() >= 1, "the next eye inspects again")
    check_gate(coils, coils.outcomes())


def test_a_limit_stops_the_belt_until_somebody_acknowledges(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, unknown_in_a_row=2) as bench, LineProcess(bench.station):
        with eye_of(bench.station) as eye:
            eye.judge = lambda part: None
            eye.until(lambda: eye.state() is LineState.STOPPED, "the limit stops the line")
            assert "without a verdict" in eye.states[-1].words()
            permit_is(bench, False)
            eye.judge = lambda part: Kind.PASS
            eye.link.clear_stop()
            eye.until(lambda: eye.released() >= 1, "parts pass again")
        check_gate(bench, bench.outcomes())
