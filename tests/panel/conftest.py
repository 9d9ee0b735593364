"""Passwords are hashed cheaply in these tests, but where that itself is tested."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from edge.panel import users

COST = users._COST
# a device without the extra has no panel
collect_ignore_glob = [] if find_spec("fastapi") else ["test_*.py"]


@pytest.fixture(autouse=True, scope="module")
def cheap_hashes() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(users, "_COST", 16)
        yield


@pytest.fixture
def costly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes cost what they cost on a device."""
    monkeypatch.setattr(users, "_COST", COST)
