"""A peer as somebody adds it: it rejects every part."""

from __future__ import annotations

from benchmarks.peers.loop import Step, Task

SPAN = "capture to order"


def prepare(task: Task) -> Step:
    def step(_frame: object) -> float:
        task.order(True)
        return 1.0

    return step
