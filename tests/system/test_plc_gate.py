"""A thousand parts at twenty in a second: line, eye and a PLC that owns the gate, each a process of its own."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from edge.clock import MS
from edge.line.outputs import survival
from edge.records import GateOutcome
from edge.timing import percentile
from tests.line.lines import EyeProcess, LineProcess, station_file
from tests.peers import eventually
from tests.plc_gate.program import BASE, GatePlc
from tests.plc_gate.test_line_process import Bench
from tests.system.results import keep

PARTS, PITCH_MS, SCAN_MS = 1_000, 50, 5
COMMAND = "make test-system PYTEST_ARGS=tests/system/test_plc_gate.py"


@pytest.mark.slow
def test_a_thousand_parts_at_twenty_in_a_second(tmp_path: Path) -> None:
    with GatePlc(SCAN_MS, travel_ms=285, pulse_ms=35, pitch_ms=PITCH_MS) as plc:
        device = f'host = "127.0.0.1"\nport = {plc.port}\n'
        station = station_file(
            tmp_path,
            trigger=f'kind = "modbus"\n{device}input = 0\npoll_ms = 4\ndebounce_ms = 2',
            gate=f'kind = "plc"\n{device}address = {BASE}\nscan_ms = {SCAN_MS + 1}\nwindow_ms = 12\npoll_ms = 5',
            permit='kind = "memory"',
            pitch=PITCH_MS,
            pulse=35,
            tolerance=7,
        )
        assert survival.refusals(station) == []
        bench = Bench(station, plc, near_ns=30 * MS)
        with LineProcess(station) as line, EyeProcess(station):
            eventually(lambda: "READY" in line.words, "the line is ready", 20)
            plc.ask(f"parts {PARTS}")
            eventually(lambda: plc.ended() == PARTS, "all parts came by the gate", 120, every_s=0.2)
            time.sleep(2)  # the last ones end, also by patience
        _judge(bench, line.words)


def _judge(bench: Bench, words: str) -> None:
    """What the trigger missed, as it does when this machine polls it too late, has no outcome and is rejected."""
    truth, events = bench.truth(), bench.outcomes()
    missed = [born_ns for born_ns in truth if not bench.near(born_ns, events)]
    said = Counter(event.outcome for event in events)
    right = bench.compare(events)  # fails for a part that is not as its record says
    beside = sorted(abs(e.confirmed_ns - e.planned_ns) / MS for e in events if e.confirmed_ns)
    keep(
        "plc-gate",
        "A gate that a PLC owns, at 20 parts in a second",
        COMMAND,
        [
            f"{len(truth)} parts came by the gate, {sum(truth.values())} passed. The trigger was polled too late for "
            f"{len(missed)}, which the PLC rejected. Outcomes: "
            + ", ".join(f"{outcome.name} {count}" for outcome, count in sorted(said.items()))
            + f". {right} records said what happened to the part, the others LATE; none was untrue.",
            "",
            f"The PLC answered for {len(beside)} parts. With scans of {SCAN_MS} ms it moved the gate so many ms beside "
            f"the planned instant: p50 {percentile(beside, 0.5):.1f}, p99 {percentile(beside, 0.99):.1f}, max "
            f"{beside[-1]:.1f}.",
        ],
    )
    assert "stopped" not in words
    assert len(truth) == PARTS and len(missed) <= PARTS // 50
    assert said[GateOutcome.LATE] <= PARTS // 50
    assert said[GateOutcome.RELEASED] >= PARTS // 3
