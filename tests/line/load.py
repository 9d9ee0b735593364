"""What else a station's machine does while its gate moves: an engine at full load, a journal that commits, a flood.

with station_load(folder): ...      # three kinds of work in processes of their own, with ordinary priority
"""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import edge.demo
from edge.bundle import load_keys, read_bundle
from edge.clock import SystemClock
from edge.eye.student import load
from edge.options import ModbusServerPlc, OrtEngine
from edge.plc.modbus_server import ModbusServerLink
from tests.journal.records import decided, ended, opened
from tests.peers.plcs import free_port

_STARTS_WITHIN_S = 60


@contextmanager
def station_load(folder: Path) -> Iterator[None]:
    """All three at work from entry to exit; `folder` is on the disk that is to be written to."""
    port = free_port()
    works: list[tuple[Callable[..., None], tuple[object, ...]]] = [
        (_infer, ()),
        (_commit, (folder / "load-journal",)),
        (_serve, (port,)),
        (_flood, (port,)),
    ]
    spawn = multiprocessing.get_context("spawn")
    processes = []
    try:
        for work, arguments in works:
            ready, told = spawn.Pipe(duplex=False)
            processes.append(spawn.Process(target=work, args=(told, *arguments), daemon=True))
            processes[-1].start()
            if not ready.poll(_STARTS_WITHIN_S):
                raise TimeoutError(f"{work.__name__} did not begin within {_STARTS_WITHIN_S} s")
        yield
        fallen = [process.name for process in processes if process.exitcode is not None]
        assert not fallen, f"{fallen} ended, so the load was not what it is said to be"
    finally:
        for process in processes:
            process.kill()
            process.join()


def _infer(told: Connection) -> None:
    """The demo's student, one picture after the other."""
    demo = Path(edge.demo.__file__).parent
    bundle = read_bundle(next(demo.glob("*.bundle")), load_keys(demo))
    student = load(bundle, OrtEngine(kind="ort", threads=1), SystemClock())
    told.send(True)
    while True:
        student.engine.infer()


def _commit(told: Connection, folder: Path) -> None:
    """A journal that commits a part and its outcome, one transaction with an fsync after the other."""
    journal = opened(folder, SystemClock())
    told.send(True)
    number = 0
    while True:
        number += 1
        journal.commit([decided(number), ended(number)])


def _serve(told: Connection, port: int) -> None:
    """The station's Modbus server for a PLC."""
    link = ModbusServerLink(
        ModbusServerPlc.model_validate({"kind": "modbus_server", "port": port}), SystemClock(), lambda _: None
    )
    link.connect()
    told.send(True)
    multiprocessing.Event().wait()


def _flood(told: Connection, port: int) -> None:
    """Connections with garbage and broken-off requests, as many as the server takes."""
    told.send(True)
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as stranger:
                stranger.sendall(b"\x00\x01\x00\x00\x00\x06\x01\x04\x00\x00\x00\x14" * 200 + b"\xff" * 1_000)
        except OSError:
            continue
