"""Takes frames from any GStreamer pipeline that ends in an appsink named `frames`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import gi  # type: ignore[import-untyped, import-not-found, unused-ignore]
import numpy as np
from numpy.typing import NDArray

from edge import options
from edge.capture import About, EndOfPictures
from edge.capture.gst_memory import picture
from edge.capture.gst_pipeline import SINK, pipeline_text, shown
from edge.capture.release import Release
from edge.capture.silence import Silence
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

CAPS = "video/x-raw, format=(string){ BGR, GRAY8 }"
OPEN_S = 10.0  # the longest wait for a device, and for a file's first picture
CLOSE_S = 3.0
ERROR_NS = SECOND  # a streaming thread may fail first and say why a moment later
CLOCK_READINGS = 5
SLICE_NS = SECOND // 10  # an error on the bus wakes no reader: it looks so often

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the pictures lie in a buffer, as its caps say: one object for each caps."""

    width: int
    height: int
    format: str
    offset: int
    stride: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.height, self.width) if self.format == "GRAY8" else (self.height, self.width, 3)

    def strides(self, stride: int) -> tuple[int, ...]:
        return (stride, 1) if self.format == "GRAY8" else (stride, 3, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """A started pipeline; `live`: its source gives the pace. `ahead_ns`: our clock minus the pipeline's."""

    pipeline: Any
    sink: Any
    live: bool
    ahead_ns: int
    silence: Silence


def pipeline_of(options: options.GstCamera) -> str:
    """The pipeline on this machine, without passwords. Raises ConfigError for an element that is missing."""
    return shown(pipeline_text(options, _has))


def _has(element: str) -> bool:
    Gst.init(None)
    return Gst.ElementFactory.find(element) is not None


class GstCamera:
    """Frames of a GStreamer pipeline in BGR or GRAY8, each a view on GStreamer's own buffer.

    A live source's frame is captured at its buffer's time stamp, give or take the stated `captured_err_ms`; its
    appsink keeps the newest frame, or the newest `queue` frames of a triggered camera, and drops the rest. A source
    that gives no pace of its own (a file) loses nothing; its frame counts as captured when it is read. `lost` follows
    the source's frame counter where it has one (v4l2src has), else what the appsink dropped; a frame that the decoder
    calls damaged is lost too. Pictures that change their size or format are a lost camera. One reading thread.
    """

    def __init__(self, options: options.GstCamera, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._err_ns = round(options.captured_err_ms * MS)
        # rtsp's stamps say when the first packet of a picture came
        self._source = TimeSource.ARRIVAL if options.uri.startswith("rtsp") else TimeSource.DRIVER
        self._release = Release("gst-state")
        self._running: Running | None = None
        self._layout: Layout | None = None
        self._caps: Any = None
        self._first_id = 0
        self._read = 0
        self._dropped = 0
        self._damaged = 0
        self._lost = 0
        self._counter = -1
        self._fault = ""

    def open(self) -> None:
        """Build and start the pipeline within 10 s. Raises CameraError with GStreamer's words."""
        self.close()
        self._first_id += self._read + self._lost
        self._read, self._dropped, self._damaged, self._lost = 0, 0, 0, 0
        self._counter, self._fault = -1, ""
        self._layout, self._caps = None, None
        try:
            self._release.wait(CLOSE_S)
        except CameraError as error:
            raise self._error(str(error)) from error
        pipeline, sink = self._build()
        try:
            live = self._pause(pipeline)
            if live:
                sink.set_property("sync", False)  # waiting for a live frame's "turn" only makes it older
            self._set_limits(sink, live)
            self._play(pipeline)
        except CameraError:
            self._stop(pipeline)
            raise
        self._running = Running(pipeline, sink, live, self._ahead_ns(), Silence(self._options, self._clock))

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame; see the Protocol."""
        running = self._running
        if running is None:
            raise CameraError(f"camera {self._options.name!r} is not open: open it before reading")
        until_ns = self._clock.now_ns() + round(timeout_s * SECOND)
        while True:
            arrived = running.sink.get_property("stats").get_value("rendered")
            sample = running.sink.try_pull_sample(max(0, min(until_ns - self._clock.now_ns(), SLICE_NS)))
            # at every frame: what nobody takes from the bus stays in memory
            self._fault = self._fault or _bus_error(running.pipeline)
            if sample is not None:
                running.silence.heard()
                if not sample.get_buffer().has_flags(Gst.BufferFlags.CORRUPTED):
                    return self._frame(running, sample, arrived)
                self._damaged += 1
            else:
                self._raise_end(running)
            if self._clock.now_ns() >= until_ns:
                return None

    def about(self) -> About:
        """The pipeline as it runs on this machine."""
        if self._running is None:
            return About()
        stamp = "when it arrives" if self._source is TimeSource.ARRIVAL else "by its source"
        words = f"a frame is stamped {stamp}, stated to {self._options.captured_err_ms:g} ms"
        return About((words, pipeline_of(self._options)))

    def close(self) -> None:
        """Stop the pipeline; waits 3 s at most, then leaves it to a thread of its own. May be called twice."""
        running, self._running = self._running, None
        if running is not None:
            self._stop(running.pipeline)

    def _build(self) -> tuple[Any, Any]:
        Gst.init(None)
        try:
            pipeline = Gst.parse_launch(pipeline_text(self._options, _has))
        except GLib.Error as error:
            raise self._error(error.message) from error
        except ConfigError as error:
            raise self._error(str(error)) from error
        sink = pipeline.get_by_name(SINK) if isinstance(pipeline, Gst.Pipeline) else None
        if not isinstance(sink, GstApp.AppSink):
            raise self._error(f"it does not end in 'appsink name={SINK}'")
        if sink.get_property("caps") is None:
            sink.set_property("caps", Gst.Caps.from_string(CAPS))
        sink.set_property("enable-last-sample", False)  # it would keep a buffer from its pool
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

        if not self._release.run(pause, OPEN_S + 1) or answers[0] == Gst.StateChangeReturn.ASYNC:
            raise self._error(f"it did not start within {OPEN_S:g} s")
        if answers[0] == Gst.StateChangeReturn.FAILURE:
            raise self._error(_bus_error(pipeline, ERROR_NS) or "it did not start")
        return bool(answers[0] == Gst.StateChangeReturn.NO_PREROLL)

    def _play(self, pipeline: Any) -> None:
        """Start the flow. A triggered camera may stay without a frame for long, so none is waited for."""
        answers: list[Any] = []

        def play() -> None:
            answers.append(pipeline.set_state(Gst.State.PLAYING))

        if not self._release.run(play, OPEN_S):
            raise self._error(f"it did not start within {OPEN_S:g} s")
        if answers[0] == Gst.StateChangeReturn.FAILURE:
            raise self._error(_bus_error(pipeline, ERROR_NS) or "it did not start")

    def _stop(self, pipeline: Any) -> None:
        if not self._release.run(lambda: pipeline.set_state(Gst.State.NULL), CLOSE_S):
            log.error("camera %r did not stop within %g s: a driver hangs", self._options.name, CLOSE_S)

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
        if not running.sink.is_eos():
            self._check_silence(running)
            return
        if running.live:
            raise self._error("the source stopped delivering")
        raise EndOfPictures(f"camera {self._options.name!r}: the pipeline has no more pictures")

    def _check_silence(self, running: Running) -> None:
        if not running.live:
            return  # a file takes its time
        try:
            running.silence.check()
        except CameraError as error:
            raise self._error(str(error)) from error

    def _frame(self, running: Running, sample: Any, arrived: int) -> Frame:
        image, copies = self._image(sample)
        buffer = sample.get_buffer()
        self._read += 1
        self._count_lost(running, buffer, arrived)
        captured_ns, source = self._captured(running, sample, buffer)
        return Frame(
            image,
            self._options.name,
            self._first_id + self._read - 1 + self._lost,
            captured_ns,
            self._err_ns,
            source,
            lost=self._lost,
            copies=copies,
        )

    def _image(self, sample: Any) -> tuple[Image, int]:
        """The picture over its buffer, rows at the buffer's stride, and how often it was copied for that."""
        layout, buffer = self._layout_of(sample), sample.get_buffer()
        meta = GstVideo.buffer_get_video_meta(buffer)
        offset, stride = (meta.offset[0], meta.stride[0]) if meta else (layout.offset, layout.stride)
        try:
            return picture(buffer, layout.shape, offset, layout.strides(stride))
        except ValueError as error:
            raise self._error(f"a buffer is not as its caps say: {error}") from error

    def _layout_of(self, sample: Any) -> Layout:
        caps = sample.get_caps()
        if self._layout is not None and hash(caps) == hash(self._caps):  # of a boxed value: where it is
            return self._layout
        info = GstVideo.VideoInfo.new_from_caps(caps)
        layout = Layout(info.width, info.height, info.finfo.name, info.offset[0], info.stride[0])
        before, self._layout, self._caps = self._layout, layout, caps
        if before not in (None, layout) and not self._options.sizes_may_differ:
            raise self._error(
                f"its pictures changed from {_words(before)} to {_words(layout)}: state width and height in its "
                "pipeline or uri"
            )
        return layout

    def _count_lost(self, running: Running, buffer: Any, arrived: int) -> None:
        """Count by the source's frame numbers, or by what arrived at the appsink before this frame was taken."""
        if buffer.offset_end == buffer.offset + 1:  # a frame number; byte positions end further on
            if 0 <= self._counter < buffer.offset:
                self._lost += buffer.offset - self._counter - 1
            self._counter = buffer.offset
            return
        if running.live:
            waiting = self._options.queue - 1 if self._options.triggered else 0
            self._dropped = max(self._dropped, arrived - waiting - self._read - self._damaged)
        self._lost = self._dropped + self._damaged

    def _captured(self, running: Running, sample: Any, buffer: Any) -> tuple[int, TimeSource]:
        now_ns = self._clock.now_ns()
        if not running.live or buffer.pts == Gst.CLOCK_TIME_NONE:
            return now_ns, TimeSource.ARRIVAL
        running_ns = sample.get_segment().to_running_time(Gst.Format.TIME, buffer.pts)
        if running_ns == Gst.CLOCK_TIME_NONE:
            return now_ns, TimeSource.ARRIVAL
        stamped_ns = running_ns + running.pipeline.get_base_time() + running.ahead_ns
        return min(stamped_ns, now_ns), self._source

    def _error(self, words: str) -> CameraError:
        advice = "" if ";" in words else "; check the camera, its cable and its pipeline"
        return CameraError(f"camera {self._options.name!r}: {words}{advice}")


def _words(layout: Layout | None) -> str:
    return "nothing" if layout is None else f"{layout.width} x {layout.height} {layout.format}"


def _bus_error(pipeline: Any, wait_ns: int = 0) -> str:
    """The first error on the pipeline's bus as "element: message", "" when there is none; other messages go."""
    message = pipeline.get_bus().timed_pop_filtered(wait_ns, Gst.MessageType.ERROR)
    if message is None:
        return ""
    error, _ = message.parse_error()
    return f"{message.src.get_name()}: {error.message}"
