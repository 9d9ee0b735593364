"""A simulated USB relay board (LCUS byte commands) on a pseudo-terminal, for the demo and for trying a station.

Like better boards it has a watchdog: relays fall when no command came for `silence_ms`.
"""

from __future__ import annotations

import os
import select
import threading
import tty
from dataclasses import dataclass

from edge.clock import MS, SECOND, Clock

_COMMAND = 4  # start byte, channel, operation, checksum
_START = 0xA0


@dataclass(frozen=True, slots=True)
class RelayEdge:
    """A relay changed at `at_ns` (CLOCK_MONOTONIC); `by_watchdog` when silence made it fall."""

    channel: int
    on: bool
    at_ns: int
    by_watchdog: bool = False


class RelayBoard:
    """Relays 1 to `channels` behind the serial port `port` (a pty's path); keeps every change in `edges`."""

    def __init__(self, clock: Clock, channels: int = 2, silence_ms: float = 1_000.0) -> None:
        self._clock = clock
        self._silence_ns = round(silence_ms * MS)
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        # The slave stays open here: a pty whose last slave closes reports EIO, an unplugged board.
        self._slave = slave
        self._wake_read, self._wake_write = os.pipe()
        self._pending = b""
        self._heard_ns = clock.now_ns()
        self.relays = [False] * channels
        self.edges: list[RelayEdge] = []
        self.bad_bytes = 0
        self._thread = threading.Thread(target=self._listen, name="relay-board")

    def __enter__(self) -> RelayBoard:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._wake_write, b"x")
        self._thread.join()
        for descriptor in (self._master, self._slave, self._wake_read, self._wake_write):
            os.close(descriptor)

    def _listen(self) -> None:
        while True:
            ready, _, _ = select.select([self._master, self._wake_read], [], [], self._silence_ns / SECOND / 4)
            if self._wake_read in ready:
                return
            now_ns = self._clock.now_ns()
            if self._master in ready:
                self._heard_ns = now_ns
                self._obey(os.read(self._master, 256), now_ns)
            elif now_ns - self._heard_ns > self._silence_ns:
                self._fall(now_ns)

    def _obey(self, data: bytes, now_ns: int) -> None:
        self._pending += data
        while len(self._pending) >= _COMMAND:
            start, channel, operation, checksum = self._pending[:_COMMAND]
            known = start == _START and 1 <= channel <= len(self.relays) and operation in (0, 1)
            if not known or (start + channel + operation) & 0xFF != checksum:
                self._pending = self._pending[1:]
                self.bad_bytes += 1
                continue
            self._pending = self._pending[_COMMAND:]
            self._set(channel, operation == 1, now_ns, by_watchdog=False)

    def _fall(self, now_ns: int) -> None:
        for channel in range(1, len(self.relays) + 1):
            self._set(channel, False, now_ns, by_watchdog=True)

    def _set(self, channel: int, on: bool, now_ns: int, *, by_watchdog: bool) -> None:
        if self.relays[channel - 1] != on:
            self.relays[channel - 1] = on
            self.edges.append(RelayEdge(channel, on, now_ns, by_watchdog))
