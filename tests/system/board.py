"""The relay board in a process of its own, so that its times are not those of a test that computes.

python -m tests.system.board SILENCE_MS      prints its port, then `CHANNEL LEVEL NS` for each change; ends with stdin
"""

from __future__ import annotations

import select
import subprocess
import sys
import tempfile
from pathlib import Path

from edge.clock import SystemClock
from edge.relay_board import RelayBoard
from tests.line.lines import ROOT, Levels
from tests.peers import eventually, hurry


class Board:
    """Two relays with power of their own and a watchdog: they fall when no command came for `silence_ms`."""

    def __init__(self, silence_ms: float) -> None:
        self._silence_ms = silence_ms
        self.port = ""

    def __enter__(self) -> Board:
        self._said = tempfile.NamedTemporaryFile(prefix="kenpin-board-", suffix=".log")
        command = [sys.executable, "-m", "tests.system.board", str(self._silence_ms)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=self._said, cwd=ROOT)
        eventually(lambda: b"\n" in self._text(), "the board is there", 30)
        self.port = self._text().split(b"\n")[0].decode()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self._said.close()

    def levels(self, channel: int, since_ns: int = 0) -> Levels:
        """The changes of one relay, oldest first, at CLOCK_MONOTONIC ns."""
        lines = (line.split() for line in self._text().split(b"\n")[1:-1])
        edges = ((int(line[0]), line[1] == b"1", int(line[2])) for line in lines)
        return [(at_ns, on) for number, on, at_ns in edges if number == channel and at_ns >= since_ns]

    def is_on(self, channel: int) -> bool:
        """The relay's level now."""
        levels = self.levels(channel)
        return bool(levels) and levels[-1][1]

    def _text(self) -> bytes:
        return Path(self._said.name).read_bytes()


def main(silence_ms: float) -> None:
    with RelayBoard(SystemClock(), silence_ms=silence_ms) as board:
        hurry(board._thread.native_id or 0)
        hurry(0)
        print(board.port, flush=True)
        told = 0
        while not select.select([sys.stdin], [], [], 0.002)[0]:
            for edge in board.edges[told:]:
                print(edge.channel, int(edge.on), edge.at_ns, flush=True)
                told += 1


if __name__ == "__main__":
    main(float(sys.argv[1]))
