"""Runs in the guest: does what the host asks for, one JSON object a line, on a serial port.

{"id": 1, "run": "uname -r", "within_s": 60}   ->  {"id": 1, "code": 0, "output": "6.1..."}
{"id": 2, "start": "edge run x", "name": "eye"} ->  {"id": 2, "code": 0, "output": ""}, {"name": "eye", "line": ".."}
                                                    for what it prints, {"name": "eye", "ended": 0} at its end
{"id": 3, "signal": 15, "name": "eye"}          ->  {"id": 3, "code": 0, "output": ""}, sent to all its processes
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import tty
from typing import Any


class Agent:
    def __init__(self, port: str) -> None:
        self._descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._descriptor)
        self._writing = threading.Lock()
        self._started: dict[str, int] = {}

    def serve(self) -> None:
        """For ever."""
        self._say({"hello": os.getpid()})
        with os.fdopen(self._descriptor, "rb", closefd=False) as asked:
            for line in asked:
                threading.Thread(target=self._obey, args=(json.loads(line),)).start()

    def _say(self, words: dict[str, Any]) -> None:
        data = json.dumps(words).encode() + b"\n"
        with self._writing:
            while data:
                data = data[os.write(self._descriptor, data) :]

    def _obey(self, order: dict[str, Any]) -> None:
        if "run" in order:
            self._run(order["id"], order["run"], order["within_s"])
        elif "signal" in order:
            os.killpg(self._started[order["name"]], order["signal"])
            self._say({"id": order["id"], "code": 0, "output": ""})
        else:
            self._start(order["id"], order["name"], order["start"])

    def _run(self, number: int, command: str, within_s: float) -> None:
        with _program(command) as process:
            try:
                output, _ = process.communicate(timeout=within_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                output = process.communicate()[0] + f"\nnot done within {within_s:g} s\n"
        self._say({"id": number, "code": process.returncode, "output": output})

    def _start(self, number: int, name: str, command: str) -> None:
        with _program(command) as process:
            self._started[name] = process.pid
            self._say({"id": number, "code": 0, "output": ""})
            assert process.stdout is not None
            for line in process.stdout:
                self._say({"name": name, "line": line.rstrip("\n")})
        self._say({"name": name, "ended": process.returncode})


def _program(command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


if __name__ == "__main__":
    Agent(sys.argv[1]).serve()
