"""Any pipeline that ends in `appsink name=frames` is a camera; every other is refused with GStreamer's words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.capture import EndOfPictures
from edge.clock import MS, SECOND, SystemClock
from edge.errors import CameraError
from edge.pixels import InputSpec, Pixels
from edge.records import Frame, TimeSource
from edge.report import memory_mb
from tests.capture.cameras import FRAMES, HEIGHT, WIDTH, build, write_video
from tests.peers.gige_vision import GvCamera
from tests.peers.rtsp_camera import RtspCamera
from tests.system.read_many import read_many

gst = pytest.importorskip("edge.capture.gst", reason="install kenpin[gstreamer]", exc_type=ImportError)
GstCamera = gst.GstCamera

LIVE = "videotestsrc is-live=true"
GREY = "video/x-raw,format=GRAY8,width=64,height=48,framerate=30/1"


@contextmanager
def opened(pipeline: str, **settings: Any) -> Iterator[GstCamera]:
    camera = build({"kind": "gst", "pipeline": pipeline, **settings}, SystemClock())
    camera.open()
    try:
        yield camera
    finally:
        camera.close()


def frame_of(camera: GstCamera) -> Frame:
    frame = camera.read(10.0)
    assert frame is not None
    return frame


@pytest.mark.parametrize(
    "pipeline, message",
    [
        ("nosuchelement ! appsink name=frames", "nosuchelement"),
        ("videotestsrc ! fakesink", "does not end in 'appsink name=frames'"),
        ("videotestsrc ! appsink name=pictures", "does not end in 'appsink name=frames'"),
        ("videotestsrc ! fakesink name=frames", "does not end in 'appsink name=frames'"),
        ("appsink name=frames", "does not end in 'appsink name=frames'"),
        ("videotestsrc ! ! appsink name=frames", "syntax error"),
        ("v4l2src device=/dev/no-such-camera ! appsink name=frames", "no-such-camera"),
        ("videotestsrc ! video/x-raw,format=NV12 ! appsink name=frames", "not-negotiated|could not be|stream"),
    ],
)
def test_a_pipeline_that_cannot_deliver_is_refused(pipeline: str, message: str) -> None:
    camera = build({"kind": "gst", "pipeline": pipeline}, SystemClock())
    with pytest.raises(CameraError, match=message):
        camera.open()
        camera.read(5.0)
    camera.close()


def test_a_pipeline_that_never_starts_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gst, "OPEN_S", 0.3)
    camera = build({"kind": "gst", "pipeline": "appsrc ! video/x-raw ! appsink name=frames"}, SystemClock())
    with pytest.raises(CameraError, match=r"did not start within 0\.3 s"):
        camera.open()


def test_a_live_source_that_stays_silent_is_waited_for() -> None:
    with opened("appsrc is-live=true ! video/x-raw ! appsink name=frames") as camera:
        assert camera.read(0.1) is None
        assert camera.read(0.1) is None


def test_a_live_source_that_ends_is_a_lost_camera() -> None:
    with opened(f"{LIVE} num-buffers=2 ! video/x-raw,format=BGR ! appsink name=frames", triggered=True) as camera:
        for _ in range(2):
            frame_of(camera)
        with pytest.raises(CameraError, match="stopped delivering"):
            camera.read(5.0)


def test_an_element_that_fails_in_service_is_a_lost_camera() -> None:
    source = f"{LIVE} ! identity error-after=3 name=cable ! video/x-raw,format=BGR ! appsink name=frames"
    with opened(source, triggered=True) as camera, pytest.raises(CameraError, match="cable"):
        for _ in range(10):
            camera.read(1.0)


def test_a_file_that_ends_is_the_end_of_pictures() -> None:
    source = "videotestsrc num-buffers=2 ! video/x-raw,format=BGR,framerate=100/1 ! appsink name=frames"
    with opened(source) as camera:
        frames = [frame_of(camera) for _ in range(2)]
        assert [frame.source for frame in frames] == [TimeSource.ARRIVAL] * 2
        with pytest.raises(EndOfPictures):
            camera.read(5.0)


@pytest.mark.parametrize("width", [64, 65, 66, 67])
def test_rows_are_read_at_their_stride(width: int) -> None:
    caps = f"video/x-raw,format=BGR,width={width},height=48"
    with opened(f"{LIVE} pattern=smpte100 ! {caps} ! appsink name=frames") as camera:
        image = frame_of(camera).image
    assert image.shape == (48, width, 3)
    # vertical colour bars: with a wrong stride the rows would slant
    assert np.array_equal(image[0], image[20])
    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[0, -1].tolist() == [255, 0, 0]  # blue


def test_mono_pictures_have_two_dimensions() -> None:
    caps = "video/x-raw,format=GRAY8,width=65,height=48"
    with opened(f"{LIVE} pattern=white ! {caps} ! appsink name=frames") as camera:
        image = frame_of(camera).image
    assert image.shape == (48, 65)
    assert image.min() >= 235  # video white


def test_without_caps_in_the_pipeline_bgr_or_mono_is_asked_for() -> None:
    with opened(f"{LIVE} ! videoconvert ! appsink name=frames") as camera:
        assert frame_of(camera).image.shape == (240, 320, 3)


def test_pictures_can_be_made_into_network_input() -> None:
    with opened(
        f"{LIVE} pattern=white ! video/x-raw,format=BGR,width=65,height=48 ! appsink name=frames"
    ) as camera:
        image = Pixels(InputSpec(32, 32)).to_input(frame_of(camera).image)
    assert image.min() == 255


def test_a_live_frame_is_stamped_by_its_source_not_by_its_arrival() -> None:
    slow = "identity sleep-time=80000"  # microseconds between the stamp and us
    source = f"{LIVE} ! video/x-raw,format=BGR,framerate=5/1 ! {slow} ! appsink name=frames"
    clock = SystemClock()
    with opened(source) as camera:
        for _ in range(3):
            frame = frame_of(camera)
            assert frame.source == TimeSource.DRIVER
            assert 79 * MS <= clock.now_ns() - frame.captured_ns < SECOND


def test_frames_that_wait_in_the_pipeline_are_found_to_be_old() -> None:
    """A queue before a slow element is what a driver's pool is to a slow reader."""
    waiting = "queue max-size-buffers=12 max-size-bytes=0 max-size-time=0 ! identity sleep-time=50000"
    source = f"{LIVE} ! video/x-raw,format=BGR,framerate=100/1 ! {waiting} ! appsink name=frames"
    clock = SystemClock()
    with opened(source) as camera:
        until_ns, age_ns = clock.now_ns() + 10 * SECOND, 0
        while age_ns < 400 * MS and clock.now_ns() < until_ns:
            age_ns = clock.now_ns() - frame_of(camera).captured_ns
    assert age_ns >= 400 * MS


