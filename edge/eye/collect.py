"""Day one: records every picture of every camera into a labelled set, without a bundle, a gate or a line."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from edge.capture import TABLE, Camera, EndOfPictures
from edge.capture.quality import FrameCheck
from edge.clock import SECOND, Clock
from edge.errors import CameraError
from edge.eye.crew import Crew
from edge.kinds import find
from edge.options import Camera as CameraOptions
from edge.picture_set import PictureSetWriter
from edge.records import Frame, Reason
from edge.station import Station

log = logging.getLogger(__name__)

_READ_S = 0.2
_TICK_S = 0.05
_RETRY_S = 1.0
_THREADS_END_NS = 3 * SECOND


@dataclass(frozen=True, slots=True)
class Plan:
    """What to record: into `folder`, pictures of one `lot` (empty: the hour), one every `every_ns` at most (0: all),
    until `pictures` are there or `duration_ns` is over (None: until asked)."""

    folder: Path
    lot: str = ""
    every_ns: int = 0
    pictures: int | None = None
    duration_ns: int | None = None


@dataclass(slots=True)
class Collected:
    """How far it is: pictures stored, frames refused by the quality check, and what the cameras lack."""

    stored: int = 0
    refused: int = 0
    skipped: int = 0
    away: dict[str, str] = field(default_factory=dict)


class _Recording:
    """One camera's thread; the set's writer is shared."""

    def __init__(
        self,
        options: CameraOptions,
        plan: Plan,
        writer: PictureSetWriter,
        lock: threading.Lock,
        clock: Clock,
        so_far: Collected,
    ) -> None:
        self._options = options
        self._camera: Camera = find(TABLE, options.kind, "camera")(options, clock)
        self._plan = plan
        self._writer = writer
        self._lock = lock
        self._clock = clock
        self._so_far = so_far
        self._next_ns = 0
        self.has_ended = False

    def run(self, stop: threading.Event) -> None:
        try:
            while not stop.is_set() and not self.has_ended:
                try:
                    self._camera.open()
                    self._record(stop)
                except CameraError as error:
                    self._away(str(error))
                    self._camera.close()
                    stop.wait(_RETRY_S)
        finally:
            self._camera.close()

    def _away(self, words: str) -> None:
        if self._so_far.away.get(self._options.name) != words:
            log.warning("%s", words)
        self._so_far.away[self._options.name] = words

    def _record(self, stop: threading.Event) -> None:
        check = FrameCheck(self._options.repeats_are_stale, self._options.sizes_may_differ)
        while not stop.is_set():
            try:
                frame = self._camera.read(_READ_S)
            except EndOfPictures:
                self.has_ended = True
                return
            if frame is None or frame.captured_ns < self._next_ns:
                continue
            self._so_far.away.pop(self._options.name, None)
            if check.check(frame.image) is not Reason.NONE:
                self._so_far.refused += 1
                continue
            self._next_ns = frame.captured_ns + self._plan.every_ns
            self._store(frame)

    def _store(self, frame: Frame) -> None:
        moment = datetime.fromtimestamp(self._clock.wall_ns() / SECOND, timezone.utc)
        name = Path(frame.name).stem or f"{moment:%Y%m%dT%H%M%S%f}-{frame.frame_id:08d}"
        with self._lock:
            if self._plan.pictures is not None and self._so_far.stored >= self._plan.pictures:
                return
            name = f"{self._options.name}-{name}"
            if self._writer.holds(name):
                self._so_far.skipped += 1
                return
            self._writer.add(frame.image, name, "", self._plan.lot or f"{moment:%Y-%m-%dT%H}")
            self._so_far.stored += 1


def collect(
    station: Station,
    plan: Plan,
    clock: Clock,
    asked: threading.Event,
    watch: Callable[[Collected], None] | None = None,
) -> Collected:
    """Record until told to stop by `asked` or the plan, or until the cameras have no more pictures.

    Pictures that are in the folder already (a replay that was interrupted) are skipped and counted. Cameras that are
    away are tried again. Raises ConfigError for a foreign folder, JournalError when the disk fails.
    """
    so_far = Collected()
    writer, lock, crew = PictureSetWriter(plan.folder), threading.Lock(), Crew(clock)
    recordings = [_Recording(camera, plan, writer, lock, clock, so_far) for camera in station.camera]
    began_ns = clock.now_ns()
    for recording, camera in zip(recordings, station.camera, strict=True):
        crew.start(f"camera {camera.name}", recording.run)
    while not asked.wait(_TICK_S) and not crew.stop.is_set():
        if watch is not None:
            watch(so_far)
        over = plan.duration_ns is not None and clock.now_ns() - began_ns >= plan.duration_ns
        enough = plan.pictures is not None and so_far.stored >= plan.pictures
        if over or enough or all(recording.has_ended for recording in recordings):
            break
    for words in crew.join(_THREADS_END_NS):
        log.error("%s", words)
    if isinstance(crew.failure, Exception):
        raise crew.failure
    return so_far
