"""`python -m tests.line.measure_edges [--output KIND] [--edges N] [--busy N]`: by how many us gate edges are late.

A real line process, a simulated photo-eye every 20 ms and an eye that releases every part; gate and permit are two
outputs of this kind on a peer of the tests. Written minus planned is read from the outcome ring, and confirmed minus
written where the wire confirms. `--busy` adds processes that compute all the time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edge.line.ring import read_from
from edge.records import GateEvent, GateOutcome, Kind
from edge.station import Station
from tests.line.lines import LineProcess, eye_of, station_file
from tests.peers import ModbusServer, PtyPair, RelayBoard

PITCH_MS = 20
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
            stack.enter_context(RelayBoard(pty.peer, "numato"))
            yield f'kind = "serial_bytes"\nport = "{pty.device}"\nboard = "numato"\nchannel = {{}}\n{guarded}'


def run(edges: int, busy: int, kind: str) -> list[GateEvent]:
    """The outcomes of a run with about this many gate edges."""
    trigger = f'kind = "simulated"\npitch_ms = {PITCH_MS}\njitter_ms = 1'
    loads = [multiprocessing.Process(target=_compute, daemon=True) for _ in range(busy)]
    with tempfile.TemporaryDirectory() as folder, peer(kind) as output:
        station = station_file(
            Path(folder),
            trigger=trigger,
            gate=output.format(0),
            permit=output.format(1),
            pitch=16,
            pulse=8,
            tolerance=5,
        )
        for process in loads:
            process.start()
        try:
            return _measured(station, edges)
        finally:
            for process in loads:
                process.kill()
                process.join()


def _measured(station: Station, edges: int) -> list[GateEvent]:
    with LineProcess(station) as line, eye_of(station) as eye:
        eye.judge = lambda part: Kind.PASS
        eye.until(lambda: eye.released() >= edges, "the edges are done", within_s=60 + edges * PITCH_MS / 500)
        print(line.words.strip())
        return list(read_from(station.station.state_dir / "outcomes.ring", 1).events)


def _compute() -> None:
    number = 1
    while True:
        number = number * 1_103_515_245 % 2_147_483_647


def _told(what: str, values: list[float]) -> None:
    if values:
        shares = "  ".join(f"{name} {at_share(values, share):.0f}" for share, name in SHARES)
        print(f"{what}: n {len(values)}  {shares} us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, default=2_000)
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--output", default="memory", choices=("memory", "modbus", "modbus_rtu", "serial_bytes"))
    options = parser.parse_args()
    began = time.monotonic()
    events = run(options.edges, options.busy, options.output)
    late = sum(event.outcome is GateOutcome.LATE for event in events)
    took_s = time.monotonic() - began
    print(f"{options.output}, {platform.machine()} Linux {platform.release()}, {options.busy} busy, {took_s:.0f} s")
    _told("written - planned", late_us(events))
    _told("confirmed - written", confirmed_us(events))
    print(f"late outcomes {late} of {len(events)}")


if __name__ == "__main__":
    main()
