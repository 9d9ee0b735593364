"""A Modbus unit on a serial bus that says whatever a test wants, when it wants, right or wrong."""

from __future__ import annotations

import os
import select
import struct
import threading
import time
import tty
from collections.abc import Callable

FRAME = 8  # a request for or to one coil, input or register, with its checksum


def sealed(frame: bytes) -> bytes:
    """The frame with its checksum (CRC-16 of the Modbus standard, reckoned bit by bit)."""
    total = 0xFFFF
    for byte in frame:
        total ^= byte
        for _ in range(8):
            total = total >> 1 ^ 0xA001 if total & 1 else total >> 1
    return frame + struct.pack("<H", total)


class RawSlave:
    """Listens at `port`; `answer` takes each request and returns the bytes to send at once, if any.

    `heard` keeps the requests; `say` sends bytes out of turn.
    """

    def __init__(self, port: str, answer: Callable[[bytes], bytes]) -> None:
        self.heard: list[tuple[int, bytes]] = []
        self.answer = answer
        self._port = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._port)
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._listen, name="raw-slave-peer")

    def __enter__(self) -> RawSlave:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._wake_write, b"x")
        self._thread.join()
        for descriptor in (self._port, self._wake_read, self._wake_write):
            os.close(descriptor)

    def say(self, data: bytes) -> None:
        os.write(self._port, data)

    def _listen(self) -> None:
        pending = b""
        while True:
            ready, _, _ = select.select([self._port, self._wake_read], [], [])
            if self._wake_read in ready:
                return
            try:
                pending += os.read(self._port, 256)
            except OSError:
                return  # unplugged
            while len(pending) >= FRAME:
                frame, pending = pending[:FRAME], pending[FRAME:]
                self.heard.append((time.monotonic_ns(), frame))
                reply = self.answer(frame)
                if reply:
                    self.say(reply)
