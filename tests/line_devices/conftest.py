"""What the tests of the line's devices share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers import ModbusServer, punctual


@pytest.fixture
def quick() -> Iterator[None]:
    """A busy test machine must not look like a slow device, a slow bus or polls that came late."""
    with punctual():
        yield


@pytest.fixture
def server() -> Iterator[ModbusServer]:
    with ModbusServer() as running:
        yield running
