"""Passwords are hashed cheaply in these tests, but where that itself is tested."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge.panel import users

COST = users._COST


@pytest.fixture(autouse=True, scope="module")
def cheap_hashes() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(users, "_COST", 16)
        yield


@pytest.fixture
def costly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes cost what they cost on a device."""
    monkeypatch.setattr(users, "_COST", COST)
