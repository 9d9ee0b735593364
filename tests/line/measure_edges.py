"""`python -m tests.line.measure_edges [--output KIND] [--edges N] [--loaded]`: by how many us gate edges are late.

A real line process, a simulated photo-eye every 20 or 50 ms and an eye that releases every part; gate and permit are
two outputs of this kind on a peer of the tests. Written minus planned is read from the outcome ring, and confirmed
minus written where the wire confirms. `--loaded` adds an engine, a journal and a flood (tests/line/load.py).
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from edge.line.ring import read_from
from edge.records import GateEvent, GateOutcome, Kind
from tests.line.lines import LineProcess, eye_of, station_file
from tests.line.load import station_load
from tests.peers import ModbusServer, PtyPair, RelayBoard

# what is between two parts: a bus and a board that answers each command carry fewer of them
PITCH_MS = {"memory": 20, "modbus": 20, "modbus_rtu": 50, "serial_bytes": 50}
KINDS = tuple(PITCH_MS)
SHARES = ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "max"))


def late_us(events: list[GateEvent]) -> list[float]:
    """Written minus planned of every part that had an edge of its own, sorted."""
    return sorted((event.written_ns - event.planned_ns) / 1_000 for event in events if event.written_ns)


def confirmed_us(events: list[GateEvent]) -> list[float]:
    """Confirmed minus written of every part whose edge was confirmed, sorted."""
    return sorted((event.confirmed_ns - event.written_ns) / 1_000 for event in events if event.confirmed_ns)


def at_share(values: list[float], share: float) -> float:
    """The value that this share of the sorted values does not exceed."""
    return values[min(len(values) - 1, int(share * len(values)))]


@contextmanager
def peer(kind: str) -> Iterator[str]:
    """A device with outputs 0 and 1; what station.toml says of one, with {} for its number."""
    # a peer that is not scheduled for a while is not what is measured
    guarded = "external_watchdog = true\nheartbeat_ms = 200\ntimeout_ms = 2000\n"
    with ExitStack() as stack:
        if kind == "memory":
            yield 'kind = "memory"'
        elif kind == "modbus":
            port = stack.enter_context(ModbusServer()).port
            yield f'kind = "modbus"\nhost = "127.0.0.1"\nport = {port}\ncoil = {{}}\n{guarded}'
        elif kind == "modbus_rtu":
            pty = stack.enter_context(PtyPair())
            stack.enter_context(ModbusServer(pty.peer))
            yield f'kind = "modbus_rtu"\nport = "{pty.device}"\nbaud = 115200\ncoil = {{}}\n{guarded}'
        else:
            pty = stack.enter_context(PtyPair())
            stack.enter_context(board(pty.peer))
            yield f'kind = "serial_bytes"\nport = "{pty.device}"\nboard = "numato"\nchannel = {{}}\n{guarded}'


@contextmanager
def board(port: str) -> Iterator[None]:
    """A relay board that answers, in a process of its own: it does not wait for this one's interpreter."""
    spawn = multiprocessing.get_context("spawn")
    ready, told = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_board, args=(port, told), daemon=True)
    process.start()
    try:
        assert ready.poll(60), "the board does not begin"
        yield
    finally:
        process.kill()
        process.join()


def _board(port: str, told: Connection) -> None:
    with RelayBoard(port, "numato"):
        told.send(True)
        multiprocessing.Event().wait()


def run(edges: int, kind: str, loaded: bool) -> list[GateEvent]:
    """The outcomes of a run with about this many gate edges."""
    pitch_ms = PITCH_MS[kind]
    trigger = f'kind = "simulated"\npitch_ms = {pitch_ms}\njitter_ms = 1'
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        output = stack.enter_context(peer(kind))
        station = station_file(
            folder,
            trigger=trigger,
            gate=output.format(0),
            permit=output.format(1),
            pitch=round(0.8 * pitch_ms),
            pulse=round(0.4 * pitch_ms),
            tolerance=5,
        )
        if loaded:
            stack.enter_context(station_load(folder))
        line, eye = stack.enter_context(LineProcess(station)), stack.enter_context(eye_of(station))
        eye.judge = lambda part: Kind.PASS
        eye.until(lambda: eye.released() >= edges, "the edges are done", within_s=60 + edges * pitch_ms / 250)
        print(line.words.strip())
        return list(read_from(station.station.state_dir / "outcomes.ring", 1).events)


def _told(what: str, values: list[float]) -> None:
    if values:
        shares = "  ".join(f"{name} {at_share(values, share):.0f}" for share, name in SHARES)
        print(f"{what}: n {len(values)}  {shares} us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, default=2_000)
    parser.add_argument("--loaded", action="store_true")
    parser.add_argument("--output", default="memory", choices=KINDS)
    options = parser.parse_args()
    began = time.monotonic()
    events = run(options.edges, options.output, options.loaded)
    late = sum(event.outcome is GateOutcome.LATE for event in events)
    took_s = time.monotonic() - began
    load = "loaded" if options.loaded else "idle"
    print(f"{options.output}, {platform.machine()} Linux {platform.release()}, {load}, {took_s:.0f} s")
    _told("written - planned", late_us(events))
    _told("confirmed - written", confirmed_us(events))
    print(f"late outcomes {late} of {len(events)}")


if __name__ == "__main__":
    main()
