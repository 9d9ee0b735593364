"""The line's end of the eye's connection: one eye at a time, of the same user, and it is never waited for."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

from edge.errors import DeviceError
from edge.line.events import Event, EyeConnected, EyeGone, Heard
from edge.line.messages import SIZE, Message, ProtocolError, pack, peer_of, unpack

_MESSAGES_AT_ONCE = 64


class EyeLink:
    """A SEQPACKET server at `path`, open to its user alone. Raises DeviceError when it cannot be made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._eye: socket.socket | None = None
        self._epoch = 0
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # the lock file says that no other line is using it
            before = os.umask(0o177)
            try:
                self._listener.bind(str(path))
            finally:
                os.umask(before)
            self._listener.listen(4)
        except OSError as error:
            self._listener.close()
            raise DeviceError(f"cannot listen at {path}: {error.strerror}; check station.run_dir") from error
        self._listener.setblocking(False)

    def filenos(self) -> list[int]:
        """What to wait on for reading."""
        eyes = [] if self._eye is None else [self._eye.fileno()]
        return [self._listener.fileno(), *eyes]

    def read(self, readable: list[int]) -> list[Event]:
        """What these file numbers bring; never blocks."""
        events: list[Event] = []
        if self._eye is not None and self._eye.fileno() in readable:
            events += self._receive(self._eye)
        if self._listener.fileno() in readable:
            events += self._accept()
        return events

    def _accept(self) -> list[Event]:
        """The newest connection is the eye; a foreign user's is closed."""
        try:
            eye, _ = self._listener.accept()
        except OSError:
            return []  # it went away again
        try:
            _, uid = peer_of(eye)
        except OSError:
            uid = -1
        if uid not in (0, os.geteuid()):
            eye.close()
            return []
        self._drop()
        eye.setblocking(False)
        self._eye = eye
        self._epoch = secrets.randbits(63) + 1
        return [EyeConnected(self._epoch)]

    def _receive(self, eye: socket.socket) -> list[Event]:
        events: list[Event] = []
        try:
            for _ in range(_MESSAGES_AT_ONCE):
                data = eye.recv(SIZE + 1)
                if not data:
                    return [*events, *self._lose()]
                events.append(Heard(*unpack(data)))
        except BlockingIOError:
            return events
        except (OSError, ProtocolError):
            return [*events, *self._lose()]
        return events

    def send(self, message: Message) -> list[Event]:
        """Send without waiting; an eye that does not keep up is disconnected."""
        if self._eye is None:
            return []
        try:
            self._eye.send(pack(message, self._epoch))
        except OSError:
            return self._lose()
        return []

    def _lose(self) -> list[Event]:
        self._drop()
        return [EyeGone()]

    def _drop(self) -> None:
        if self._eye is not None:
            self._eye.close()
            self._eye = None

    def close(self) -> None:
        """Disconnect and remove the socket; may be called twice."""
        self._drop()
        if self._listener.fileno() >= 0:
            self._listener.close()
            self._path.unlink(missing_ok=True)
