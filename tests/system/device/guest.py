"""The host's end of the agent in the guest: runs programs there and collects what they print."""

from __future__ import annotations

import json
import queue
import signal
import socket
import threading
import time
from collections import defaultdict
from typing import Any, NamedTuple

import pytest

from tests.system.device.sockets import awaited


class Line(NamedTuple):
    """What a program in the guest printed, and when that reached the host (CLOCK_MONOTONIC ns)."""

    at_ns: int
    text: str


class Guest:
    """Connected from `connect` until the machine is gone or `close`."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._numbers = iter(range(1, 1_000_000))
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = defaultdict(queue.Queue)
        self._lines: dict[str, list[Line]] = defaultdict(list)
        self._ended: dict[str, int] = {}
        self.greetings = 0  # how often it has booted
        self.gone = threading.Event()

    def connect(self, link: socket.socket) -> None:
        """From now on the guest may speak."""
        self._socket = link
        self._thread = threading.Thread(target=self._listen, name="guest")
        self._thread.start()

    def close(self) -> None:
        """After the machine has ended; may be called twice."""
        if self._socket is not None and self._thread is not None:
            self._socket.shutdown(socket.SHUT_RDWR) if not self.gone.is_set() else None
            self._thread.join()
            self._socket.close()
            self._socket = None

    def run(self, command: str, within_s: float = 120.0) -> str:
        """A shell command to its end; its output. Fails the test when it does not succeed."""
        code, output = self.attempt(command, within_s)
        if code:
            pytest.fail(f"in the guest `{command}` ended with {code}: {output}")
        return output

    def attempt(self, command: str, within_s: float = 120.0) -> tuple[int, str]:
        """A shell command to its end; its exit code and output."""
        answer = self._ask({"run": command, "within_s": within_s}, within_s + 60)
        return answer["code"], answer["output"]

    def start(self, name: str, command: str) -> None:
        """A program that goes on; what it prints is in `lines(name)`."""
        self._ended.pop(name, None)
        self._ask({"start": command, "name": name}, 60)

    def signal(self, name: str, number: signal.Signals) -> None:
        """To the program of this name and those that it started in its session."""
        self._ask({"signal": number, "name": name}, 60)

    def lines(self, name: str) -> list[Line]:
        """What the program of this name printed so far, oldest first."""
        return list(self._lines[name])

    def text(self, name: str) -> str:
        return "\n".join(line.text for line in self.lines(name))

    def ended(self, name: str) -> int | None:
        """The program's exit code, None while it runs."""
        return self._ended.get(name)

    def ends(self, name: str, within_s: float = 60.0) -> int:
        """Wait for the program's end; its exit code."""
        awaited(lambda: name in self._ended, f"{name} ends", lambda: self.text(name), within_s)
        return self._ended[name]

    def _ask(self, order: dict[str, Any], patience_s: float) -> dict[str, Any]:
        assert self._socket is not None, "connect first"
        number = next(self._numbers)
        self._socket.sendall(json.dumps({"id": number, **order}).encode() + b"\n")
        try:
            return self._answers[number].get(timeout=patience_s)
        except queue.Empty:
            pytest.fail(f"the guest does not answer to {order}")

    def _listen(self) -> None:
        assert self._socket is not None
        pending = b""
        while True:
            try:
                data = self._socket.recv(65_536)
            except OSError:
                data = b""
            if not data:
                self.gone.set()
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                self._take(json.loads(line), time.monotonic_ns())

    def _take(self, words: dict[str, Any], at_ns: int) -> None:
        if "id" in words:
            self._answers[words["id"]].put(words)
        elif "line" in words:
            self._lines[words["name"]].append(Line(at_ns, words["line"]))
        elif "ended" in words:
            self._ended[words["name"]] = words["ended"]
        else:
            self.greetings += 1
