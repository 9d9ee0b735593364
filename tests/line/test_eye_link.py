"""The line's socket for its eye: own user only, one at a time, never waited for, foreign bytes end the connection."""

from __future__ import annotations

import os
import select
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from edge.clock import SystemClock
from edge.errors import DeviceError
from edge.line import eye_link
from edge.line.events import Event, EyeConnected, EyeGone, Heard
from edge.line.eye_link import EyeLink
from edge.line.keeper import Mailbox
from edge.line.log import Log
from edge.line.messages import (
    SIZE,
    VERSION,
    Keepalive,
    LineState,
    Outcome,
    State,
    Stop,
    pack,
    pack_record,
    unpack,
)
from edge.line.ring import OutcomeRing
from edge.line_link import LineLink
from edge.records import GateEvent, GateOutcome, Kind, Part, Reason, RingPlace
from tests.line.lines import Eye, station_file

STATE = State(LineState.READY, True, 1, b"\1" * 8, 2, 3, bytes(56))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "line.sock"


@pytest.fixture
def link(path: Path) -> Iterator[EyeLink]:
    made = EyeLink(path)
    yield made
    made.close()


def dial(path: Path) -> socket.socket:
    eye = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    eye.connect(str(path))
    return eye


def read(link: EyeLink) -> list[Event]:
    readable, _, _ = select.select(link.filenos(), [], [], 2.0)
    return link.read(readable)


def connected(link: EyeLink, path: Path) -> tuple[socket.socket, int]:
    eye = dial(path)
    (event,) = read(link)
    assert isinstance(event, EyeConnected)
    return eye, event.epoch


def test_messages_come_with_the_epoch_they_carry(link: EyeLink, path: Path) -> None:
    eye, epoch = connected(link, path)
    with eye:
        assert epoch > 0
        for carried in (epoch, epoch + 1):
            eye.send(pack(Stop(1), carried))
            assert read(link) == [Heard(Stop(1), carried)]
        assert link.send(STATE) == []
        assert unpack(eye.recv(SIZE)) == (STATE, epoch)


def test_each_connection_has_another_epoch_and_the_newest_is_the_eye(link: EyeLink, path: Path) -> None:
    first, one = connected(link, path)
    second, other = connected(link, path)
    with first, second:
        assert one != other
        assert first.recv(SIZE) == b""  # the first was hung up on
        second.send(pack(Stop(2), other))
        assert read(link) == [Heard(Stop(2), other)]


@pytest.mark.parametrize("data", [b"x", bytes(SIZE), pack(Stop(1), 5) + b"\0"])
def test_foreign_bytes_end_the_connection(link: EyeLink, path: Path, data: bytes) -> None:
    eye, _ = connected(link, path)
    with eye:
        eye.send(data)
        assert read(link) == [EyeGone()]
        assert eye.recv(SIZE) == b""


def test_an_eye_that_leaves_is_told_of_after_its_last_words(link: EyeLink, path: Path) -> None:
    eye, epoch = connected(link, path)
    eye.send(pack(Keepalive(1, True), epoch))
    eye.close()
    assert read(link) == [Heard(Keepalive(1, True), epoch), EyeGone()]
    assert link.send(STATE) == []  # to nobody


def test_an_eye_that_does_not_keep_up_is_disconnected_and_never_waited_for(link: EyeLink, path: Path) -> None:
    eye, _ = connected(link, path)
    with eye:
        began = time.monotonic()
        for _ in range(100_000):
            if link.send(STATE):
                break
        else:
            pytest.fail("a full socket was never noticed")
        assert time.monotonic() - began < 5.0


def test_only_the_own_user_may_connect(link: EyeLink, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    monkeypatch.setattr(eye_link, "peer_of", lambda connection: (1, os.geteuid() + 4_711))
    with dial(path) as stranger:
        assert read(link) == []
        assert stranger.recv(SIZE) == b""
        assert link.send(STATE) == []


def test_a_stale_socket_is_replaced_and_closing_removes_it(path: Path) -> None:
    first = EyeLink(path)
    second = EyeLink(path)
    second.close()
    second.close()
    assert not path.exists()
    first.close()


def test_a_socket_that_cannot_be_made_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="run_dir"):
        EyeLink(tmp_path / "file" / "line.sock")


