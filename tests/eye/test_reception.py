"""The control socket: it knows who asks, answers whoever may, and no peer can hold it up."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge.clock import SECOND, ManualClock
from edge.control import MAX_BYTES, SOCKET, Acknowledge, Answer, AskStatus, Done, Refused, Request, packed
from edge.errors import DeviceError
from edge.eye.reception import ACTS_WITHIN_NS, GUESTS, SOURCE, SPEAKS_WITHIN_NS, Peer, Reception, peer_of
from edge.health import Progress
from tests.peers.waiting import missing

ROOT = Path(__file__).parents[2]
NOBODY, OPERATORS = 65_534, 54_321


class Waiting:
    """An act that is done when the test says so."""

    def __init__(self) -> None:
        self.answer: Answer | None = None

    def give_up(self, words: str) -> Answer:
        self.answer = Refused(words=words)
        return self.answer


class Hall:
    """A reception with its clock in the test's hand; `serve` does what its thread would do."""

    def __init__(self, run_dir: Path) -> None:
        self.clock = ManualClock()
        self.asked: list[tuple[Request, Peer]] = []
        self.told: list[str] = []
        self.acts: list[Waiting] = []
        progress = Progress(self.clock, {SOURCE: SECOND})
        self.reception = Reception(run_dir, self.clock, progress, self._ask, self.told.append)
        self.path = run_dir / SOCKET

    def _ask(self, request: Request, peer: Peer) -> Answer | Waiting:
        self.asked.append((request, peer))
        if isinstance(request, AskStatus):
            return Done(words="fine", by=peer.name)
        self.acts.append(Waiting())
        return self.acts[-1]

    def serve(self, times: int = 3) -> None:
        for _ in range(times):
            self.reception.serve(0)

    def connect(self) -> socket.socket:
        guest = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        guest.settimeout(2)
        guest.connect(str(self.path))
        return guest

    def is_served(self) -> bool:
        """Somebody who asks properly gets an answer."""
        with self.connect() as guest:
            guest.send(packed(AskStatus()))
            self.serve()
            return b"fine" in guest.recv(1_000)


@pytest.fixture
def hall() -> Iterator[Hall]:
    """In a folder that other users can reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="kenpin-run-"))
    folder.chmod(0o755)
    hall = Hall(folder)
    try:
        yield hall
    finally:
        hall.reception.close()
        shutil.rmtree(folder)


def hung_up(guest: socket.socket) -> bool:
    try:
        return guest.recv(1_000) == b""
    except ConnectionResetError:
        return True


def test_the_kernel_says_who_asks(hall: Hall) -> None:
    assert hall.is_served()
    ((_, peer),) = hall.asked
    assert peer.pid == os.getpid() and peer.uid == os.getuid()
    assert peer.groups == {os.getgid(), *os.getgroups()}
    assert peer.name.endswith(f"(uid {os.getuid()})")
    assert Peer(1, 4_000_000_000, frozenset()).name == "uid 4000000000"


def test_only_user_and_group_may_connect(hall: Hall) -> None:
    assert hall.path.stat().st_mode & 0o777 == 0o660
    assert hall.path.stat().st_gid == hall.path.parent.stat().st_gid


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0",
        b"GET / HTTP/1.1\r\n\r\n",
        b"{",
        b"[]",
        b"null",
        b'{"ask": "release", "part_id": 4294967297}',
        b'{"ask": "acknowledge", "why": "x"',
        b'{"ask": "acknowledge", "why": "\xff"}',
        b"[" * MAX_BYTES,
        b'{"ask": "status"}' + b" " * MAX_BYTES,
    ],
)
def test_what_is_no_request_ends_the_connection_and_is_counted(hall: Hall, garbage: bytes) -> None:
    with hall.connect() as guest:
        guest.send(garbage)
        hall.serve()
        assert hung_up(guest)
    assert hall.reception.malformed == 1 and hall.asked == []
    assert hall.is_served()


def test_one_connection_carries_one_request(hall: Hall) -> None:
    with hall.connect() as guest:
        guest.send(packed(AskStatus()))
        guest.send(packed(AskStatus()))
        hall.serve()
        assert len(hall.asked) == 1
    assert hall.is_served()


def test_a_peer_that_says_nothing_is_not_waited_for(hall: Hall) -> None:
    with hall.connect() as silent:
        hall.serve()
        assert hall.is_served(), "meanwhile others are served"
        hall.clock.advance(SPEAKS_WITHIN_NS)
        hall.serve()
        assert hung_up(silent)


def test_a_peer_that_hangs_up_leaves_nothing_behind(hall: Hall) -> None:
    for request in (None, AskStatus(), MORE):
        guest = hall.connect()
        if request is not None:
            guest.send(packed(request))
        guest.close()
        hall.serve()
    assert len(hall.acts) == 1, "what was asked is done, whoever hears of it"
    hall.acts[0].answer = Done(words="done", by="nobody")
    assert hall.is_served()


def test_a_flood_of_connections_is_bounded_and_passes(hall: Hall) -> None:
    with ExitStack() as flood:
        for _ in range(2):  # the second lot waits in the kernel, which takes no more then
            for _ in range(GUESTS):
                flood.enter_context(hall.connect())
            hall.serve()
            assert len(hall.reception._guests) == GUESTS
        for _ in range(2):
            hall.clock.advance(SPEAKS_WITHIN_NS)
            hall.serve()
        assert hall.is_served()


MORE = Acknowledge(why="because", who="anna")


def test_the_answer_to_an_act_comes_when_it_is_recorded(hall: Hall) -> None:
    with hall.connect() as guest:
        guest.send(packed(MORE))
        hall.serve()
        assert hall.is_served(), "the disk holds nobody else up"
        hall.acts[0].answer = Done(words="acknowledged", by="anna")
        hall.serve()
        assert b"acknowledged" in guest.recv(1_000)


def test_an_act_that_the_disk_does_not_take_is_given_up(hall: Hall) -> None:
    with hall.connect() as guest:
        guest.send(packed(MORE))
        hall.serve()
        hall.clock.advance(ACTS_WITHIN_NS)
        hall.serve()
        assert b"check the disk" in guest.recv(1_000)
    assert isinstance(hall.acts[0].answer, Refused)


def test_the_end_gives_up_what_waits_and_removes_the_socket(hall: Hall) -> None:
    with hall.connect() as guest:
        guest.send(packed(MORE))
        hall.serve()
        hall.reception.close()
        assert isinstance(hall.acts[0].answer, Refused) and hung_up(guest)
    assert not hall.path.exists()


def test_the_thread_answers_beats_and_ends(hall: Hall) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=hall.reception.run, args=(stop,))
    thread.start()
    with hall.connect() as guest:
        guest.send(packed(AskStatus()))
        assert b"fine" in guest.recv(1_000)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()


def test_a_folder_that_cannot_hold_a_socket_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("no folder")
    with pytest.raises(DeviceError, match=r"control\.sock.*check station\.run_dir"):
        Hall(tmp_path / "run")


# --- other users ---

ASK_AS = """
import os, socket, sys
path, uid, gid, groups = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
os.setgroups([int(group) for group in groups.split(",") if group])
os.setgid(gid)
os.setuid(uid)
guest = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
guest.settimeout(5)
try:
    guest.connect(path)
    print("connected", flush=True)
    guest.send(b'{"ask": "status"}')
    print(guest.recv(1000).decode() or "hung up")
