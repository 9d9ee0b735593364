"""A relay board behind the emulator's serial adapter, in a process of its own: its times are not those of a test that
computes.

    python -m tests.system.board SOCKET SILENCE_MS     prints `CHANNEL LEVEL NS` for each change; ends with its stdin

It obeys LCUS commands (A0, channel, operation, sum). Its power is its own, and it has a watchdog: both relays fall when
no command came for SILENCE_MS.
"""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from edge.clock import MS
from tests.line.lines import ROOT, Levels
from tests.peers import eventually, hurry

_COMMAND = 4


class Board:
    """The board's process; `socket` is where the emulator connects to, each time that a device is switched on."""

    def __init__(self, silence_ms: float) -> None:
        self._silence_ms = silence_ms
        self._folder = tempfile.TemporaryDirectory(prefix="kenpin-board-")
        self.socket = Path(self._folder.name) / "board.sock"
        self._log = Path(self._folder.name) / "board.log"
        self._said = b""  # all of it, once it has ended

    def __enter__(self) -> Board:
        command = [sys.executable, "-m", "tests.system.board", str(self.socket), str(self._silence_ms)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, cwd=ROOT)
        eventually(self.socket.exists, "the board is there", 30)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self._said = self._log.read_bytes()
        self._folder.cleanup()

    def levels(self, channel: int, since_ns: int = 0) -> Levels:
        """The changes of one relay, oldest first, at CLOCK_MONOTONIC ns."""
        whole, _, _ = (self._said or self._log.read_bytes()).rpartition(b"\n")
        edges = [
            (int(number), on == b"1", int(at_ns)) for number, on, at_ns in map(bytes.split, whole.splitlines())
        ]
        return [(at_ns, on) for number, on, at_ns in edges if number == channel and at_ns >= since_ns]

    def is_on(self, channel: int) -> bool:
        """The relay's level now."""
        levels = self.levels(channel)
        return bool(levels) and levels[-1][1]


class Relays:
    """What the board does with bytes and with silence."""

    def __init__(self, silence_ns: int) -> None:
        self._silence_ns = silence_ns
        self._heard_ns = time.monotonic_ns()
        self._pending = b""
        self._on = {1: False, 2: False}

    def hear(self, data: bytes) -> None:
        self._pending += data
        while len(self._pending) >= _COMMAND:
            start, channel, operation, total = self._pending[:_COMMAND]
            valid = start == 0xA0 and channel in self._on and operation < 2
            if not valid or (start + channel + operation) & 0xFF != total:
                self._pending = self._pending[1:]
                continue
            self._pending = self._pending[_COMMAND:]
            self._heard_ns = time.monotonic_ns()
            self._set(channel, operation == 1)

    def look_at_the_clock(self) -> None:
        if time.monotonic_ns() - self._heard_ns > self._silence_ns:
            for channel in self._on:
                self._set(channel, False)

    def _set(self, channel: int, on: bool) -> None:
        if self._on[channel] is not on:
            self._on[channel] = on
            print(channel, int(on), time.monotonic_ns(), flush=True)


def main(path: str, silence_ms: float) -> None:
    relays = Relays(round(silence_ms * MS))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    hurry(0)
    link: socket.socket | None = None
    while True:
        wanted = [sys.stdin, listener] if link is None else [sys.stdin, listener, link]
        ready, _, _ = select.select(wanted, [], [], silence_ms / 4_000)
        if sys.stdin in ready:
            return
        if listener in ready:
            link, _ = listener.accept()
        elif link in ready and link is not None:
            data = link.recv(256)
            relays.hear(data)
            link = link if data else None  # the device is off
        relays.look_at_the_clock()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
