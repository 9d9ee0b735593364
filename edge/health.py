"""The state of the station with its first cause; systemd hears of life only when work is proven."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import TracebackType

from edge.clock import Clock


class Level(IntEnum):
    """The states of the eye; the larger one wins when several causes stand."""

    READY = 0
    BYPASSED = 1  # a person lets parts pass uninspected for a limited time
    NOT_READY = 2  # a device is away and is tried again
    STOPPED = 3  # a limit holds the line until a person acknowledges
    FAULT = 4  # a device of the line failed, or something of the eye that does not come back by itself
    STOPPING = 5


@dataclass(frozen=True, slots=True)
class Standing:
    """A state with the words of its first cause (empty when READY), and who reported it to Health, if anybody did."""

    level: Level
    cause: str
    source: str = field(default="", compare=False)


class Health:
    """The causes that keep the station from inspecting, by who reports them; any thread may report and read.

    The state is that of the gravest cause; of equally grave ones the first reported is shown, until it is cleared.
    `on_change` is called with each new standing, by the reporting thread, outside the lock.
    """

    def __init__(self, on_change: Callable[[Standing], None] = lambda _standing: None) -> None:
        self._lock = threading.Lock()
        self._causes: dict[str, Standing] = {}
        self._on_change = on_change
        self._standing = Standing(Level.READY, "")

    @property
    def standing(self) -> Standing:
        return self._standing

    @property
    def is_ready(self) -> bool:
        return self._standing.level is Level.READY

    def cause(self, source: str) -> Standing | None:
        """What this source has reported and not cleared."""
        with self._lock:
            return self._causes.get(source)

    def report(self, source: str, level: Level, cause: str, anew: bool = False) -> None:
        """`source` has this cause from now on; its first words stay while the level does, unless it is another cause
        `anew`."""
        with self._lock:
            known = self._causes.get(source)
            if known is None or known.level is not level or anew:
                self._causes[source] = Standing(level, cause, source)
        self._settle()

    def clear(self, source: str) -> None:
        """`source` is well again. A FAULT stays: it needs a restart."""
        with self._lock:
            known = self._causes.get(source)
            if known is not None and known.level is not Level.FAULT:
                del self._causes[source]
        self._settle()

    def _settle(self) -> None:
        with self._lock:
            before = self._standing
            # max keeps the first of equals, and a dict keeps the order of reports
            self._standing = max(
                self._causes.values(), key=lambda standing: standing.level, default=Standing(Level.READY, "")
            )
            after = self._standing
        if after != before:
            self._on_change(after)


class Progress:
    """Proof of life of the threads: each one beats when it has done its work or waited for it in vain.

    `bounds` names every thread and the nanoseconds within which it must beat again.
    """

    def __init__(self, clock: Clock, bounds: Mapping[str, int]) -> None:
        self._clock = clock
        self._bounds = dict(bounds)
        self._beats = dict.fromkeys(bounds, clock.now_ns())

    def beat(self, name: str) -> None:
        self._beats[name] = self._clock.now_ns()

    def stalled(self) -> list[str]:
        """The threads whose last beat is too long ago."""
        now_ns = self._clock.now_ns()
        return [name for name, bound_ns in self._bounds.items() if now_ns - self._beats[name] > bound_ns]


class Notifier:
    """systemd's notification protocol on a datagram socket; without an address every call does nothing.

    Never raises and never blocks: an unheard message is not worth a part.
    """

    def __init__(self, address: str = "", watchdog_ns: int = 0) -> None:
        self._feed_every_ns = watchdog_ns // 4
        self._fed_ns: int | None = None
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, pid: int | None = None) -> Notifier:
        """The notifier that systemd asked for by NOTIFY_SOCKET and WATCHDOG_USEC, for this process only."""
        ours = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid() if pid is None else pid))
        period_us = environment.get("WATCHDOG_USEC", "0") if ours else "0"
        return cls(environment.get("NOTIFY_SOCKET", ""), int(period_us) * 1_000 if period_us.isdigit() else 0)

    def _send(self, words: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(words.encode(), self._address)
        except OSError:
            return

    def ready(self) -> None:
        """The service runs: its threads stand and the line is asked for (a device may still be away)."""
        self._send("READY=1")

    def status(self, words: str) -> None:
        self._send("STATUS=" + words.replace("\n", " "))

    def is_hungry(self, now_ns: int) -> bool:
        """Whether the watchdog should be fed again; never where systemd asked for none."""
        return bool(self._feed_every_ns) and (self._fed_ns is None or now_ns - self._fed_ns >= self._feed_every_ns)

    def alive(self, now_ns: int) -> None:
        """Feed the watchdog as often as it needs: only from where every thread was just seen to make progress."""
        if self.is_hungry(now_ns):
            self._fed_ns = now_ns
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Notifier:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()
