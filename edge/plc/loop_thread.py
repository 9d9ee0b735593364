"""An event loop in a thread of its own: servers live there, and the eye's threads speak to them from outside."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as TimedOut
from typing import Any, TypeVar

from edge.errors import PlcError

_Value = TypeVar("_Value")
_ENDS_S = 2.0


class LoopThread:
    """`run` and `close` are called by another thread. Starts at once."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._end())
            self._loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks(self._loop) - {asyncio.current_task(self._loop)}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_asyncgens()

    def run(self, work: Callable[[], Coroutine[Any, Any, _Value]], timeout_s: float) -> _Value:
        """The value of a coroutine run in the loop. Raises PlcError, and cancels it, when it is not there in time."""
        if not self._thread.is_alive():
            raise PlcError("the server's thread has ended: start the station again")
        future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            return future.result(timeout_s)
        except TimedOut as error:
            future.cancel()
            raise PlcError(
                f"the server did not answer within {timeout_s:g} s: is the machine overloaded?"
            ) from error

    def close(self) -> None:
        """Cancel what runs and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_ENDS_S)
