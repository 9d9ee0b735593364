"""By how much gate edges are late on each output while the rest of a station works as hard as it can."""

from __future__ import annotations

import math
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

import pytest

from edge.records import GateOutcome
from tests.line.measure_edges import KINDS, at_share, confirmed_us, late_us, run
from tests.peers.waiting import missing
from tests.system.results import Table

EDGES = 10_000
BUDGET_US = {"memory": 300, "modbus": 3_000}  # the others have none: their wires are told, not judged
CYCLES = 3  # times cyclictest's own p99.9 of the same run are allowed where that is more
WORST_US = 100_000
INTERVAL_US = 10_000


@pytest.fixture(scope="module")
def table() -> Table:
    resource_tracker.ensure_running()  # a process that stays once a test has started another one
    return Table(
        "gate-edges",
        f"Gate edges, written minus planned, {EDGES:,} of each, beside an engine, a journal and a flood",
        'make test-system PYTEST_ARGS="-k gate_edges"',
        (
            "output",
            "edges",
            "p50, p99, p99.9, max, us",
            "cyclictest p50, p99, p99.9, max, us",
            "allowed p99.9, us",
            "confirmed after p50, p99.9, us",
            "late outcomes",
        ),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_gate_edges_are_as_punctual_as_the_machine(kind: str, table: Table) -> None:
    with cyclictest() as cycles:
        events = run(EDGES, kind, loaded=True)
    late, confirmed = late_us(events), confirmed_us(events)
    allowed = max(BUDGET_US[kind], CYCLES * at_share(cycles, 0.999)) if kind in BUDGET_US else math.inf
    refused = sum(event.outcome is GateOutcome.LATE for event in events)
    answers = ", ".join(f"{at_share(confirmed, share):.0f}" for share in (0.5, 0.999)) if confirmed else "-"
    bound = f"{allowed:.0f}" if kind in BUDGET_US else "-"
    table.add(kind, len(late), _shares(late), _shares(cycles), bound, answers, refused)
    assert len(late) >= EDGES
    assert at_share(late, 0.999) <= allowed


def _shares(values: list[float]) -> str:
    return ", ".join(f"{at_share(values, share):.0f}" for share in (0.5, 0.99, 0.999, 1.0))


@contextmanager
def cyclictest() -> Iterator[list[float]]:
    """A thread of cyclictest that wakes a hundred times a second, at a priority above the gate's; at the end, its
    latencies in us are in the list, sorted."""
    program = shutil.which("cyclictest") or missing("install cyclictest (apt-get install rt-tests)")
    words = [program, "--mlockall", "--priority=81", "--threads=1", f"--interval={INTERVAL_US}", "--quiet"]
    latencies: list[float] = []
    with subprocess.Popen([*words, f"--histogram={WORST_US}"], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield latencies
        finally:
            process.send_signal(signal.SIGINT)
            text = process.communicate()[0]
    for us, count in re.findall(r"^(\d{6}) (\d{6})$", text, re.MULTILINE):
        latencies += [float(us)] * int(count)
    over = re.search(r"# Histogram Overflows: 0*(\d+)", text)
    latencies += [float(WORST_US)] * int(over[1] if over and over[1] else 0)
