"""Connecting to a program that has only just been started, and waiting for what it does with its own words at hand."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest


def connected(path: Path, ended: Callable[[], bool], within_s: float = 30.0) -> socket.socket:
    """A connection to the Unix socket, as soon as somebody listens there."""
    until = time.monotonic() + within_s
    while True:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(str(path))
            return link
        except OSError as error:
            link.close()
            if ended() or time.monotonic() > until:
                pytest.fail(f"nobody listens at {path}: {error}")
        time.sleep(0.02)


def awaited(holds: Callable[[], bool], what: str, words: Callable[[], str], within_s: float) -> None:
    """Return when this holds; fail with what the program has said by then."""
    until = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until:
            pytest.fail(f"not within {within_s:g} s: {what}; it says: {words()[-3_000:]}")
        time.sleep(0.01)
