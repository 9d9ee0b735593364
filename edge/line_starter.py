"""Starts the line process for an eye that finds none, and ends what it has started."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from edge.clock import MS, SECOND, Clock
from edge.errors import ConfigError
from edge.station import Station

_FIRST_BACKOFF_NS = 100 * MS
_LAST_BACKOFF_NS = 5 * SECOND
_STEADY_NS = 10 * SECOND  # a line that lived this long is started again without delay
_KILLED_NS = 5 * SECOND
_ENDS_NS = 5 * SECOND  # beyond the time until its outputs rest
_REFUSED = ConfigError.exit_code


def is_child(pid: int) -> bool:
    """Whether this process is a line that an eye started."""
    return b"--child" in _words(pid)


def _words(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def patience_ns(station: Station) -> int:
    """How long the station's line may take to end when it is told to."""
    return round(station.longest_stop_ms * MS) + _ENDS_NS


@contextmanager
def starting(stations: Sequence[Station], clock: Clock) -> Iterator[list[Starter]]:
    """A Starter for each station, its line begun where none runs: an eye that has yet to load needs it soon. At the
    end the lines that still run are ended; after Ctrl-C, which waits for no part, they finish by themselves."""
    starters = [Starter(station.source, clock) for station in stations]
    with ExitStack() as ends:
        for station, starter in zip(stations, starters, strict=True):
            ends.callback(starter.end, patience_ns(station))
            if not _runs(station):
                starter.start()
        try:
            yield starters
        except KeyboardInterrupt:
            ends.pop_all()
            for starter in starters:
                starter.ask_to_end()
            raise


def _runs(station: Station) -> bool:
    """Whether the station's line is there already, an eye's or a unit's."""
    with suppress(OSError, ValueError):
        return b"edge.line" in _words(int((station.station.state_dir / "line.lock").read_text(encoding="ascii")))
    return False


class Starter:
    """Starts the line process, again with growing delay while it keeps dying; `start` is the polling thread's."""

    def __init__(self, source: Path, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._child: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()  # a line that is being started when the eye ends must be known to it
        self._is_over = False
        self._started_ns = 0
        self._allowed_ns = 0
        self._backoff_ns = _FIRST_BACKOFF_NS

    def start(self) -> str:
        """Start the line unless it is starting or must wait; returns what is going on, in words.

        Raises ConfigError when the line refused the station file.
        """
        with self._starting:
            return "the line has ended" if self._is_over else self._start()

    def _start(self) -> str:
        now_ns = self._clock.now_ns()
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return "the line process starts"
            self._child = None
            self._ended(code, now_ns)
        if now_ns < self._allowed_ns:
            return "the line process ended early; it is started again, see its messages"
        command = [sys.executable, "-m", "edge.line", str(self._source), "--child"]
        # a session of its own: neither the eye's death nor its terminal's end may take the line along
        self._child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        self._started_ns = now_ns
        return "the line process starts"

    def _ended(self, code: int, now_ns: int) -> None:
        if code == _REFUSED:
            raise ConfigError(f"the line refuses {self._source}: see its message above, fix the file")
        if now_ns - self._started_ns >= _STEADY_NS or code == 0:
            self._backoff_ns = _FIRST_BACKOFF_NS
            return
        self._allowed_ns = now_ns + self._backoff_ns
        self._backoff_ns = min(2 * self._backoff_ns, _LAST_BACKOFF_NS)

    def wait(self, patience_ns: int) -> bool:
        if self._child is None:
            return True
        try:
            self._child.wait(patience_ns / SECOND)
        except subprocess.TimeoutExpired:
            return False
        self._child = None
        return True

    def ask_to_end(self) -> None:
        """SIGTERM, which finishes the zone like Stop does. None is started after it."""
        with self._starting:
            self._is_over = True
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()

    def end(self, patience_ns: int) -> bool:
        """The same, and wait for it. False when it did not end in time and was killed."""
        self.ask_to_end()
        if self.wait(patience_ns) or self._child is None:
            return True
        self._child.kill()
        self.wait(_KILLED_NS)
        return False
