"""The journal's thread: commits what came together in one go, and only then lets the releases out."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from edge.clock import MS, SECOND, Clock
from edge.errors import JournalError
from edge.health import Health, Level, Progress
from edge.journal.events import Journal
from edge.journal.rows import Decided, Note, Record

log = logging.getLogger(__name__)

SOURCE = "journal"
BOUND_NS = 30 * SECOND  # a slower disk is the policy's matter; a thread that hangs longer is the watchdog's
SLOW_NS = 2 * SECOND
MAX_WAITING = 100_000
_MAX_BATCH = 2_000
_IDLE_S = 0.2
_RETRY_S = 0.5
_SLOW = "the disk has not taken a record for 2 s; check its health and what else writes to it"


class Recorder:
    """`put` from any thread; `committed` is called by the journal's thread for each record that is on the disk.

    While the disk fails, is full or is slow, `failing` says why, and nothing may pass; with `stops` the station is
    NOT_READY too. Nothing is forgotten meanwhile (up to 100,000 records), and the commit is tried again. A release
    waits for its commit, so a part never passes unrecorded.
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
        self._waiting: deque[tuple[int, Record]] = deque()
        self._wake = threading.Event()
        self._committing = threading.Lock()
        self._lost_noted = 0
        self.lost = 0
        self.failing = ""

    def put(self, record: Record) -> None:
        """Queue a record; never blocks. It is lost, and counted, while 100,000 wait already."""
        if len(self._waiting) >= MAX_WAITING:
            self.lost += 1
            return
        self._waiting.append((self._clock.now_ns(), record))
        self._wake.set()

    def watch(self) -> None:
        """See whether the disk keeps records waiting; for a thread that never waits for the disk."""
        try:
            since_ns, _ = self._waiting[0]
        except IndexError:
            return
        if self._clock.now_ns() - since_ns > SLOW_NS:
            self._failed(_SLOW)

    def run(self, stop: threading.Event) -> None:
        """Commit until told to stop; what waits then is committed by `finish`."""
        while not stop.is_set():
            self._wake.wait(_IDLE_S)
            self._wake.clear()
            self._progress.beat(SOURCE)
            if not self._commit():
                stop.wait(_RETRY_S)
            if self._waiting:
                self._wake.set()

    def finish(self, patience_ns: int = 2 * SECOND) -> bool:
        """Commit what is left, after the thread was told to end; False when the disk did not take it in time."""
        until_ns = self._clock.now_ns() + patience_ns
        if not self._committing.acquire(timeout=patience_ns / SECOND):
            self.lost += len(self._waiting)  # the thread hangs in the disk
            return False
        self._committing.release()
        while self._waiting:
            if not self._commit():
                if self._clock.now_ns() >= until_ns:
                    self.lost += len(self._waiting)
                    return False
                self._clock.sleep_until(self._clock.now_ns() + 100 * MS)
        return True

    def _commit(self) -> bool:
        """Commit what waits, let the releases out, then keep house; whether the disk took it all."""
        with self._committing:
            try:
                # others append meanwhile: an iterator over the queue would fail
                count = min(len(self._waiting), _MAX_BATCH)
                if count:
                    self._commit_batch([self._waiting[place][1] for place in range(count)])
                self._journal.tend()
            except JournalError as error:
                self._failed(str(error))
                return False
            if self._journal.shortage:
                self._failed(self._journal.shortage)
            else:
                self._recovered()
            return True

    def _commit_batch(self, batch: list[Record]) -> None:
        ignored = self._journal.commit(batch)
        for record in batch:
            self._waiting.popleft()
            if any(record is known for known in ignored) and isinstance(record, Decided):
                log.error("part %d has a verdict in the journal already: it is not released", record.part.part_id)
            else:
                self._committed(record)
        if self.lost > self._lost_noted:
            words = f"{self.lost - self._lost_noted} records were lost while the disk took none"
            self._lost_noted = self.lost
            self.put(Note(self._clock.wall_ns(), "records lost", words))

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
