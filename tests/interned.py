"""What Python code interns, as `pathlib` does with each part of a path up to Python 3.13."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch


@contextmanager
def interned() -> Iterator[list[str]]:
    """The strings that are interned meanwhile, in a list that fills."""
    found: list[str] = []
    real = sys.intern

    def intern(text: str) -> str:
        found.append(text)
        return real(text)

    with patch.object(sys, "intern", intern):
        yield found