def test_a_triggered_camera_keeps_the_newest_of_its_queue() -> None:
    clock = SystemClock()
    source = f"{LIVE} ! video/x-raw,format=BGR,framerate=50/1 ! appsink name=frames"
    with opened(source, triggered=True, queue=3) as camera:
        frame_of(camera)
        clock.sleep_until(clock.now_ns() + SECOND)
        waiting = [frame_of(camera) for _ in range(3)]
        assert [frame.frame_id - waiting[0].frame_id for frame in waiting] == [0, 1, 2]
        assert waiting[2].lost >= 40
        assert clock.now_ns() - waiting[0].captured_ns < 500 * MS


def test_losses_are_counted_where_frames_carry_no_number() -> None:
    # the encoder and the decoder drop the source's frame numbers
    source = f"{LIVE} ! video/x-raw,framerate=50/1 ! jpegenc ! jpegdec ! videoconvert ! appsink name=frames"
    clock = SystemClock()
    with opened(source) as camera:
        first = frame_of(camera)
        clock.sleep_until(clock.now_ns() + SECOND)
        frame_of(camera)
        last = frame_of(camera)
    assert first.lost < last.lost
    assert 5 <= last.lost <= 60  # at most 50 in the second; a busy machine makes fewer


def test_a_hundred_openings_leave_no_thread_and_no_file_open() -> None:
    camera = build(
        {"kind": "gst", "pipeline": f"{LIVE} ! video/x-raw,format=BGR ! appsink name=frames"}, SystemClock()
    )
    held = []
    for number in range(100):
        camera.open()
        if number % 10 == 0:
            frame_of(camera)
        camera.close()
        held.append((threading.active_count(), _native_threads(), _open_files()))
    assert all(now <= first + 2 for first, now in zip(held[5], held[-1], strict=True))


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _native_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_closing_does_not_wait_for_a_source_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gst, "CLOSE_S", 0.2)
    source = f"{LIVE} ! identity sleep-time=1500000 ! video/x-raw,format=BGR ! appsink name=frames"
    clock = SystemClock()
    with opened(source) as camera:
        assert camera.read(0.3) is None
        began_ns = clock.now_ns()
        camera.close()
        assert clock.now_ns() - began_ns < SECOND
    for thread in threading.enumerate():
        if thread.name == "gst-state":
            thread.join(10)


