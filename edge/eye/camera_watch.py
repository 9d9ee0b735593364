"""A camera's thread: opens it, again and again while it is away, checks each frame and hands it to the pairing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.capture import Camera, EndOfPictures
from edge.capture.presence import PresenceLine
from edge.capture.quality import FrameCheck
from edge.clock import SECOND, Clock
from edge.errors import CameraError
from edge.eye.parts import Parts
from edge.eye.slots import Slots
from edge.health import Health, Level, Progress
from edge.options import Camera as CameraOptions
from edge.pairing import Sighting
from edge.records import Frame, Reason
from edge.report import Counts

log = logging.getLogger(__name__)

_READ_S = 0.2
_FIRST_RETRY_S = 0.2
_LAST_RETRY_S = 5.0
_WAS_WELL_NS = 10 * SECOND
BOUND_NS = 30 * SECOND  # opening a camera may take that long

# Asks the line for a birth: token, born_ns, born_err_ns.
AskBirth = Callable[[int, int, int], object]


def source_of(options: CameraOptions) -> str:
    """The name under which a camera reports its state."""
    return f"camera {options.name}"


@dataclass(frozen=True, slots=True)
class Births:
    """The frames say when parts come: every frame is one part, or those at whose line `presence` sees one come."""

    ask: AskBirth
    presence: Callable[[], PresenceLine] | None = None


class CameraWatch:
    """`run` belongs to one thread. `may_start` holds a replay back until the line is ready for its first part."""

    def __init__(
        self,
        index: int,
        options: CameraOptions,
        camera: Camera,
        parts: Parts,
        slots: Slots,
        numbers: Iterator[int],
        clock: Clock,
        counts: Counts,
        health: Health,
        progress: Progress,
        births: Births | None,
        may_start: threading.Event,
    ) -> None:
        self._index = index
        self._options = options
        self._camera = camera
        self._parts = parts
        self._slots = slots
        self._numbers = numbers
        self._clock = clock
        self._counts = counts
        self._health = health
        self._progress = progress
        self._births = births
        self._may_start = may_start
        self._source = source_of(options)
        self._presence: PresenceLine | None = None
        self._last_captured_ns = 0
        self._lost = 0
        self._shape: tuple[int, ...] = ()
        self.has_ended = False
        health.report(self._source, Level.NOT_READY, f"{self._source} is being opened")

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
        self._health.report(self._source, Level.NOT_READY, words, anew=True)  # the cause may have changed
        self._camera.close()

    def _wait(self, stop: threading.Event, seconds: float) -> None:
        self._progress.beat(self._source)
        stop.wait(seconds)
        self._progress.beat(self._source)

    def _deliver(self, stop: threading.Event) -> None:
        check = FrameCheck(self._options.repeats_are_stale, self._options.sizes_may_differ)
        self._presence = self._births.presence() if self._births and self._births.presence else None
        self._lost = 0
        if self._options.triggered:
            self._health.clear(self._source)  # a free-running camera is ready with its first frame
        while not self._may_start.is_set() and not stop.is_set():
            self._wait(stop, 0.005)
        while not stop.is_set():
            try:
                frame = self._camera.read(_READ_S)
            except EndOfPictures:
                self.has_ended = True
                return
            self._progress.beat(self._source)
            if frame is None:
                continue
            self._take(frame, check)
            if self._presence is None or self._presence.ready:  # before, parts go by unseen
                self._health.clear(self._source)

    def _take(self, frame: Frame, check: FrameCheck) -> None:
        received_ns = self._clock.now_ns()
        self._refuse_other_shape(frame)
        self._counts.frame("captured")
        if frame.lost > self._lost:
            self._counts.frame("lost", frame.lost - self._lost)
            self._lost = frame.lost
        repeat = frame.captured_ns <= self._last_captured_ns
        self._last_captured_ns = max(self._last_captured_ns, frame.captured_ns)
        reason = check.check(frame.image)
        slot = self._slots.put(frame.image) if reason is Reason.NONE and not repeat else -1
        self._counts.frame("copies", frame.copies + (slot >= 0))
        if slot < 0 and reason is Reason.NONE:
            reason = Reason.OVERRUN
        number = next(self._numbers)
        self._parts.frame(
            Sighting(
                view=self._index,
                number=number,
                captured_ns=frame.captured_ns,
                err_ns=frame.captured_err_ns,
                counter=frame.trigger_counter,
                repeat=repeat,
                reason=reason,
                slot=slot,
                received_ns=received_ns,
            )
        )
        self._ask_birth(number, frame)

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

    def _ask_birth(self, number: int, frame: Frame) -> None:
        """The frame is paired by its number, or by time where a line in the picture saw the part come."""
        if self._births is None:
            return
        if self._presence is None:
            self._births.ask(number, frame.captured_ns, frame.captured_err_ns)
            return
        edge = self._presence.see(frame)
        if edge is not None and edge.level:
            self._births.ask(number, edge.at_ns, edge.err_ns)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}{' in colour' if len(shape) == 3 else ''}"
