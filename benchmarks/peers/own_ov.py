"""Kenpin's own path on OpenVINO: the same model, for the peers that run it there."""

from __future__ import annotations

from benchmarks.peers.loop import Step, Task
from benchmarks.peers.own import SPAN, step_of

__all__ = ["LIBRARIES", "SPAN", "prepare"]

LIBRARIES = ("edge", "cv2", "openvino")


def prepare(task: Task) -> Step:
    """As own.py does it."""
    return step_of(task, "ov")
