"""Takes frames from GigE Vision and USB3 Vision cameras by Aravis."""

from __future__ import annotations

from edge import options
from edge.capture import About
from edge.capture.gige_link import Link
from edge.capture.release import Release
from edge.clock import Clock
from edge.errors import CameraError
from edge.records import Frame

CLOSE_S = 0.5
RELEASE_S = 12.0  # a camera without power costs several time-outs of the driver


class GigeCamera:
    """Frames of a GigE Vision or USB3 Vision camera; a view on the driver's buffer where the pixel format allows.

    Triggered: frames queue, `queue` of them at most; when all wait, the next is lost. Free-running: the newest is
    delivered. `lost` follows the camera's frame ids, so it counts frames that were not sent, came incomplete, or
    found no buffer. A trigger mode that is not as it was set, a camera that no longer answers or that another
    program controls is a lost camera. One reading thread; a thread of its own asks the camera twice a second.
    """

    def __init__(self, options: options.GigeCamera, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._link: Link | None = None
        self._release = Release(f"gige-{options.name}")
        self._first_id = 0

    def open(self) -> None:
        """Find the camera, take control, set what the options ask for and read it back, and start.

        Gives up after 10 s and the driver's time-out (2.5 s without an answer). Raises CameraError.
        """
        self.close()
        link = Link(self._options, self._clock)
        try:
            self._release.wait(RELEASE_S)
            link.start()
        except CameraError as error:
            self._release.run(link.release, CLOSE_S)
            raise self._error(error) from error
        self._link = link

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame; see the Protocol."""
        link = self._link
        if link is None:
            raise CameraError(f"camera {self._options.name!r} is not open: open it before reading")
        try:
            seen = link.next(timeout_s)
        except CameraError as error:
            raise self._error(error) from error
        if seen is None:
            return None
        return Frame(
            seen.image,
            self._options.name,
            self._first_id + seen.number - 1,
            seen.captured.at_ns,
            seen.captured.err_ns,
            seen.captured.source,
            trigger_counter=seen.number if self._options.triggered else -1,
            lost=seen.lost,
            copies=seen.copies,
        )

    def about(self) -> About:
        """What the opened camera says of itself; see the Protocol."""
        if self._link is None:
            return About()
        try:
            return self._link.about()
        except CameraError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Stop the camera and give up control; what takes longer than 0.5 s ends in a thread of its own."""
        link, self._link = self._link, None
        if link is not None:
            self._first_id += link.count
            self._release.run(link.release, CLOSE_S)

    def _error(self, error: CameraError) -> CameraError:
        advice = "" if ";" in str(error) else "; check the camera, its power, cable and network"
        return CameraError(f"camera {self._options.name!r}: {error}{advice}")
