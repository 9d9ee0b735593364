"""The journal's thread: commits what came together in one go, and only then lets the releases out."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from edge.clock import MS, SECOND, Clock
from edge.errors import JournalError
from edge.health import Health, Level, Progress
from edge.journal.events import Decided, Journal, Record

log = logging.getLogger(__name__)

SOURCE = "journal"
_IDLE_S = 0.2
_RETRY_S = 0.5
MAX_WAITING = 100_000


class Recorder:
    """`put` from any thread; `committed` is called by the journal's thread for each record that is on the disk.

    While the disk fails nothing is forgotten (up to 100,000 records) and the commit is tried again; with `stops` the
    station is NOT_READY meanwhile. A release waits for its commit, so a failing disk never lets a part pass.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        health: Health,
        progress: Progress,
        committed: Callable[[Record], None],
        stops: bool,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._health = health
        self._progress = progress
        self._committed = committed
        self._stops = stops
        self._waiting: deque[Record] = deque()
        self._wake = threading.Event()
        self._committing = threading.Lock()
        self.lost = 0
        self.failing = ""

    def put(self, record: Record) -> None:
        """Queue a record; never blocks. It is lost, and counted, while 100,000 wait already."""
        if len(self._waiting) >= MAX_WAITING:
            self.lost += 1
            return
        self._waiting.append(record)
        self._wake.set()

    def run(self, stop: threading.Event) -> None:
        """Commit until told to stop; what waits then is committed by `finish`."""
        while not stop.is_set():
            self._wake.wait(_IDLE_S)
            self._wake.clear()
            self._progress.beat(SOURCE)
            if self._waiting and not self._commit():
                stop.wait(_RETRY_S)
                self._wake.set()

    def finish(self, patience_ns: int = 2 * SECOND) -> bool:
        """Commit what is left, after the thread was told to end; False when the disk did not take it in time."""
        until_ns = self._clock.now_ns() + patience_ns
        if not self._committing.acquire(timeout=patience_ns / SECOND):
            self.lost += len(self._waiting)  # the thread hangs in the disk
            return False
        self._committing.release()
        while self._waiting and not self._commit():
            if self._clock.now_ns() >= until_ns:
                self.lost += len(self._waiting)
                return False
            self._clock.sleep_until(self._clock.now_ns() + 100 * MS)
        return True

    def _commit(self) -> bool:
        with self._committing:
            return self._commit_all()

    def _commit_all(self) -> bool:
        batch = [self._waiting[index] for index in range(len(self._waiting))]
        try:
            ignored = self._journal.commit(batch)
        except JournalError as error:
            self._failed(str(error))
            return False
        self._recovered()
        for record in batch:
            self._waiting.popleft()
            if any(record is known for known in ignored) and isinstance(record, Decided):
                log.error("part %d has a verdict in the journal already: it is not released", record.part.part_id)
            else:
                self._committed(record)
        return True

    def _failed(self, words: str) -> None:
        if not self.failing:
            log.error("%s", words)
        self.failing = words
        if self._stops:
            self._health.report(SOURCE, Level.NOT_READY, words)

    def _recovered(self) -> None:
        if self.failing:
            log.warning("the journal takes records again")
            self.failing = ""
        self._health.clear(SOURCE)
