"""The eye's threads: one stop event, one first failure, and a common time budget for their end."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Mapping

from edge.clock import SECOND, Clock


class Crew:
    """Starts threads and ends them. A thread that fails stops all; its exception is kept as `failure`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._threads: list[threading.Thread] = []
        self.stop = threading.Event()
        self.failure: BaseException | None = None

    def start(self, name: str, work: Callable[[threading.Event], None]) -> None:
        """Run `work(stop)` in a thread of this name; it returns soon after the event is set."""
        # daemons, because a thread that hangs in a driver must not keep a stopped process alive
        thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, work: Callable[[threading.Event], None]) -> None:
        try:
            work(self.stop)
        except Exception as error:
            self.failure = self.failure or error
            self.stop.set()

    def join(self, budget_ns: int) -> list[str]:
        """Stop all threads within the budget; returns each one that did not end, with its stack."""
        self.stop.set()
        end_ns = self._clock.now_ns() + budget_ns
        for thread in self._threads:
            thread.join(max(0.0, (end_ns - self._clock.now_ns()) / SECOND))
        frames = sys._current_frames()
        return [_stack(thread, frames) for thread in self._threads if thread.is_alive()]


def _stack(thread: threading.Thread, frames: Mapping[int, object]) -> str:
    frame = frames.get(thread.ident or 0)
    lines = traceback.format_stack(frame) if frame is not None else []  # type: ignore[arg-type]
    return f"thread {thread.name} did not end; it stands at:\n{''.join(lines)}"
