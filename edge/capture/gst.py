"""Takes frames from any GStreamer pipeline that ends in an appsink named `frames`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gi  # type: ignore[import-untyped, import-not-found, unused-ignore]
import numpy as np
from numpy.typing import NDArray

from edge import options
from edge.capture import EndOfPictures
from edge.clock import MS, SECOND, Clock
from edge.errors import CameraError, ConfigError
from edge.records import Frame, TimeSource

try:
    for _name in ("Gst", "GstApp", "GstVideo"):
        gi.require_version(_name, "1.0")
    from gi.repository import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
        GLib,
        Gst,
        GstApp,
        GstVideo,
    )
except (ImportError, ValueError) as error:
    raise ConfigError(
        f"camera kind 'gst' needs GStreamer's bindings ({error}): "
        "apt install gstreamer1.0-plugins-good gir1.2-gst-plugins-base-1.0"
    ) from error

log = logging.getLogger(__name__)

SINK = "frames"
CAPS = "video/x-raw, format=(string){ BGR, GRAY8 }"
OPEN_S = 10.0  # the longest wait for a device, and for a file's first picture
CLOSE_S = 3.0
ERROR_NS = SECOND  # a streaming thread may fail first and say why a moment later
CLOCK_READINGS = 5

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """A started pipeline; `live`: its source gives the pace. `ahead_ns`: our clock minus the pipeline's."""

    pipeline: Any
    sink: Any
    live: bool
    ahead_ns: int


