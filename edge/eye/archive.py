"""The pictures' thread: keeps what should be looked at later, without ever holding up a verdict."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from edge.eye.jobs import Job
from edge.eye.shown import Shown
from edge.eye.slots import Slots
from edge.heat_map import HeatMap
from edge.journal.pictures import PictureStore
from edge.records import Kind
from edge.station import Station

_IDLE_S = 0.2


class Archive:
    """Takes judged pictures over with their slots, as long as half of a camera's slots stay free; else lets them go.
    `shown` gets those that somebody waits for.

    `passed_over` counts the pictures that nobody kept for want of time.
    """

    def __init__(self, station: Station, slots: Sequence[Slots], shown: Shown) -> None:
        settings = station.journal
        self._names = [camera.name for camera in station.camera]
        self._slots = slots
        self._shown = shown
        self._store = (
            PictureStore(
                settings.dir / "pictures",
                settings.pictures_max_mb,
                settings.keep_every_nth_pass,
                free_min_mb=settings.free_min_mb,
            )
            if settings.pictures_max_mb
            else None
        )
        self._waiting: SimpleQueue[tuple[Job, Kind, HeatMap | None]] = SimpleQueue()
        self.passed_over = 0

    def offer(self, job: Job, kind: Kind, heat: HeatMap | None) -> bool:
        """True when the picture is kept: its slot is then freed from here. Called by one thread; never blocks."""
        if self._store is None and not self._shown.wants(job.view):
            return False
        slots = self._slots[job.view]
        if 2 * slots.taken > slots.count:
            self.passed_over += 1
            return False
        self._waiting.put((job, kind, heat))
        return True

    def run(self, stop: threading.Event) -> None:
        """Write what was taken over, until told to stop; meanwhile give way to the records."""
        self._shown.clear()
        while not stop.is_set():
            try:
                self._write(*self._waiting.get(timeout=_IDLE_S))
            except Empty:
                if self._store is not None:
                    self._store.give_way()

    def finish(self) -> None:
        """Write what is left, after the thread has ended."""
        while not self._waiting.empty():
            self._write(*self._waiting.get())
        self._shown.clear()

    def _write(self, job: Job, kind: Kind, heat: HeatMap | None) -> None:
        slots = self._slots[job.view]
        self._shown.show(job.view, job.part.part_id, kind, slots.image(job.slot), heat)
        if self._store is not None:
            self._store.keep(job.part.part_id, kind, self._names[job.view], slots.image(job.slot), heat)
        slots.free(job.slot)
