"""What a part costs in a process that has long been running: page faults, waits, collections, memory that grows."""

from __future__ import annotations

import gc
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from edge.report import memory_mb

GROWN = ("objects", "memory_mb")


class Usage:
    """What this process uses while it is watched; all its threads, and the libraries too.

    `page_faults` are pages that the kernel handed out, `disk_faults` those that it had to read first. `gave_way`
    counts waits for something, `driven_out` cores taken by another process, `collections` Python's searches for
    garbage. `cpu_ms` is processor time, of all threads. `objects` are Python's blocks of memory in use, `memory_mb`
    is what the process holds.
    """

    def __init__(self) -> None:
        self._used: Counter[str] = Counter()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count what happens inside."""
        before = _now()
        try:
            yield
        finally:
            for name, value in _now().items():
                self._used[name] += value - before[name]  # type: ignore[assignment]

    @classmethod
    def empty(cls) -> dict[str, None]:
        """The keys of `per_part`."""
        return {f"{name}_grown" if name in GROWN else name: None for name in _now()}

    def per_part(self, parts: int) -> dict[str, float]:
        """Each of them by the part, but what grew: in all."""
        return {
            f"{name}_grown" if name in GROWN else name: round(value if name in GROWN else value / parts, 4)
            for name, value in self._used.items()
        }


def _now() -> dict[str, float]:
    held_mb, used = memory_mb(), resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu_ms": 1_000 * (used.ru_utime + used.ru_stime),
        "page_faults": used.ru_minflt,
        "disk_faults": used.ru_majflt,
        "gave_way": used.ru_nvcsw,
        "driven_out": used.ru_nivcsw,
        "collections": sum(generation["collections"] for generation in gc.get_stats()),
        "objects": sys.getallocatedblocks(),
        "memory_mb": held_mb,
    }
