"""Relay boards at the far end of a pseudo-terminal: they decode commands with their times, and Numato's answer."""

from __future__ import annotations

import os
import re
import select
import threading
import time
import tty
from collections.abc import Callable
from typing import NamedTuple

_NUMATO = re.compile(rb"relay (on|off|read) ([0-9A-V])$")


class RelayEdge(NamedTuple):
    """A command to relay `channel` arrived at `at_ns` (CLOCK_MONOTONIC)."""

    at_ns: int
    channel: int
    on: bool


class RelayBoard:
    """Listens at `port` as an "lcus", "kmtronic" or "numato" board; `commands` keeps valid commands.

    `level(channel)` is the relay as a board without watchdog would hold it. A numato board answers; `mute` keeps it
    silent, `answer_late_s` delays its answers, `hears` False makes it deaf.
    """

    def __init__(self, port: str, board: str = "lcus") -> None:
        self.commands: list[RelayEdge] = []
        self.bad_bytes = 0
        self.heard_bytes = 0
        self.mute = False
        self.hears = True
        self.answer_late_s = 0.0
        self._decode: Callable[[], bool] = {
            "lcus": self._lcus,
            "kmtronic": self._kmtronic,
            "numato": self._numato,
        }[board]
        self._pending = b""
        self._heard_ns = 0
        self._descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._descriptor)
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._listen, name="relay-board-peer")

    def __enter__(self) -> RelayBoard:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._wake_write, b"x")
        self._thread.join()
        for descriptor in (self._descriptor, self._wake_read, self._wake_write):
            os.close(descriptor)

    def level(self, channel: int) -> bool:
        """What the last command said; a relay starts open."""
        return next((edge.on for edge in reversed(self.commands) if edge.channel == channel), False)

    def settle(self, quiet_s: float = 0.05) -> None:
        """Return when nothing arrived for a while."""
        quiet_since = time.monotonic_ns()
        while time.monotonic_ns() - max(quiet_since, self._heard_ns) < quiet_s * 1e9:
            time.sleep(quiet_s / 5)

    def _listen(self) -> None:
        while True:
            ready, _, _ = select.select([self._descriptor, self._wake_read], [], [])
            if self._wake_read in ready:
                return
            try:
                data = os.read(self._descriptor, 256)
            except OSError:
                return  # unplugged
            self._heard_ns = time.monotonic_ns()
            self._pending += data if self.hears else b""
            while self._decode():
                pass
            self.heard_bytes += len(data)

    def _obey(self, channel: int, on: bool) -> None:
        self.commands.append(RelayEdge(self._heard_ns, channel, on))

    def _skip(self) -> bool:
        self._pending = self._pending[1:]
        self.bad_bytes += 1
        return True

    def _lcus(self) -> bool:
        if len(self._pending) < 4:
            return False
        start, channel, operation, checksum = self._pending[:4]
        if start != 0xA0 or operation > 1 or (start + channel + operation) & 0xFF != checksum:
            return self._skip()
        self._pending = self._pending[4:]
        self._obey(channel, operation == 1)
        return True

    def _kmtronic(self) -> bool:
        if len(self._pending) < 3:
            return False
        start, channel, operation = self._pending[:3]
        if start != 0xFF or operation > 1:
            return self._skip()
        self._pending = self._pending[3:]
        self._obey(channel, operation == 1)
        return True

    def _numato(self) -> bool:
        line, end, rest = self._pending.partition(b"\r")
        if not end:
            return False
        self._pending = rest
        match = _NUMATO.match(line)
        answer = b""
        if match is None:
            self.bad_bytes += len(line)
        elif match[1] == b"read":
            answer = (b"on" if self.level(int(match[2], 32)) else b"off") + b"\n\r"
        else:
            self._obey(int(match[2], 32), match[1] == b"on")
        self._say(line + b"\n\r" + answer + b">")
        return True

    def _say(self, text: bytes) -> None:
        if self.answer_late_s:
            time.sleep(self.answer_late_s)
        if not self.mute:
            os.write(self._descriptor, text)