# --- the eye's end, on a line that says what the test wants -------------------------------------------------------


@pytest.fixture
def eye_and_line(tmp_path: Path) -> Iterator[tuple[Eye, EyeLink, bytes]]:
    memory = 'kind = "memory"'
    station = station_file(tmp_path, gate=memory, permit=memory)
    line = EyeLink(tmp_path / "run" / "line.sock")
    eye = Eye(LineLink(station, SystemClock(), RingPlace()))
    try:
        yield eye, line, station.agreed
    finally:
        eye.link.close()
        line.close()


def test_the_eye_says_nothing_before_the_line_has_greeted_it(eye_and_line: tuple[Eye, EyeLink, bytes]) -> None:
    eye, line, digest = eye_and_line
    part = Part(1 << 32, 1, 0, 1, 2, 3, 0)
    assert not eye.link.release(part) and not eye.link.is_connected
    eye.link.poll(0.0, eye)
    assert not eye.link.release(part)
    read(line)
    line.send(State(LineState.READY, True, 1, digest, 2, 1, b""))
    eye.until(lambda: eye.link.is_connected, "the eye is greeted")
    assert eye.link.release(part)
    said = [event.message for event in read(line) if isinstance(event, Heard)]
    assert [type(message).__name__ for message in said][-1] == "Release"


def test_a_message_of_another_epoch_ends_the_eyes_connection(eye_and_line: tuple[Eye, EyeLink, bytes]) -> None:
    eye, line, digest = eye_and_line
    eye.link.poll(0.0, eye)
    read(line)
    line.send(State(LineState.READY, True, 1, digest, 2, 1, b""))
    eye.until(lambda: eye.link.is_connected, "the eye is greeted")
    assert line._eye is not None
    line._eye.send(pack(STATE, line._epoch + 1))
    eye.until(lambda: bool(eye.away), "the eye hangs up")
    assert "another connection" in eye.away[-1]
    assert len(eye.states) == 1


@pytest.mark.parametrize(
    ("version", "size", "remedy"),
    [
        (VERSION - 1, SIZE, "when the belt may stand, systemctl restart kenpin-line@"),
        (VERSION + 1, SIZE + 40, "restart this eye, or after a downgrade"),
    ],
)
def test_a_line_of_another_version_is_told_once_and_hears_nothing_until_it_ends(
    eye_and_line: tuple[Eye, EyeLink, bytes], version: int, size: int, remedy: str
) -> None:
    eye, line, digest = eye_and_line
    eye.link.poll(0.0, eye)
    read(line)
    assert line._eye is not None
    line._eye.send(b"KP" + bytes([version]) + b"\0" * (size - 3))
    eye.until(lambda: bool(eye.away), "the eye turns away")
    line.send(State(LineState.READY, True, 1, digest, 2, 1, b""))  # whatever such a line says
    eye.run_for(0.2)
    (words,) = eye.away
    assert f"speaks version {version} of the eye-line protocol, this eye version {VERSION}; " in words
    assert remedy in words
    assert not eye.link.is_connected and not eye.link.release(Part(1 << 32, 1, 0, 1, 2, 3, 0))
    assert not select.select(line.filenos(), [], [], 0.2)[0], "it neither speaks nor hangs up"
    line.close()
    eye.until(lambda: "no line listens" in eye.away[-1], "its end is noticed")
    assert eye.states == []


def greet(eye: Eye, line: EyeLink, digest: bytes, next_seq: int) -> None:
    eye.link.poll(0.0, eye)
    read(line)
    line.send(State(LineState.READY, True, 1, digest, 2, next_seq, b""))
    eye.until(lambda: eye.link.is_connected, "the eye is greeted")


def outcome(seq: int) -> GateEvent:
    return GateEvent(seq, 1 << 32 | seq, 1, 0, 0, 0, 0, 0, 0, 0, GateOutcome.FIRED, Kind.REJECT, Reason.DEFECT)


