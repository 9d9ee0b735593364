"""A camera's thread: opens it, again and again while it is away, and shows each frame to the stations that use it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from edge.capture import Camera, EndOfPictures
from edge.clock import SECOND, Clock
from edge.errors import CameraError
from edge.eye.sight import Sight, source_of
from edge.health import Progress
from edge.records import Frame

log = logging.getLogger(__name__)

_READ_S = 0.2
_FIRST_RETRY_S = 0.2
_LAST_RETRY_S = 5.0
_WAS_WELL_NS = 10 * SECOND
BOUND_NS = 30 * SECOND  # opening a camera may take that long


class CameraWatch:
    """`run` belongs to one thread. `sights` are the stations' shares of this camera, at least one.

    A replay starts when the lines of all its stations are ready for their first part.
    """

    def __init__(self, camera: Camera, sights: Sequence[Sight], clock: Clock, progress: Progress) -> None:
        self._camera = camera
        self._sights = sights
        self._clock = clock
        self._progress = progress
        self._options = sights[0].options
        self._source = source_of(self._options)
        self._last_captured_ns = 0
        self._shape: tuple[int, ...] = ()
        self.has_ended = False

    @property
    def source(self) -> str:
        """The name under which it beats and reports."""
        return self._source

    def run(self, stop: threading.Event) -> None:
        """Until told to stop, or until a finite camera has no more pictures."""
        retry_s = _FIRST_RETRY_S
        try:
            while not stop.is_set() and not self.has_ended:
                began_ns = self._clock.now_ns()
                try:
                    self._camera.open()
                    self._deliver(stop)
                except CameraError as error:
                    # one that opens and is lost at once again and again is asked less and less often
                    if self._clock.now_ns() - began_ns > _WAS_WELL_NS:
                        retry_s = _FIRST_RETRY_S
                    self._away(str(error))
                    self._wait(stop, retry_s)
                    retry_s = min(_LAST_RETRY_S, 2 * retry_s)
        finally:
            self._camera.close()

    def _away(self, words: str) -> None:
        log.warning("%s", words)
        for sight in self._sights:
            sight.away(words)
        self._camera.close()

    def _wait(self, stop: threading.Event, seconds: float) -> None:
        self._progress.beat(self._source)
        stop.wait(seconds)
        self._progress.beat(self._source)

    def _deliver(self, stop: threading.Event) -> None:
        for sight in self._sights:
            sight.opened()
        while not all(sight.may_start.is_set() for sight in self._sights) and not stop.is_set():
            self._wait(stop, 0.005)
        while not stop.is_set():
            try:
                frame = self._camera.read(_READ_S)
            except EndOfPictures:
                self.has_ended = True
                return
            self._progress.beat(self._source)
            if frame is not None:
                self._take(frame)

    def _take(self, frame: Frame) -> None:
        self._refuse_other_shape(frame)
        repeat = frame.captured_ns <= self._last_captured_ns
        self._last_captured_ns = max(self._last_captured_ns, frame.captured_ns)
        for sight in self._sights:
            sight.take(frame, repeat)

    def _refuse_other_shape(self, frame: Frame) -> None:
        """A camera that comes back with pictures of another size has lost its settings; the student learned the old."""
        if self._options.sizes_may_differ:
            return
        self._shape = self._shape or frame.image.shape
        if frame.image.shape != self._shape:
            raise CameraError(
                f"{self._source} sends pictures of {_size(frame.image.shape)} and sent {_size(self._shape)} before: "
                "set its size again; if the new one is meant, restart the station"
            )


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}{' in colour' if len(shape) == 3 else ''}"
