"""Turns on a wire that several threads share: one at a time, and what drives an output goes before what polls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Whoever waits urgently gets the next turn, however fast the others ask again."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = False
        self._urgent = 0

    @contextmanager
    def take(self, urgent: bool, timeout_s: float) -> Iterator[None]:
        """Hold the turn. Raises TimeoutError when it does not come within the time."""
        self._wait(urgent, timeout_s)
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()

    def _wait(self, urgent: bool, timeout_s: float) -> None:
        with self._changed:
            self._urgent += urgent
            try:
                if not self._changed.wait_for(lambda: self._is_for(urgent), timeout_s):
                    raise TimeoutError("others held it all the time")
                self._taken = True
            finally:
                self._urgent -= urgent

    def _is_for(self, urgent: bool) -> bool:
        return not self._taken and (urgent or not self._urgent)
