"""What another process has cost so far, as the kernel tells."""

from __future__ import annotations

import os
from pathlib import Path


def cpu_s(pid: int) -> float:
    """Seconds of processor of a process, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int, name: str = "VmRSS") -> float:
    """What it holds in memory, 10^6 bytes; with VmHWM the most that it has held; 0 where it has just ended."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    kilobytes = status.partition(f"{name}:")[2].split()[:1]
    return int(kilobytes[0]) * 1_024 / 1e6 if kilobytes else 0.0