class GstCamera:
    """Frames of a GStreamer pipeline in BGR or GRAY8.

    A live source's frame is captured at its buffer's time stamp, give or take the stated `captured_err_ms`; its
    appsink keeps the newest frame, or the newest `queue` frames of a triggered camera, and drops the rest. A source
    that gives no pace of its own (a file) loses nothing; its frame counts as captured when it is read. `lost` follows
    the source's frame counter where it has one (v4l2src has), else what the appsink dropped. One reading thread.
    """

    def __init__(self, options: options.GstCamera, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._err_ns = round(options.captured_err_ms * MS)
        self._running: Running | None = None
        self._first_id = 0
        self._read = 0
        self._lost = 0
        self._counter = -1
        self._fault = ""

    def open(self) -> None:
        """Build and start the pipeline within 10 s. Raises CameraError with GStreamer's words."""
        self.close()
        self._first_id += self._read + self._lost
        self._read, self._lost, self._counter, self._fault = 0, 0, -1, ""
        pipeline, sink = self._build()
        try:
            live = self._pause(pipeline)
            if live:
                sink.set_property("sync", False)  # waiting for a live frame's "turn" only makes it older
            self._set_limits(sink, live)
            self._play(pipeline)
        except CameraError:
            _stop(pipeline, self._options.name)
            raise
        self._running = Running(pipeline, sink, live, self._ahead_ns())

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame; see the Protocol."""
        running = self._running
        if running is None:
            raise CameraError(f"camera {self._options.name!r} is not open: open it before reading")
        arrived = running.sink.get_property("stats").get_value("rendered")
        sample = running.sink.try_pull_sample(max(0, round(timeout_s * SECOND)))
        # at every frame: what nobody takes from the bus stays in memory
        self._fault = self._fault or _bus_error(running.pipeline)
        if sample is None:
            self._raise_end(running)
            return None
        return self._frame(running, sample, arrived)

    def close(self) -> None:
        """Stop the pipeline; waits 3 s at most, then leaves it to a thread of its own. May be called twice."""
        running, self._running = self._running, None
        if running is not None:
            _stop(running.pipeline, self._options.name)

    def _build(self) -> tuple[Any, Any]:
        Gst.init(None)
        try:
            pipeline = Gst.parse_launch(self._options.pipeline)
        except GLib.Error as error:
            raise self._error(error.message) from error
        sink = pipeline.get_by_name(SINK) if isinstance(pipeline, Gst.Pipeline) else None
        if not isinstance(sink, GstApp.AppSink):
            raise self._error(f"it does not end in 'appsink name={SINK}'")
        if sink.get_property("caps") is None:
            sink.set_property("caps", Gst.Caps.from_string(CAPS))
        pipeline.use_clock(Gst.SystemClock.obtain())  # CLOCK_MONOTONIC, never a sound card's
        return pipeline, sink

    def _set_limits(self, sink: Any, live: bool) -> None:
        sink.set_property("max-buffers", self._options.queue if self._options.triggered else 1)
        sink.set_property("drop", live)

    def _pause(self, pipeline: Any) -> bool:
        """Bring the pipeline to PAUSED, which opens its devices; returns whether its source is live."""
        answers: list[Any] = []

        def pause() -> None:
            pipeline.set_state(Gst.State.PAUSED)
            answers.append(pipeline.get_state(round(OPEN_S * SECOND))[0])

        if not _within(OPEN_S + 1, pause) or answers[0] == Gst.StateChangeReturn.ASYNC:
            raise self._error(f"it did not start within {OPEN_S:g} s")
        if answers[0] == Gst.StateChangeReturn.FAILURE:
            raise self._error(_bus_error(pipeline, ERROR_NS) or "it did not start")
        return bool(answers[0] == Gst.StateChangeReturn.NO_PREROLL)

    def _play(self, pipeline: Any) -> None:
        """Start the flow. A triggered camera may stay without a frame for long, so none is waited for."""
        answers: list[Any] = []
        if not _within(OPEN_S, lambda: answers.append(pipeline.set_state(Gst.State.PLAYING))):
            raise self._error(f"it did not start within {OPEN_S:g} s")
        if answers[0] == Gst.StateChangeReturn.FAILURE:
            raise self._error(_bus_error(pipeline, ERROR_NS) or "it did not start")

    def _ahead_ns(self) -> int:
        """Our clock minus GStreamer's, from the closest pair of readings."""
        clock = Gst.SystemClock.obtain()
        readings: list[tuple[int, int]] = []
        for _ in range(CLOCK_READINGS):
            before, theirs, after = self._clock.now_ns(), int(clock.get_time()), self._clock.now_ns()
            readings.append((after - before, (before + after) // 2 - theirs))
        return min(readings)[1]

    def _raise_end(self, running: Running) -> None:
        """Raise what ended the flow, if anything did."""
        if self._fault:
            raise self._error(self._fault)
        if not running.sink.is_eos() or self._running is None:
            return
        if running.live:
            raise self._error("the source stopped delivering")
        raise EndOfPictures(f"camera {self._options.name!r}: the pipeline has no more pictures")

    def _frame(self, running: Running, sample: Any, arrived: int) -> Frame:
        image = self._image(sample)
        buffer = sample.get_buffer()
        self._read += 1
        self._count_lost(running, buffer, arrived)
        captured_ns, source = self._captured(running, sample, buffer)
        frame_id = self._first_id + self._read - 1 + self._lost
        return Frame(image, self._options.name, frame_id, captured_ns, self._err_ns, source, lost=self._lost)

    def _image(self, sample: Any) -> Image:
        """The picture as a read-only array over a copy of the buffer, rows at the buffer's stride."""
        info = GstVideo.VideoInfo.new_from_caps(sample.get_caps())
        buffer = sample.get_buffer()
        meta = GstVideo.buffer_get_video_meta(buffer)
        layout = meta or info
        depth = () if info.finfo.name == "GRAY8" else (3,)
        shape = (info.height, info.width, *depth)
        strides = (layout.stride[0], 3, 1) if depth else (layout.stride[0], 1)
        data = buffer.extract_dup(0, buffer.get_size())
        try:
            image: Image = np.ndarray(shape, np.uint8, data, layout.offset[0], strides)
        except (TypeError, ValueError) as error:
            raise self._error(f"a buffer of {len(data)} bytes is too small for a {shape} picture") from error
        return image

    def _count_lost(self, running: Running, buffer: Any, arrived: int) -> None:
        """Count by the source's frame numbers, or by what arrived at the appsink before this frame was taken."""
        if buffer.offset_end == buffer.offset + 1:  # a frame number; byte positions end further on
            if 0 <= self._counter < buffer.offset:
                self._lost += buffer.offset - self._counter - 1
            self._counter = buffer.offset
        elif running.live:
            waiting = self._options.queue - 1 if self._options.triggered else 0
            self._lost = max(self._lost, arrived - waiting - self._read)

    def _captured(self, running: Running, sample: Any, buffer: Any) -> tuple[int, TimeSource]:
        now_ns = self._clock.now_ns()
        if not running.live or buffer.pts == Gst.CLOCK_TIME_NONE:
            return now_ns, TimeSource.ARRIVAL
        running_ns = sample.get_segment().to_running_time(Gst.Format.TIME, buffer.pts)
        if running_ns == Gst.CLOCK_TIME_NONE:
            return now_ns, TimeSource.ARRIVAL
        stamped_ns = running_ns + running.pipeline.get_base_time() + running.ahead_ns
        return min(stamped_ns, now_ns), TimeSource.DRIVER

    def _error(self, words: str) -> CameraError:
        return CameraError(f"camera {self._options.name!r}: {words}; check the camera, its cable and `pipeline`")


def _bus_error(pipeline: Any, wait_ns: int = 0) -> str:
    """The first error on the pipeline's bus as "element: message", "" when there is none; other messages go."""
    message = pipeline.get_bus().timed_pop_filtered(wait_ns, Gst.MessageType.ERROR)
    if message is None:
        return ""
    error, _ = message.parse_error()
    return f"{message.src.get_name()}: {error.message}"


def _stop(pipeline: Any, name: str) -> None:
    if not _within(CLOSE_S, lambda: pipeline.set_state(Gst.State.NULL)):
        log.error("camera %r did not stop within %g s: a driver hangs; restart the station", name, CLOSE_S)


def _within(timeout_s: float, call: Callable[[], Any]) -> bool:
    """Run `call` in a thread of its own, since GStreamer's state changes wait for drivers; whether it ended in time."""
    thread = threading.Thread(target=call, name="gst-state", daemon=True)
    thread.start()
    thread.join(timeout_s)
    return not thread.is_alive()
