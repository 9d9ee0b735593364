"""Waiting for what another process does, and giving up on a peer that this machine cannot provide."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import NoReturn

import pytest


def eventually(holds: Callable[[], bool], what: str, within_s: float = 5.0) -> None:
    """Return as soon as `holds()` is true; fail the test when it is not within the time."""
    until = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until:
            pytest.fail(f"not within {within_s:g} s: {what}")
        time.sleep(0.002)


def missing(reason: str) -> NoReturn:
    """This machine lacks a peer: fail in CI, skip elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
