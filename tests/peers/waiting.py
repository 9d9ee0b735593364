"""Waiting for what another process does, and giving up on a peer that this machine cannot provide."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import pytest


def eventually(holds: Callable[[], bool], what: str, within_s: float = 60.0, every_s: float = 0.002) -> None:
    """Return as soon as `holds()` is true; fail the test when it is not within the time."""
    until = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until:
            pytest.fail(f"not within {within_s:g} s: {what}")
        time.sleep(every_s)


def hurry(number: int) -> None:
    """Let this thread or process (0: the calling thread) run before others, as a device does; where we may."""
    with suppress(PermissionError):
        os.sched_setscheduler(number, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(60))


@contextmanager
def punctual() -> Iterator[None]:
    """Let this thread, which may hold up a peer's, run before whatever else this machine computes."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    hurry(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


def missing(reason: str) -> NoReturn:
    """This machine lacks a peer: fail in CI, skip elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