except (ConnectionResetError, BrokenPipeError):
    print("hung up")
except PermissionError:
    print("no permission")
"""


def asked_as(hall: Hall, uid: int, gid: int, groups: str = "") -> str:
    """What another user's process was told."""
    if os.geteuid() != 0:
        missing("run as root, to try other users")
    process = subprocess.Popen(
        [sys.executable, "-c", ASK_AS, str(hall.path), str(uid), str(gid), groups],
        stdout=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < until:
        hall.reception.serve(0.05)
    return process.communicate(timeout=5)[0]


def test_another_user_may_not_even_connect(hall: Hall) -> None:
    assert "no permission" in asked_as(hall, NOBODY, NOBODY)
    assert hall.asked == []


def test_another_user_is_turned_away_though_the_socket_lies_open(hall: Hall) -> None:
    hall.path.chmod(0o666)
    for _ in range(2):
        said = asked_as(hall, NOBODY, NOBODY)
        assert "connected" in said and '"done"' not in said
    assert hall.asked == [] and hall.reception.turned_away == 2
    (told,) = hall.told  # once a minute
    assert f"uid {NOBODY}" in told
    hall.clock.advance(61 * SECOND)
    asked_as(hall, NOBODY, NOBODY)
    assert "3 in all" in hall.told[1]


@pytest.mark.parametrize(("gid", "groups"), [(OPERATORS, ""), (NOBODY, f"4,{OPERATORS}")])
def test_members_of_the_folders_group_may_ask(gid: int, groups: str) -> None:
    if os.geteuid() != 0:
        missing("run as root, to try other users")
    folder = Path(tempfile.mkdtemp(prefix="kenpin-run-"))
    os.chown(folder, 0, OPERATORS)
    folder.chmod(0o750)
    hall = Hall(folder)
    try:
        assert '"done"' in asked_as(hall, NOBODY, gid, groups)
        ((_, peer),) = hall.asked
        assert peer.uid == NOBODY and OPERATORS in peer.groups
    finally:
        hall.reception.close()
        shutil.rmtree(folder)


def test_the_credentials_are_those_of_the_process_at_the_other_end() -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        assert peer_of(here).pid == os.getpid()