def test_messages_do_not_pile_up_on_the_bus() -> None:
    with opened(f"{LIVE} ! video/x-raw,format=BGR,framerate=50/1 ! appsink name=frames") as camera:
        bus = camera._running.pipeline.get_bus()
        structure = gst.Gst.Structure.new_empty("lost")
        for _ in range(20):
            bus.post(gst.Gst.Message.new_application(None, structure.copy()))
        assert bus.have_pending()
        frame_of(camera)
        frame_of(camera)
        assert not bus.have_pending()


# --- pictures are not copied ---


@pytest.mark.parametrize(
    ("caps", "copies"),
    [
        ("format=BGR,width=64,height=48", 0),
        ("format=BGR,width=65,height=48", 0),
        ("format=GRAY8,width=65,height=48", 0),
    ],
)
def test_a_frame_is_gstreamers_own_memory(caps: str, copies: int) -> None:
    with opened(f"{LIVE} pattern=snow ! video/x-raw,{caps} ! appsink name=frames") as camera:
        frame = frame_of(camera)
        assert frame.copies == copies
        assert not frame.image.flags.owndata and not frame.image.flags.writeable
        assert type(frame.image.base).__name__ == "_Mapped"


def test_a_buffer_in_two_pieces_is_joined_and_the_copy_is_told() -> None:
    size = 64 * 48
    with opened(f"appsrc name=source is-live=true format=time ! {GREY} ! appsink name=frames") as camera:
        buffer = gst.Gst.Buffer.new_wrapped(bytes([7]) * (size // 2))
        buffer.append_memory(gst.Gst.Buffer.new_wrapped(bytes([9]) * (size // 2)).get_all_memory())
        camera._running.pipeline.get_by_name("source").emit("push-buffer", buffer)
        frame = frame_of(camera)
    assert frame.copies == 1
    assert (frame.image[0, 0], frame.image[-1, -1]) == (7, 9)


def test_a_frame_that_is_kept_too_long_is_still_memory() -> None:
    with opened(f"{LIVE} pattern=snow ! video/x-raw,format=BGR,width=64,height=48 ! appsink name=frames") as camera:
        frames = [frame_of(camera) for _ in range(5)]
        before = [frame.image.copy() for frame in frames]
    assert all(np.array_equal(frame.image, kept) for frame, kept in zip(frames, before, strict=True))


def test_buffers_go_back_to_their_pool() -> None:
    """Three hundred pictures of 0.9 MB would be 276 MB, if they were kept."""
    caps = "video/x-raw,format=BGR,width=640,height=480,framerate=1000/1"
    with opened(f"videotestsrc num-buffers=350 pattern=black ! {caps} ! appsink name=frames") as camera:
        for _ in range(50):
            frame_of(camera)
        before = memory_mb()
        for _ in range(300):
            frame_of(camera)
        assert memory_mb() - before < 30


def test_no_buffer_is_leaked(tmp_path: Path) -> None:
    """By GStreamer's own tracer; the short form of the ten thousand frames in tests/system."""
    caps = "video/x-raw,format=GRAY8,width=64,height=48,framerate=500/1"
    read = read_many({"pipeline": f"{LIVE} ! {caps} ! appsink name=frames"}, 300, tmp_path / "gst.log")
    assert read.came.copies == 0
    assert read.held > 0 == read.leaked


def test_a_buffer_that_is_too_small_is_refused() -> None:
    with opened(f"appsrc name=source is-live=true format=time ! {GREY} ! appsink name=frames") as camera:
        buffer = gst.Gst.Buffer.new_wrapped(bytes(100))
        camera._running.pipeline.get_by_name("source").emit("push-buffer", buffer)
        with pytest.raises(CameraError, match="100 bytes, too few"):
            frame_of(camera)


def test_a_damaged_picture_is_lost_not_delivered() -> None:
    with opened(f"appsrc name=source is-live=true format=time ! {GREY} ! appsink name=frames", queue=4) as camera:
        source = camera._running.pipeline.get_by_name("source")
        frames = []
        for level in (1, 2, 3):
            buffer = gst.Gst.Buffer.new_wrapped(bytes([level]) * 64 * 48)
            if level == 2:
                buffer.set_flags(gst.Gst.BufferFlags.CORRUPTED)
            source.emit("push-buffer", buffer)
            frames.append(camera.read(10.0 if level != 2 else 0.3))
    assert frames[1] is None
    assert frames[2].image[0, 0] == 3 and frames[2].lost == 1


# --- a URI ---


def test_a_file_is_shown_from_its_uri(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.avi", 25)
    camera = build({"kind": "gst", "uri": f"file://{path}"}, SystemClock())
    camera.open()
    assert "decodebin" in " ".join(camera.about().words)
    assert [frame_of(camera).image.shape for _ in range(FRAMES)] == [(HEIGHT, WIDTH, 3)] * FRAMES
    with pytest.raises(EndOfPictures):
        camera.read(5.0)
    camera.close()


def test_a_usb_camera_that_is_not_there_is_refused() -> None:
    camera = build({"kind": "gst", "uri": "v4l2:///dev/no-such-camera"}, SystemClock())
    with pytest.raises(CameraError, match="no-such-camera"):
        camera.open()
    camera.close()


@pytest.mark.parametrize(("encoding", "transport"), [("jpeg", "tcp"), ("jpeg", "udp"), ("h264", "tcp")])
def test_a_network_camera_delivers(encoding: str, transport: str) -> None:
    with RtspCamera(encoding, fps=50) as peer:
        keys = {"uri": peer.uri, "encoding": encoding, "transport": transport, "captured_err_ms": 40}
        camera = build({"kind": "gst", **keys}, SystemClock())
        camera.open()
        frames = [frame_of(camera) for _ in range(10)]
        camera.close()
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert {(frame.source, frame.captured_err_ns, frame.copies) for frame in frames} == {
        (TimeSource.ARRIVAL, 40 * MS, 0)
    }
    times = [frame.captured_ns for frame in frames]
    assert times == sorted(set(times))


def test_a_gige_camera_by_uri() -> None:
    with GvCamera() as peer:
        camera = build({"kind": "gst", "uri": f"gige://{peer.address}", "pixel_format": "GRAY8"}, SystemClock())
        camera.open()
        assert frame_of(camera).image.shape == (480, 640)
        camera.close()
