"""By how much gate edges are late on each output while the rest of a station works as hard as it can."""

from __future__ import annotations

from multiprocessing import resource_tracker

import pytest

from edge.records import GateOutcome
from tests.line.measure_edges import KINDS, at_share, confirmed_us, late_us, run
from tests.system.calm import CANNOT_DECIDE, MET, MISSED
from tests.system.edges import allowed_us, cyclictest, judged
from tests.system.results import Table

EDGES = 10_000


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
            "budget",
        ),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_gate_edges_are_as_punctual_as_the_machine(kind: str, table: Table) -> None:
    with cyclictest() as cycles:
        events = run(EDGES, kind, loaded=True)
    late, confirmed = late_us(events), confirmed_us(events)
    late_us_, own_us = at_share(late, 0.999), at_share(cycles, 0.999)
    allowed, said = allowed_us(kind, own_us), judged(kind, late_us_, own_us)
    refused = sum(event.outcome is GateOutcome.LATE for event in events)
    answers = ", ".join(f"{at_share(confirmed, share):.0f}" for share in (0.5, 0.999)) if confirmed else "-"
    bound = "-" if allowed is None else f"{allowed:.0f}"
    table.add(kind, len(late), _shares(late), _shares(cycles), bound, answers, refused, said)
    assert len(late) >= EDGES
    assert said != MISSED, f"{late_us_:.0f} us at p99.9, {bound} are allowed"
    assert said != CANNOT_DECIDE, (
        f"{kind}: cyclictest itself was {own_us:.0f} us late at p99.9: take a calmer machine"
    )


@pytest.mark.parametrize(
    ("kind", "late_us", "cyclictest_us", "said"),
    [
        ("memory", 299, 50, MET),
        ("memory", 301, 50, MISSED),
        ("memory", 2_000, 700, MET),
        ("memory", 2_200, 700, MISSED),
        ("modbus", 2_900, 50, MET),
        ("modbus", 3_100, 2_000, MISSED),
        ("modbus", 3_100, 3_100, CANNOT_DECIDE),
        ("modbus", 900, 3_100, CANNOT_DECIDE),
        ("serial_bytes", 90_000, 50, "-"),
    ],
)
def test_only_memory_is_measured_by_the_machines_own_lateness(
    kind: str, late_us: float, cyclictest_us: float, said: str
) -> None:
    """What a bus takes has one limit; a machine that is later than that by itself says nothing of it."""
    assert judged(kind, late_us, cyclictest_us) == said


def _shares(values: list[float]) -> str:
    return ", ".join(f"{at_share(values, share):.0f}" for share in (0.5, 0.99, 0.999, 1.0))
