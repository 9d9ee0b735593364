"""Day one: records pictures of every camera into a labelled set, without a bundle, a gate or a line; for hours."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from edge.capture import TABLE, Camera, EndOfPictures
from edge.capture.presence import PresenceLine
from edge.capture.quality import FrameCheck
from edge.capture.region import cut
from edge.clock import SECOND, Clock
from edge.collecting import Plan
from edge.durable import hold_folder
from edge.errors import CameraError, ConfigError
from edge.eye.at_trigger import AtTrigger
from edge.eye.choice import Choice
from edge.eye.collect_door import open_door
from edge.eye.crew import Crew
from edge.eye.lots import Lots
from edge.eye.scribe import Scribe, Stored
from edge.eye.shown import Shown
from edge.kinds import find
from edge.options import Camera as CameraOptions
from edge.options import CameraTrigger, PresenceTrigger
from edge.picture_set import Image
from edge.records import Edge, Frame, Part, Reason
from edge.set_writer import PictureSetWriter
from edge.station import Station

log = logging.getLogger(__name__)

_READ_S = 0.2
_TICK_S = 0.05
_FIRST_RETRY_S = 0.2
_LAST_RETRY_S = 5.0
_THREADS_END_NS = 3 * SECOND
_DISK_ENDS_NS = 30 * SECOND  # for the pictures in memory

# Tells the edges of the station's photo-eye, and why there are none, while the context lasts.
PhotoEye = Callable[[Callable[[Edge], None], Callable[[str], None]], AbstractContextManager[None]]


@dataclass(slots=True)
class Collected(Stored):
    """How far it is; beside what the scribe counts: frames refused by the quality check, frames that a triggered camera
    lost, parts without a picture, the lot, and what cameras and photo-eye lack."""

    refused: int = 0
    unseen: int = 0
    missed: int = 0
    lot: str = ""
    away: dict[str, str] = field(default_factory=dict)


class _Recording:
    """One camera's thread. Its frames go to the scribe as they are chosen, or to the parts of the photo-eye."""

    def __init__(
        self,
        index: int,
        options: CameraOptions,
        plan: Plan,
        scribe: Scribe,
        lots: Lots,
        parts: AtTrigger | None,
        presence: PresenceTrigger | None,
        clock: Clock,
        so_far: Collected,
    ) -> None:
        self._index = index
        self._options = options
        self._camera: Camera = find(TABLE, options.kind, "camera")(options, clock)
        self._choice = Choice(plan.every_ns, plan.changed)
        self._scribe = scribe
        self._lots = lots
        self._parts = parts
        self._trigger = presence
        self._presence: PresenceLine | None = None
        self._clock = clock
        self._so_far = so_far
        self.thread = f"camera {options.name}"
        self.has_ended = False

    def run(self, stop: threading.Event) -> None:
        """Record until told to stop, or until a finite camera has no more pictures; a lost one is opened again."""
        retry_s = _FIRST_RETRY_S
        try:
            while not stop.is_set() and not self.has_ended:
                try:
                    self._camera.open()
                    self._record(stop)
                except CameraError as error:
                    recovered = self._options.name not in self._so_far.away
                    _away(self._so_far, self._options.name, str(error))
                    self._camera.close()
                    retry_s = _FIRST_RETRY_S if recovered else min(_LAST_RETRY_S, 2 * retry_s)
                    stop.wait(retry_s)
        finally:
            self._camera.close()

    def _record(self, stop: threading.Event) -> None:
        options, trigger = self._options, self._trigger
        check, lost = FrameCheck(options.repeats_are_stale, options.sizes_may_differ, options.focus_min), 0
        if trigger is not None:
            self._presence = PresenceLine(trigger.axis, trigger.line, trigger.contrast, trigger.debounce_frames)
        while not stop.is_set():
            try:
                frame = self._camera.read(_READ_S)
            except EndOfPictures:
                self.has_ended = True
                return
            if frame is not None:
                frame = replace(frame, image=cut(frame.image, options))
                self._so_far.away.pop(options.name, None)
                self._so_far.unseen += frame.lost - lost if options.triggered else 0
                lost = frame.lost
                self._take(frame, check.check(frame.image), stop)

    def _take(self, frame: Frame, reason: Reason, stop: threading.Event) -> None:
        self._so_far.refused += reason is not Reason.NONE
        if self._parts is not None:
            self._parts.frame(self._index, frame, reason)
            edge = self._presence.see(frame) if self._presence is not None else None
            if edge is not None:
                self._parts.born(edge)
        elif reason is Reason.NONE and self._choice.wants(frame.image, frame.captured_ns):
            moment = _moment(self._clock, frame.captured_ns)
            part = _plain(frame.name) or _named(moment, frame.frame_id)
            patience = stop if frame.name else None  # what is replayed can wait
            self._scribe.offer(
                frame.image, f"{self._options.name}-{part}", self._lots.group(moment, part), patience, self._index
            )


def _away(so_far: Collected, name: str, words: str) -> None:
    if so_far.away.get(name) != words:
        log.warning("%s", words)
    so_far.away[name] = words


def _moment(clock: Clock, at_ns: int) -> datetime:
    """An instant of the monotonic clock in local time, which shifts go by."""
    wall_ns = clock.wall_ns() - clock.now_ns() + at_ns
    return datetime.fromtimestamp(wall_ns / SECOND, timezone.utc).astimezone()


