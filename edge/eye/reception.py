"""Where people reach the running eye: a Unix socket that knows who asks, bounded in every direction, never waiting."""

from __future__ import annotations

import logging
import os
import pwd
import select
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge.clock import SECOND, Clock
from edge.control import MAX_BYTES, SOCKET, Answer, Refused, Request, packed, read_request
from edge.errors import DeviceError
from edge.health import Progress

log = logging.getLogger(__name__)

SOURCE = "control"
GUESTS = 8  # at once; more wait in the listener's queue
SPEAKS_WITHIN_NS = 2 * SECOND
ACTS_WITHIN_NS = 3 * SECOND
_AT_ONCE = 16
_IDLE_S = 0.2
_ACTING_S = 0.01
_TOLD_EVERY_NS = 60 * SECOND
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid
_SO_PEERGROUPS = 59  # Linux 4.13; Python has no name for it
_GROUPS_BYTES = 1_024


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asks, as the kernel knew them when they connected."""

    pid: int
    uid: int
    groups: frozenset[int]

    @property
    def name(self) -> str:
        """The user's name with the number that the kernel knows."""
        with suppress(KeyError):
            return f"{pwd.getpwuid(self.uid).pw_name} (uid {self.uid})"
        return f"uid {self.uid}"


def peer_of(connection: socket.socket) -> Peer:
    """The credentials of the process at the other end. Raises OSError."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(data)
    more = b""
    with suppress(OSError):  # an old kernel, or somebody in more than 256 groups: the first one counts
        more = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    return Peer(pid, uid, frozenset({gid, *struct.unpack(f"{len(more) // 4}I", more)}))


class Act(Protocol):
    """Something that is done once its record is on the disk."""

    @property
    def answer(self) -> Answer | None:
        """What came of it; None while the disk is waited for."""
        ...

    def give_up(self, words: str) -> Answer:
        """Do not do it any more; the answer, which may be that it has just been done."""
        ...


@dataclass(slots=True)
class _Guest:
    connection: socket.socket
    peer: Peer
    until_ns: int
    act: Act | None = None


class Reception:
    """A SEQPACKET server at control.sock in `run_dir`; its thread runs `run`.

    Root, this process's user and members of the folder's group may ask; others are closed and told to `turned_away` at
    most once a minute. One request a connection. `ask` is called by this thread and must not block.
    Raises DeviceError when the socket cannot be made.
    """

    def __init__(
        self,
        run_dir: Path,
        clock: Clock,
        progress: Progress,
        ask: Callable[[Request, Peer], Answer | Act],
        tell: Callable[[str], None],
    ) -> None:
        self._path = run_dir / SOCKET
        self._clock = clock
        self._progress = progress
        self._ask = ask
        self._tell = tell
        self._told_ns: int | None = None
        self._guests: list[_Guest] = []
        self.turned_away = 0
        self.malformed = 0
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        try:
            self._group = self._listen(run_dir)
        except OSError as error:
            self._listener.close()
            raise DeviceError(f"cannot listen at {self._path}: {error.strerror}; check station.run_dir") from error

    def _listen(self, run_dir: Path) -> int:
        """Bind for user and group of the folder; returns the group's id."""
        run_dir.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)  # the journal's lock says that no other eye is using it
        before = os.umask(0o117)
        try:
            self._listener.bind(str(self._path))
        finally:
            os.umask(before)
        group = run_dir.stat().st_gid
        if self._path.stat().st_gid != group:
            try:
                os.chown(self._path, -1, group)
            except PermissionError:
                log.warning(
                    "members of group %d cannot ask at %s: run the station with that group", group, self._path
                )
        self._listener.listen(GUESTS)
        self._listener.setblocking(False)
        return group

    def run(self, stop: threading.Event) -> None:
        """Answer until told to stop."""
        while not stop.is_set():
            self._progress.beat(SOURCE)
            self.serve(_IDLE_S)

    def serve(self, wait_s: float) -> None:
        """Do what there is to do, waiting up to `wait_s` for it."""
        acting = any(guest.act is not None for guest in self._guests)
        speaking = [guest.connection for guest in self._guests if guest.act is None]
        listening = [self._listener] if len(self._guests) < GUESTS else []
        readable, _, _ = select.select(
            [*listening, *speaking], [], [], min(wait_s, _ACTING_S) if acting else wait_s
        )
        for guest in [guest for guest in self._guests if guest.connection in readable]:
            self._hear(guest)
        if self._listener in readable:
            self._accept()
        for guest in list(self._guests):
            self._attend(guest)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            if len(self._guests) >= GUESTS:
                return
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # nobody, or gone again
            self._welcome(connection)

    def _welcome(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            peer = peer_of(connection)
        except OSError:
            connection.close()
            return
        guest = _Guest(connection, peer, self._clock.now_ns() + SPEAKS_WITHIN_NS)
        if peer.uid in (0, os.geteuid()) or self._group in peer.groups:
            self._guests.append(guest)
            return
        self._send(
            guest, Refused(words=f"{peer.name} may not ask here: be root, the station's user or of its group")
        )
        connection.close()
        self._turn_away(peer)

    def _turn_away(self, peer: Peer) -> None:
        self.turned_away += 1
        now_ns = self._clock.now_ns()
        if self._told_ns is None or now_ns - self._told_ns >= _TOLD_EVERY_NS:
            self._told_ns = now_ns
            self._tell(f"{peer.name}, process {peer.pid}, was turned away; {self.turned_away} in all")

    def _hear(self, guest: _Guest) -> None:
        """One request; anything else ends the connection."""
        try:
            data = guest.connection.recv(MAX_BYTES + 1)
        except OSError:
            data = b""
        if not data:
            self._leave(guest)
            return
        try:
            request = read_request(data)
        except ValueError:
            self.malformed += 1
            log.warning("%s, process %d, sent what is no request", guest.peer.name, guest.peer.pid)
            self._leave(guest)
            return
        answer = self._ask(request, guest.peer)
        if isinstance(answer, Answer):
            self._send(guest, answer)
            self._leave(guest)
        else:
            guest.act, guest.until_ns = answer, self._clock.now_ns() + ACTS_WITHIN_NS

    def _attend(self, guest: _Guest) -> None:
        """Answer an act that is done, give up one that cannot be recorded, and end a connection without a request."""
        is_late = self._clock.now_ns() >= guest.until_ns
        answer = None if guest.act is None else guest.act.answer
        if guest.act is not None and answer is None and is_late:
            seconds = ACTS_WITHIN_NS // SECOND
            answer = guest.act.give_up(f"the journal did not take the record within {seconds} s; check the disk")
        if answer is not None:
            self._send(guest, answer)
        if answer is not None or is_late:
            self._leave(guest)

    def _send(self, guest: _Guest, answer: Answer) -> None:
        with suppress(OSError):  # it does not wait for its answer any more
            guest.connection.send(packed(answer))

    def _leave(self, guest: _Guest) -> None:
        guest.connection.close()
        if guest in self._guests:
            self._guests.remove(guest)

    def close(self) -> None:
        """Disconnect and remove the socket; what waits for the disk is given up. May be called twice."""
        for guest in list(self._guests):
            if guest.act is not None and guest.act.answer is None:
                guest.act.give_up("the station stops")
            self._leave(guest)
        if self._listener.fileno() >= 0:
            self._listener.close()
            self._path.unlink(missing_ok=True)
