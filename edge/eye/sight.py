"""A station's share of a camera's frames: its region of each is checked, kept in its own slots, told to the pairing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from edge.capture.presence import PresenceLine
from edge.capture.quality import FrameCheck
from edge.capture.region import Image, cut
from edge.clock import Clock
from edge.errors import CameraError
from edge.eye.parts import Parts
from edge.eye.slots import Slots
from edge.health import Health, Level
from edge.options import Camera as CameraOptions
from edge.pairing import Sighting
from edge.records import Frame, Reason
from edge.report import Counts

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


class Sight:
    """Camera number `index` of one station. Its methods are called by the camera's thread.

    `may_start` holds a replay back until the line is ready for its first part.
    """

    def __init__(
        self,
        index: int,
        options: CameraOptions,
        parts: Parts,
        slots: Slots,
        numbers: Iterator[int],
        clock: Clock,
        counts: Counts,
        health: Health,
        births: Births | None,
        may_start: threading.Event,
    ) -> None:
        self.options = options
        self.may_start = may_start
        self._index = index
        self._parts = parts
        self._slots = slots
        self._numbers = numbers
        self._clock = clock
        self._counts = counts
        self._health = health
        self._births = births
        self._source = source_of(options)
        self._check = FrameCheck()
        self._presence: PresenceLine | None = None
        self._lost = 0
        health.report(self._source, Level.NOT_READY, f"{self._source} is being opened")

    def opened(self) -> None:
        """The camera is open (again): nothing of what was seen before counts."""
        options = self.options
        self._check = FrameCheck(options.repeats_are_stale, options.sizes_may_differ, options.focus_min)
        self._presence = self._births.presence() if self._births and self._births.presence else None
        self._lost = 0
        if self.options.triggered:
            self._health.clear(self._source)  # a free-running camera is ready with its first frame

    def away(self, words: str) -> None:
        """The camera is lost."""
        self._health.report(self._source, Level.NOT_READY, words, anew=True)  # the cause may have changed

    def take(self, frame: Frame, repeat: bool) -> None:
        """A frame arrived; `repeat`: it is not younger than the one before."""
        received_ns = self._clock.now_ns()
        self._counts.frame("captured")
        if frame.lost > self._lost:
            self._counts.frame("lost", frame.lost - self._lost)
            self._lost = frame.lost
        image = self._region_of(frame)
        reason = Reason.BAD_FRAME if image is None else self._check.check(image)
        slot = -1 if image is None or reason is not Reason.NONE or repeat else self._slots.put(image)
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
        self._ask_birth(number, frame, image)
        if image is not None and (self._presence is None or self._presence.ready):  # before, parts go by unseen
            self._health.clear(self._source)

    def _region_of(self, frame: Frame) -> Image | None:
        """None, and the station is not ready, while the camera's frames do not hold the region."""
        try:
            return cut(frame.image, self.options)
        except CameraError as error:
            self._health.report(self._source, Level.NOT_READY, str(error), anew=True)
            return None

    def _ask_birth(self, number: int, frame: Frame, image: Image | None) -> None:
        """The frame is paired by its number, or by time where a line in the picture saw the part come."""
        if self._births is None:
            return
        if self._presence is None:
            self._births.ask(number, frame.captured_ns, frame.captured_err_ns)
            return
        edge = None if image is None else self._presence.see(replace(frame, image=image))
        if edge is not None and edge.level:
            self._births.ask(number, edge.at_ns, edge.err_ns)
