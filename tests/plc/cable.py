"""A TCP cable that tests can cut, freeze, slow down and corrupt; it leads from a port of its own to a peer's."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Corrupt = Callable[[bytes], bytes]


class Cable:
    """`frozen`: bytes go nowhere, connections are still accepted (a dead machine behind a live kernel). `delay_s`:
    each piece of an answer waits so long. `corrupt`: what comes out of each piece of an answer. `pieces`: an answer
    comes in so many bytes at a time, `delay_s` apart. `hangs_up`: the connection is closed after a piece of an answer.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cable")
        self.port: int = self._listener.getsockname()[1]
        self.frozen = False
        self.delay_s = 0.0
        self.pieces = 0
        self.hangs_up = False
        self.corrupt: Corrupt = lambda data: data
        self._thread.start()

    def mend(self) -> None:
        """As new."""
        self.frozen, self.delay_s, self.pieces, self.hangs_up, self.corrupt = (
            False,
            0.0,
            0,
            False,
            lambda data: data,
        )

    def cut(self) -> None:
        """Close every connection."""
        for pair in list(self._pairs):
            self._drop(pair)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.cut()
        self._listener.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            ends = {end: pair for pair in list(self._pairs) for end in pair}
            with suppress(OSError, ValueError):
                readable, _, _ = select.select([self._listener, *ends], [], [], 0.02)
                for end in readable:
                    if end is self._listener:
                        self._accept()
                    elif not self.frozen:
                        self._pass_on(end, ends[end])
                if self.frozen:
                    time.sleep(0.02)  # what waits stays readable

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            self._pairs.append((near, socket.create_connection(("127.0.0.1", self._target), 2)))
        except OSError:
            near.close()

    def _pass_on(self, end: socket.socket, pair: tuple[socket.socket, socket.socket]) -> None:
        near, far = pair
        try:
            data = end.recv(4_096)
        except OSError:
            data = b""
        if not data:
            self._drop(pair)
        elif end is near:
            far.sendall(data)
        else:
            self._answer(near, self.corrupt(data))
            if self.hangs_up:
                self._drop(pair)

    def _answer(self, near: socket.socket, data: bytes) -> None:
        step = self.pieces or len(data) or 1
        for begin in range(0, len(data), step):
            if self._stop.wait(self.delay_s):
                return
            with suppress(OSError):
                near.sendall(data[begin : begin + step])

    def _drop(self, pair: tuple[socket.socket, socket.socket]) -> None:
        if pair in self._pairs:
            self._pairs.remove(pair)
        for end in pair:
            end.close()


@contextmanager
def cable_to(port: int) -> Iterator[Cable]:
    cable = Cable(port)
    try:
        yield cable
    finally:
        cable.close()
