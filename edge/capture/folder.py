"""Replays the pictures of a folder as if a camera took them, at a fixed rate on the monotonic clock."""

from __future__ import annotations

import logging

import numpy as np

from edge import options
from edge.capture import About, EndOfPictures
from edge.clock import SECOND, Clock
from edge.errors import CameraError, ConfigError
from edge.picture_set import Image, Picture, read_image, read_set, select
from edge.records import Frame, TimeSource

log = logging.getLogger(__name__)


class FolderCamera:
    """Picture n is captured n periods after `open`, exactly (`captured_err_ns` 0), in the order of labels.csv.

    No picture is skipped: a reader that is late by more than a period moves the rest of the grid, and the picture
    counts as captured when it is read. `Frame.name` is the file relative to the folder.

    A file that cannot be decoded stands for a part all the same: it is logged and delivered all black, so that
    the frame check refuses it and its part becomes UNKNOWN (BAD_FRAME). A folder that cannot be read fails `open`.
    """

    def __init__(self, options: options.FolderCamera, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._period_ns = round(SECOND / options.rate_hz)
        self._pictures: list[Picture] = []
        self._next = 0
        self._due_ns = 0
        self._ready: Image | None = None
        self._shape: tuple[int, ...] = (64, 64, 3)
        self._frame_id = 0

    def open(self) -> None:
        """Read the folder's table and start from its first picture. Raises CameraError when it lists none."""
        try:
            self._pictures = select(read_set(self._options.dir), ",".join(self._options.groups))
        except ConfigError as error:
            raise CameraError(f"camera {self._options.name!r}: {error}") from error
        if not self._pictures:
            raise CameraError(f"camera {self._options.name!r}: {self._options.dir} lists no picture; add some")
        self._next = 0
        self._ready = None
        self._due_ns = self._clock.now_ns() + self._period_ns

    def read(self, timeout_s: float) -> Frame | None:
        """The next picture, at its instant on the clock; see the Protocol."""
        if not self._pictures:
            raise CameraError(f"camera {self._options.name!r} is not open: open it before reading")
        if self._next == len(self._pictures) and not self._options.loop:
            raise EndOfPictures(f"{self._options.dir} has no more pictures")
        until_ns = self._clock.now_ns() + round(timeout_s * SECOND)
        picture = self._pictures[self._next % len(self._pictures)]
        if self._ready is None:
            self._ready = self._decode(picture)  # while there is time: a picture must not be late by its decoding
        if self._due_ns > until_ns:
            self._clock.sleep_until(until_ns)
            return None
        self._clock.sleep_until(self._due_ns)
        return self._deliver(picture, self._ready)

    def about(self) -> About:
        return About((f"replays {len(self._pictures)} pictures of {self._options.dir}",) if self._pictures else ())

    def close(self) -> None:
        """Forget the pictures; may be called twice."""
        self._pictures = []
        self._ready = None

    def _decode(self, picture: Picture) -> Image:
        try:
            image = read_image(picture.path)
        except ConfigError as error:
            log.warning("camera %r delivers a black frame: %s", self._options.name, error)
            return np.zeros(self._shape, np.uint8)
        self._shape = image.shape
        return image

    def _deliver(self, picture: Picture, image: Image) -> Frame:
        now_ns = self._clock.now_ns()
        captured_ns = self._due_ns if now_ns - self._due_ns < self._period_ns else now_ns
        frame_id = self._frame_id
        self._due_ns = captured_ns + self._period_ns
        self._next += 1
        self._frame_id += 1
        self._ready = None
        name = self._options.name
        return Frame(image, name, frame_id, captured_ns, 0, TimeSource.SENSOR, name=picture.name)
