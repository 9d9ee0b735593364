"""`python -m tests.line.measure_edges [--edges N] [--busy N]`: by how many microseconds gate edges are late.

A real line process with a memory output, a simulated photo-eye every 20 ms and an eye that releases every part.
Written minus planned is read from the outcome ring. `--busy` adds processes that compute all the time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import tempfile
import time
from pathlib import Path

from edge.line.ring import read_from
from edge.records import GateEvent, GateOutcome, Kind
from edge.station import Station
from tests.line.lines import LineProcess, eye_of, station_file

PITCH_MS = 20
SHARES = ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "max"))


def late_us(events: list[GateEvent]) -> list[float]:
    """Written minus planned of every part that had an edge of its own, sorted."""
    return sorted((event.written_ns - event.planned_ns) / 1_000 for event in events if event.written_ns)


def at_share(values: list[float], share: float) -> float:
    """The value that this share of the sorted values does not exceed."""
    return values[min(len(values) - 1, int(share * len(values)))]


def run(edges: int, busy: int) -> list[GateEvent]:
    """The outcomes of a run with about this many gate edges."""
    memory = 'kind = "memory"'
    trigger = f'kind = "simulated"\npitch_ms = {PITCH_MS}\njitter_ms = 1'
    loads = [multiprocessing.Process(target=_compute, daemon=True) for _ in range(busy)]
    with tempfile.TemporaryDirectory() as folder:
        station = station_file(
            Path(folder), trigger=trigger, gate=memory, permit=memory, pitch=16, pulse=8, tolerance=5
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, default=2_000)
    parser.add_argument("--busy", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    events = run(options.edges, options.busy)
    values = late_us(events)
    late = sum(event.outcome is GateOutcome.LATE for event in events)
    print(f"{platform.machine()} Linux {platform.release()}, {options.busy} busy, {time.monotonic() - began:.0f} s")
    print(
        f"n {len(values)}  " + "  ".join(f"{name} {at_share(values, share):.0f}" for share, name in SHARES) + " us"
    )
    print(f"late outcomes {late} of {len(events)}")


if __name__ == "__main__":
    main()
