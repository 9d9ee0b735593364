"""Takes frames by OpenCV's VideoCapture: a camera by number, a stream by URL, a video file."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge import options
from edge.capture import About, EndOfPictures
from edge.capture.newest import Grabbed, NewestFrames
from edge.capture.silence import Silence
from edge.clock import MS, SECOND, Clock
from edge.errors import CameraError
from edge.records import Frame, TimeSource

log = logging.getLogger(__name__)

OPEN_S = 10.0
CLOSE_S = 1.0
FILE_FPS = 25.0  # for a file that does not say
FPS_TOLERANCE = 0.5  # drivers report 29.97 for 30

Image = NDArray[np.uint8]


class Stream:
    """A live source, owned by a thread: what hangs in a driver or a network hangs there, and nowhere else."""

    def __init__(self, options: options.CvCamera, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._frames = NewestFrames(options.queue if options.triggered else 1)
        self._silence = Silence(options, clock)
        self._stop = threading.Event()
        self._opened = threading.Event()
        self._refused = ""
        # a daemon: a driver that never returns must not keep the process from ending
        self._thread = threading.Thread(target=self._grab, name=f"cv-{options.name}", daemon=True)

    def open(self) -> None:
        self._thread.start()
        if not self._opened.wait(OPEN_S):
            raise CameraError(f"{self._options.source!r} did not open within {OPEN_S:g} s")
        if self._refused:
            raise CameraError(self._refused)
        self._silence = Silence(self._options, self._clock)

    def take(self, timeout_s: float) -> Grabbed | None:
        """The next frame, or None after `timeout_s` seconds. Raises CameraError when the driver ended or is silent."""
        grabbed = self._frames.take(timeout_s)
        if grabbed is None:
            self._silence.check()
        else:
            self._silence.heard()
        return grabbed

    def close(self) -> bool:
        """Whether it has ended; a driver that hangs is left to its thread."""
        self._stop.set()
        self._frames.end("it was closed")
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)
        return not self._thread.is_alive()

    def _grab(self) -> None:
        """The thread: open, grab until told to stop, release."""
        try:
            capture = _capture(self._options)
        except CameraError as error:
            self._refused = str(error)
            self._opened.set()
            return
        self._opened.set()
        try:
            while not self._stop.is_set():
                done, image = capture.read(self._frames.buffer())
                at_ns = self._clock.now_ns()
                if not done:
                    self._frames.end(f"{self._options.source!r} stopped delivering")
                    return
                self._frames.put(_picture(image), at_ns)
        except cv2.error as error:
            self._frames.end(f"OpenCV failed: {error.err}")
        except CameraError as error:
            self._frames.end(str(error))
        finally:
            capture.release()


class VideoFile:
    """A video file as if a camera took it: at its own rate, or at `fps`. Nothing is skipped for a late reader."""

    def __init__(self, options: options.CvCamera, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._capture: cv2.VideoCapture | None = None
        self._period_ns = 0
        self._due_ns = 0
        self._number = 0
        self._ready: Image | None = None

    def open(self) -> None:
        self._capture = _capture(self._options)
        fps = self._options.fps or self._capture.get(cv2.CAP_PROP_FPS)
        self._period_ns = round(SECOND / (fps if fps > 0 else FILE_FPS))
        self._due_ns = self._clock.now_ns() + self._period_ns

    def take(self, timeout_s: float) -> Grabbed | None:
        """The next frame of the file when it is due, or None after `timeout_s` seconds. Raises EndOfPictures."""
        until_ns = self._clock.now_ns() + round(timeout_s * SECOND)
        if self._ready is None:
            self._ready = self._decode()
        if self._due_ns > until_ns:
            self._clock.sleep_until(until_ns)
            return None
        self._clock.sleep_until(self._due_ns)
        now_ns = self._clock.now_ns()
        self._due_ns = max(self._due_ns, now_ns - self._period_ns) + self._period_ns
        grabbed = Grabbed(self._ready, now_ns, self._number)
        self._number += 1
        self._ready = None
        return grabbed

    def close(self) -> bool:
        if self._capture is not None:
            self._capture.release()
        return True

    def _decode(self) -> Image:
        assert self._capture is not None
        done, image = self._capture.read()
        if done:
            return _picture(image)
        if self._number == 0:
            raise CameraError(f"{self._options.source!r} holds no picture that OpenCV can decode")
        raise EndOfPictures(f"{self._options.source!r} has no more pictures")


class CvCamera:
    """A camera number, a URL or a video file. Frames are stamped when they arrive, so their time is a late guess.

    `captured_err_ms` must cover exposure, transfer and decoding. Free-running: the newest frame is delivered;
    triggered: the newest `queue` wait. A file has a frame at each period of its rate and an end. `lost` counts what
    gave way here; what the driver drops is not known. One reading thread.
    """

    def __init__(self, options: options.CvCamera, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._err_ns = round(options.captured_err_ms * MS)
        self._source: Stream | VideoFile | None = None
        self._hanging: Stream | VideoFile | None = None
        self._first_id = 0
        self._seen = 0
        self._delivered = 0

    def open(self) -> None:
        """Open within 10 s, set what the options ask for and check that it took. Raises CameraError."""
        self.close()
        self._first_id += self._seen
        self._seen = self._delivered = 0
        if self._hanging is not None:
            self._let_go(self._hanging)
        if self._hanging is not None:  # each try would cost another thread
            raise self._error(CameraError("its driver hangs since it was closed; restart the station"))
        source = (VideoFile if _is_file(self._options.source) else Stream)(self._options, self._clock)
        try:
            source.open()
        except CameraError as error:
            self._let_go(source)
            raise self._error(error) from error
        self._source = source

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame; see the Protocol."""
        if self._source is None:
            raise CameraError(f"camera {self._options.name!r} is not open: open it before reading")
        try:
            grabbed = self._source.take(timeout_s)
        except CameraError as error:
            raise self._error(error) from error
        return None if grabbed is None else self._frame(grabbed)

    def about(self) -> About:
        words = f"frames are stamped when they arrive, stated to {self._options.captured_err_ms:g} ms"
        return About((words,) if self._source is not None else ())

    def close(self) -> None:
        """Let the source go; waits 1 s at most for a driver that hangs. May be called twice."""
        source, self._source = self._source, None
        if source is not None:
            self._let_go(source)

    def _let_go(self, source: Stream | VideoFile) -> None:
        self._hanging = None if source.close() else source
        if self._hanging is not None:
            log.warning("camera %r hangs in its driver; it is opened again when that returns", self._options.name)

    def _frame(self, grabbed: Grabbed) -> Frame:
        self._delivered += 1
        self._seen = grabbed.number + 1
        lost = self._seen - self._delivered
        frame_id = self._first_id + grabbed.number
        name, source = self._options.name, TimeSource.ARRIVAL
        return Frame(grabbed.image, name, frame_id, grabbed.at_ns, self._err_ns, source, lost=lost)

    def _error(self, error: CameraError) -> CameraError:
        advice = "" if ";" in str(error) else "; check the camera, its cable and `source`"
        return CameraError(f"camera {self._options.name!r}: {error}{advice}")