def test_outcomes_come_once_and_in_order_from_ring_and_messages(
    eye_and_line: tuple[Eye, EyeLink, bytes], tmp_path: Path
) -> None:
    eye, line, digest = eye_and_line
    path = tmp_path / "state" / "outcomes.ring"
    ring = OutcomeRing(path, 16)
    for seq in (1, 2, 3):
        ring.append(outcome(seq))
    record = path.read_bytes().index(pack_record(outcome(2)))
    with path.open("r+b") as file:
        file.seek(record)
        file.write(b"\xff" * 8)
    greet(eye, line, digest, 4)
    assert [event.ring_seq for event in eye.events] == [1, 3] and eye.lost == 1
    for seq in (4, 5, 6):
        ring.append(outcome(seq))
    for seq in (6, 6, 5):  # 4 and 5 got lost on the way, 6 came twice, 5 late
        line.send(Outcome.of(outcome(seq)))
    line.send(Outcome.of(outcome(7)))
    eye.until(lambda: eye.events[-1].ring_seq == 7, "the last outcome came")
    assert [event.ring_seq for event in eye.events] == [1, 3, 4, 5, 6, 7] and eye.lost == 1
    ring.close()


def test_a_line_that_ends_leaves_its_last_outcomes_in_the_ring_for_the_eye(
    eye_and_line: tuple[Eye, EyeLink, bytes], tmp_path: Path
) -> None:
    eye, line, digest = eye_and_line
    greet(eye, line, digest, 1)
    ring = OutcomeRing(tmp_path / "state" / "outcomes.ring", 16)
    ring.append(outcome(1))
    ring.close()
    line.close()
    eye.until(lambda: bool(eye.away), "the line is away")
    assert eye.events == [outcome(1)]


def test_a_new_ring_is_read_from_its_beginning(eye_and_line: tuple[Eye, EyeLink, bytes], tmp_path: Path) -> None:
    eye, line, digest = eye_and_line
    eye.link.close()
    eye.link = LineLink(eye.link._station, SystemClock(), RingPlace(499, 9))
    ring = OutcomeRing(tmp_path / "state" / "outcomes.ring", 16)
    ring.append(outcome(1))
    greet(eye, line, digest, 2)
    assert eye.events == [outcome(1)]
    ring.close()


def test_a_ring_set_back_by_a_power_cut_is_read_again(
    eye_and_line: tuple[Eye, EyeLink, bytes], tmp_path: Path
) -> None:
    """The journal has outcomes 1 to 3; the disk brought back 1, and the line went on with other parts."""
    eye, line, digest = eye_and_line
    eye.link.close()
    eye.link = LineLink(eye.link._station, SystemClock(), RingPlace(3, outcome(3).part_id))
    ring = OutcomeRing(tmp_path / "state" / "outcomes.ring", 16)
    ring.append(outcome(1))
    later = [replace(outcome(seq), part_id=2 << 32 | seq) for seq in (2, 3, 4)]
    for event in later:
        ring.append(event)
    greet(eye, line, digest, 5)
    assert eye.events == [outcome(1), *later] and eye.lost == 0
    ring.close()


# --- mailbox and log -----------------------------------------------------------------------------------------------


def test_the_mailbox_wakes_its_reader_and_keeps_the_order() -> None:
    mailbox = Mailbox()
    assert mailbox.take() == []
    for epoch in range(5):
        mailbox.put(EyeConnected(epoch))
    assert select.select([mailbox.fileno()], [], [], 0)[0]
    assert mailbox.take() == [EyeConnected(epoch) for epoch in range(5)]
    assert not select.select([mailbox.fileno()], [], [], 0)[0]
    mailbox.close()


def test_a_reader_that_never_reads_does_not_hold_up_the_line() -> None:
    ours, theirs = os.pipe()
    # what the stream still holds is lost with its reader
    with suppress(BrokenPipeError), os.fdopen(theirs, "w") as stream:
        log = Log(stream)
        began = time.monotonic()
        for number in range(20_000):
            log.say(f"{number} " + "x" * 100)
        assert time.monotonic() - began < 5.0
        os.close(ours)  # the blocked writer fails, and the line goes on without a log
        log.close()
        log.say("nobody hears this")


def test_words_are_written_in_order(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        log = Log(stream)
        for number in range(50):
            log.say(str(number))
        log.close()
    assert (tmp_path / "log").read_text() == "".join(f"line: {number}\n" for number in range(50))
