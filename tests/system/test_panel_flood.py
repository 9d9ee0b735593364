"""The panel's port is flooded, and held by connections that ask slowly or not at all: others are answered, and the gate
is as punctual as without."""

from __future__ import annotations

import multiprocessing
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from edge.panel.serve import AT_ONCE
from tests.line.measure_edges import at_share, late_us, run
from tests.panel.panels import Visitor, a_station, an_eye
from tests.peers import eventually
from tests.peers.plcs import free_port
from tests.system.costs import memory_mb
from tests.system.edges import allowed_us, cyclictest
from tests.system.results import ROOT, Table

EDGES = 10_000
HELD = 1_000  # connections of strangers, each again when it is closed
DRIP_S = 1.0
ASKS_EVERY_S = 0.2
RESULTS = Table(
    "panel-flood",
    f"A panel under a flood and {HELD:,} slow connections, beside {EDGES:,} gate edges",
    "make test-system PYTEST_ARGS='-k panel_flood'",
    (
        "panel",
        "gate edges, written minus planned: p50, p99, p99.9, max, us",
        "cyclictest p50, p99, p99.9, max, us",
        "another user's requests answered",
        "after p50, max, ms",
        "the panel's connections, at most",
        "its memory, MB",
    ),
)


def serving(station: Path, port: int) -> subprocess.Popen[bytes]:
    """The panel as its service runs it: behind whatever else wants a processor."""
    words = (
        "nice",
        "-n",
        "10",
        sys.executable,
        "-m",
        "edge.cli",
        "panel",
        station,
        "--listen",
        f"127.0.0.1:{port}",
    )
    return subprocess.Popen([str(word) for word in words], cwd=ROOT, stdout=subprocess.DEVNULL)


@dataclass
class User:
    """Somebody signed in who asks again and again, on a connection of their own each time; and what the panel holds."""

    visitor: Visitor
    panel: int  # its process
    took_ms: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    connections: int = 0
    memory_mb: float = 0

    def ask_until(self, stop: threading.Event) -> None:
        while not stop.wait(ASKS_EVERY_S):
            began = time.monotonic()
            try:
                status = self.visitor.get("/api/live").status
            except OSError as error:
                status = error.errno or -1
            self.took_ms.append((time.monotonic() - began) * 1_000)
            if status != 200:
                self.failed.append(str(status))
            self._look()

    def _look(self) -> None:
        held = 0
        for descriptor in Path(f"/proc/{self.panel}/fd").iterdir():
            with suppress(OSError):
                held += str(descriptor.readlink()).startswith("socket:")
        self.connections = max(self.connections, held)
        self.memory_mb = max(self.memory_mb, memory_mb(self.panel))


@contextmanager
def user(visitor: Visitor, panel: int) -> Iterator[User]:
    somebody, stop = User(visitor, panel), threading.Event()
    thread = threading.Thread(target=somebody.ask_until, args=(stop,))
    thread.start()
    try:
        yield somebody
    finally:
        stop.set()
        thread.join()


@contextmanager
def strangers(port: int) -> Iterator[None]:
    """A flood, and connections that are held, from processes of their own; both go on until the end."""
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=work, args=(port,), daemon=True) for work in (flood, hold)]
    for process in processes:
        process.start()
    try:
        yield
        assert [process.exitcode for process in processes] == [None, None], "the flood was none"
    finally:
        for process in processes:
            process.kill()
            process.join()


def flood(port: int) -> None:
    """Connections with a request for a page, none of whose answers is read to its end."""
    os.nice(10)
    asked = f"GET /login HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as stranger:
            stranger.sendall(asked)


def hold(port: int) -> None:
    """Connections of which half send nothing, and half a byte of a head now and then."""
    os.nice(10)
    held = selectors.DefaultSelector()
    while True:
        while len(held.get_map()) < HELD:
            with suppress(OSError):
                stranger = socket.create_connection(("127.0.0.1", port), 1)
                stranger.setblocking(False)
                held.register(stranger, selectors.EVENT_READ)
        until = time.monotonic() + DRIP_S
        while time.monotonic() < until:
            for key, _ in held.select(0.1):
                held.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]
        for number, key in enumerate(held.get_map().values()):
            with suppress(OSError):
                key.fileobj.sendall(b"x" if number % 2 else b"")  # type: ignore[union-attr]


def measured(panel: str, visitor: Visitor, process: int) -> tuple[User, float, float]:
    """What a user and the gate see meanwhile; the gate's p99.9, and the most that it may be, in us."""
    with cyclictest() as cycles, user(visitor, process) as somebody:
        late = late_us(run(EDGES, "memory", loaded=False))
    shares: Callable[[list[float]], str] = lambda values: ", ".join(  # noqa: E731
        f"{at_share(values, share):.0f}" for share in (0.5, 0.99, 0.999, 1.0)
    )
    took = sorted(somebody.took_ms)
    answered = f"{len(took) - len(somebody.failed)} of {len(took)}"
    times = f"{at_share(took, 0.5):.0f}, {took[-1]:.0f}"
    RESULTS.add(
        panel, shares(late), shares(cycles), answered, times, somebody.connections, f"{somebody.memory_mb:.0f}"
    )
    allowed = allowed_us("memory", at_share(cycles, 0.999))
    assert allowed is not None
    return somebody, at_share(late, 0.999), allowed


@pytest.fixture(scope="module", autouse=True)
def tracker() -> None:
    resource_tracker.ensure_running()  # a process that stays once a test has started another one


@pytest.fixture
def quiet_line(tmp_path: Path) -> Iterator[tuple[Visitor, int]]:
    """Somebody signed in, and the panel's process."""
    station, port = a_station(tmp_path), free_port()
    with an_eye(station), serving(station.source, port) as panel:
        try:
            visitor = Visitor(port)

            def is_served() -> bool:
                with suppress(OSError):
                    return visitor.get("/login").status == 200
                return False

            eventually(is_served, "the panel is served", 60, every_s=0.1)
            assert visitor.login("vera").status == 200
            yield visitor, panel.pid
        finally:
            panel.kill()


def test_strangers_at_the_panels_port_keep_nobody_out_and_cost_the_gate_nothing(
    quiet_line: tuple[Visitor, int],
) -> None:
    visitor, panel = quiet_line
    _, p999, allowed = measured("left alone", visitor, panel)
    assert p999 <= allowed
    with strangers(visitor.port):
        time.sleep(3)
        somebody, p999, allowed = measured("flooded and held", visitor, panel)
        assert visitor.login("otto").status == 200, "signing in goes on"
    assert somebody.failed == []
    assert somebody.connections <= AT_ONCE + 20
    assert p999 <= allowed