def _named(moment: datetime, number: int) -> str:
    """UTC, which never names an hour twice."""
    return f"{moment.astimezone(timezone.utc):%Y%m%dT%H%M%S%f}-{number:08d}"


def _plain(name: str) -> str:
    """The name of a replayed picture, with its folders but without its suffix."""
    path = Path(name)
    return "-".join((*(part for part in path.parent.parts if part != "images"), path.stem)) if name else ""


def _alone(folder: Path) -> int:
    """Nobody else records into this folder until the returned file number is closed. Raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return hold_folder(folder)
    except BlockingIOError as error:
        raise ConfigError(
            f"another edge collect records into {folder}: stop that one, or use a new folder"
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot use {folder}: {error.strerror}; give another --into") from error


def collect(
    station: Station,
    plan: Plan,
    clock: Clock,
    asked: threading.Event,
    watch: Callable[[Collected], None] | None = None,
    photo_eye: PhotoEye | None = None,
) -> Collected:
    """Record until told to stop by `asked` or the plan, until the set is full, or the cameras have no more pictures.

    Pictures that are in the folder already (a replay that was interrupted) are skipped and counted. Cameras that are
    away are tried again. With `plan.at_trigger` and a trigger that is no camera, `photo_eye` tells the parts.
    Raises ConfigError for a foreign folder or one in use, JournalError when the disk fails or is full.
    """
    so_far = Collected()
    with ExitStack() as stack:
        stack.callback(os.close, _alone(plan.folder))
        writer = PictureSetWriter(plan.folder, plan.encoding)
        swept = writer.sweep([f"{camera.name}-" for camera in station.camera])
        if swept:
            log.info("%d pictures of a recording that was killed had no row yet and are deleted", swept)
        lots = Lots(plan.folder, plan.lot, plan.shifts, plan.grouping)
        so_far.lot = lots.now
        shown = Shown(station.station.run_dir, [camera.name for camera in station.camera], clock)
        show = _showing(shown)
        scribe = Scribe(writer, plan.folder, plan.encoding, plan.quota, plan.pictures, so_far, show)
        stack.enter_context(open_door(station, clock, lots, so_far, shown))
        stack.callback(shown.clear)
        parts = _parts(station, plan, scribe, lots, clock)
        recordings = _recordings(station, plan, scribe, lots, parts, clock, so_far)
        if parts is not None and photo_eye is not None:
            stack.enter_context(photo_eye(parts.born, lambda words: _photo_eye(so_far, words)))
        _supervise(plan, clock, asked, watch, so_far, scribe, parts, recordings)
    return so_far


def _showing(shown: Shown) -> Callable[[int, Image], None]:
    """Shows what is recorded to who asked; pictures are numbered for that, as they belong to no part."""
    numbers = itertools.count(1)

    def show(view: int, image: Image) -> None:
        if shown.wants(view):
            shown.show(view, next(numbers), None, image, None)

    return show


def _parts(station: Station, plan: Plan, scribe: Scribe, lots: Lots, clock: Clock) -> AtTrigger | None:
    """Where pictures find their parts; None where each chosen frame is kept, or is a part by itself."""
    if not plan.at_trigger or isinstance(station.trigger, CameraTrigger):
        return None

    def keep(view: int, part: Part, image: Image) -> None:
        born = _moment(clock, part.born_ns)
        name = _named(born, part.part_id)
        scribe.offer(image, f"{station.camera[view].name}-{name}", lots.group(born, name), view=view)

    return AtTrigger(station, keep)


def _recordings(
    station: Station,
    plan: Plan,
    scribe: Scribe,
    lots: Lots,
    parts: AtTrigger | None,
    clock: Clock,
    so_far: Collected,
) -> list[_Recording]:
    trigger = station.trigger
    return [
        _Recording(
            index,
            camera,
            plan,
            scribe,
            lots,
            parts,
            trigger if isinstance(trigger, PresenceTrigger) and trigger.camera == camera.name else None,
            clock,
            so_far,
        )
        for index, camera in enumerate(station.camera)
    ]


def _photo_eye(so_far: Collected, words: str) -> None:
    if words:
        _away(so_far, "trigger", words)
    else:
        so_far.away.pop("trigger", None)


def _supervise(
    plan: Plan,
    clock: Clock,
    asked: threading.Event,
    watch: Callable[[Collected], None] | None,
    so_far: Collected,
    scribe: Scribe,
    parts: AtTrigger | None,
    recordings: Sequence[_Recording],
) -> None:
    """The threads: cameras until there is a reason to end, then the scribe until all is on the disk."""
    cameras, disk = Crew(clock), Crew(clock)
    disk.start("scribe", scribe.run)
    for recording in recordings:
        cameras.start(recording.thread, recording.run)
    began_ns = clock.now_ns()
    while not asked.wait(_TICK_S) and not cameras.stop.is_set() and not disk.stop.is_set():
        now_ns = clock.now_ns()
        if parts is not None:
            parts.expire(now_ns)
            so_far.missed = parts.missed
        if watch is not None:
            watch(so_far)
        over = plan.duration_ns is not None and now_ns - began_ns >= plan.duration_ns
        if over or scribe.has_enough or all(recording.has_ended for recording in recordings):
            break
    for words in cameras.join(_THREADS_END_NS) + disk.join(_DISK_ENDS_NS):
        log.error("%s", words)
    if watch is not None:
        watch(so_far)
    for failure in (disk.failure, cameras.failure):
        if isinstance(failure, Exception):
            raise failure