def _is_file(source: int | str) -> bool:
    return isinstance(source, str) and Path(source).is_file()


def _capture(options: options.CvCamera) -> cv2.VideoCapture:
    """An opened VideoCapture with the wanted width, height and rate; raises CameraError."""
    capture = cv2.VideoCapture()
    _limit_waiting(capture, options)
    if not capture.isOpened():
        raise CameraError(f"{options.source!r} cannot be opened")
    try:
        _set(capture, options)
    except CameraError:
        capture.release()
        raise
    return capture


def _limit_waiting(capture: cv2.VideoCapture, options: options.CvCamera) -> None:
    """Open; a URL with time limits, so that the thread itself ends when the network is dead."""
    if isinstance(options.source, str) and "://" in options.source:
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(OPEN_S * 1_000)]
        limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(options.timeout_ms)]
        capture.open(options.source, cv2.CAP_FFMPEG, limits)
    else:
        capture.open(options.source)


def _set(capture: cv2.VideoCapture, options: options.CvCamera) -> None:
    """Ask for each setting and read it back: drivers answer yes and do something else."""
    rate = None if _is_file(options.source) else options.fps  # a file's rate is how fast it is shown
    wanted = (
        ("width", cv2.CAP_PROP_FRAME_WIDTH, options.width, 0.0),
        ("height", cv2.CAP_PROP_FRAME_HEIGHT, options.height, 0.0),
        ("fps", cv2.CAP_PROP_FPS, rate, FPS_TOLERANCE),
    )
    # all first: a driver takes a width only together with a height that fits
    for _, key, value, _ in wanted:
        if value is not None:
            capture.set(key, value)
    for name, key, value, tolerance in wanted:
        if value is not None and abs(capture.get(key) - value) > tolerance:
            raise CameraError(f"{options.source!r} refused {name} = {value:g} and gives {capture.get(key):g}")


def _picture(image: NDArray[np.generic]) -> Image:
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] == (3,)):
        raise CameraError(f"pictures are {image.dtype} of shape {image.shape}, not 8-bit BGR or grey")
    return np.asarray(image, np.uint8)
