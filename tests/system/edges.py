"""How late a machine wakes what has to be punctual, by cyclictest, and what gate edges are allowed beside that."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.peers.waiting import missing
from tests.system.calm import CANNOT_DECIDE, MET, MISSED

LIMIT_US = {"memory": 300, "modbus": 3_000}  # the others have none: their wires are told, not judged
CYCLES = 3  # times cyclictest's own p99.9 of the same run are allowed to memory where that is more
WORST_US = 100_000
INTERVAL_US = 10_000


def allowed_us(kind: str, cyclictest_us: float) -> float | None:
    """The p99.9 that an output's edges may have beside cyclictest's own; None where there is no budget."""
    if kind == "memory":
        return max(LIMIT_US[kind], CYCLES * cyclictest_us)
    return LIMIT_US.get(kind)


def judged(kind: str, late_us: float, cyclictest_us: float) -> str:
    """Of two p99.9; "-" where there is no budget."""
    allowed = allowed_us(kind, cyclictest_us)
    if allowed is None:
        return "-"
    if kind != "memory" and cyclictest_us > allowed:
        return CANNOT_DECIDE
    return MET if late_us <= allowed else MISSED


@contextmanager
def cyclictest(interval_us: int = INTERVAL_US, threads: int = 1) -> Iterator[list[float]]:
    """Threads of cyclictest, bound to one processor each where there are several, that wake again and again at a
    priority above the gate's; at the end, their latencies in us are in the list, sorted."""
    program = shutil.which("cyclictest") or missing("install cyclictest (apt-get install rt-tests)")
    words = [program, "--mlockall", "--priority=81", f"--threads={threads}", f"--interval={interval_us}", "--quiet"]
    words += ["--affinity"] if threads > 1 else []
    latencies: list[float] = []
    with subprocess.Popen([*words, f"--histogram={WORST_US}"], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield latencies
        finally:
            process.send_signal(signal.SIGINT)
            text = process.communicate()[0]
    for us, *counts in map(str.split, re.findall(r"^\d{6}(?:[ \t]\d{6,})+$", text, re.MULTILINE)):
        latencies += [float(us)] * sum(map(int, counts))
    over = re.search(r"# Histogram Overflows:((?: \d+)+)", text)
    latencies += [float(WORST_US)] * (sum(map(int, over[1].split())) if over else 0)
