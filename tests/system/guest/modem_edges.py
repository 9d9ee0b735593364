"""Runs in the guest: the modem-line input on a port of the kernel whose lines really change, and what it said of them.

    python -m tests.system.guest.modem_edges PORT OTHER_END LINE COUNT

Opening OTHER_END, the far side of a USB serial gadget, raises DSR and DCD of PORT, closing it lets them fall. Prints
JSON: the counters of the rising edges, how far each edge's time is from the change in ms, and what became of changes
that came while nobody waited.
"""

from __future__ import annotations

import json
import os
import sys
import time

from edge.clock import MS, SystemClock
from edge.line.inputs.serial_line import SerialLineInput
from edge.options import SerialLineInput as Options
from edge.records import Edge


def main(port: str, other_end: str, line: str, count: int) -> None:
    chosen = {"kind": "serial_line", "port": port, "line": line, "debounce_ms": 20, "late_ms": 15}
    device = SerialLineInput(Options.model_validate(chosen), SystemClock())
    device.open()
    counters, errors_ms = [], []
    for _ in range(count):
        end, raised_ns = changed(other_end, None)
        rise = edge_of(device)
        _, fallen_ns = changed(other_end, end)
        fall = edge_of(device)
        assert (rise.level, fall.level) == (True, False), (rise, fall)
        counters.append(rise.counter)
        errors_ms += [abs(rise.at_ns - raised_ns) / MS, abs(fall.at_ns - fallen_ns) / MS]
    print(json.dumps({"counters": counters, "errors_ms": errors_ms, "unseen": unseen(device, other_end)}))
    device.close()


def changed(path: str, opened: int | None) -> tuple[int, int]:
    """Open the far side, or close it; its descriptor, and when."""
    at_ns = time.monotonic_ns()
    if opened is None:
        return os.open(path, os.O_RDWR | os.O_NOCTTY), at_ns
    os.close(opened)
    return -1, at_ns


def edge_of(device: SerialLineInput) -> Edge:
    edge = device.wait(10.0)
    assert edge is not None, "no edge within 10 s"
    return edge


def unseen(device: SerialLineInput, other_end: str) -> int:
    """Rises of which the input tells by a jump of its counter: several came while nobody waited."""
    before = None
    for _ in range(5):
        end, _ = changed(other_end, None)
        time.sleep(0.05)
        changed(other_end, end)
        time.sleep(0.05)
    counter = 0
    while (edge := device.wait(1.0)) is not None:
        before = edge if before is None else before
        counter = edge.counter
    assert before is not None
    return counter - before.counter + 1


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
