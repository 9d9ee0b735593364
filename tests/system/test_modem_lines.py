"""Modem lines as inputs on ports of the kernel: a USB serial gadget whose DSR and DCD really change, in one machine."""

from __future__ import annotations

import json
from pathlib import Path

from tests.system.benches import PYTHON
from tests.system.device.machine import Device
from tests.system.device.sockets import awaited
from tests.system.results import Table

RESULTS = Table(
    "modem-lines",
    "Modem lines of a port of the kernel",
    "make test-system PYTEST_ARGS='-k modem_lines'",
    ["line", "seen"],
)
EDGES = 40
GADGET = "modprobe -a dummy_hcd cdc_acm g_serial"
THERE = "test -c /dev/ttyACM0 -a -c /dev/ttyGS0"


def test_each_change_of_a_modem_line_is_one_edge(tmp_path: Path) -> None:
    with Device(tmp_path / "machine") as device:
        device.guest.run(GADGET)
        awaited(lambda: device.guest.attempt(THERE)[0] == 0, "both ends", lambda: device.guest.run("dmesg"), 60)
        for line in ("dsr", "dcd"):
            program = f"{PYTHON} -m tests.system.guest.modem_edges /dev/ttyACM0 /dev/ttyGS0 {line} {EDGES}"
            said = json.loads(device.guest.run(program, 300).splitlines()[-1])
            assert said["counters"] == list(range(1, EDGES + 1)), said
            assert said["unseen"] == 5, "edges that came while nobody waited are told, or counted"
            middle_ms = sorted(said["errors_ms"])[EDGES]
            assert middle_ms < 50
            RESULTS.add(
                line, f"{2 * EDGES} changes, {2 * EDGES} edges, half of them timed within {middle_ms:.1f} ms"
            )
