"""OpenCV's sources fail, hang and lie; the camera says so and never hangs with them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.capture import cv
from edge.capture.cv import CvCamera
from edge.clock import MS, SECOND, SystemClock
from edge.errors import CameraError
from edge.records import TimeSource
from tests.capture.cameras import HEIGHT, WIDTH, build, write_video
from tests.capture.mjpeg import MjpegServer


@contextmanager
def camera_for(source: int | str, **settings: Any) -> Iterator[CvCamera]:
    camera = build({"kind": "cv", "source": source, **settings}, SystemClock())
    try:
        yield camera
    finally:
        camera.close()


def refused(source: int | str, message: str, **settings: Any) -> None:
    with camera_for(source, **settings) as camera, pytest.raises(CameraError, match=message):
        camera.open()
        camera.read(5.0)


def test_a_source_that_is_not_there_is_refused() -> None:
    refused("/no/such/film.avi", "cannot be opened")
    refused("http://127.0.0.1:9/camera.mjpg", "cannot be opened")
    refused(63, "63 cannot be opened")


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    path.write_bytes(b"not a film" * 100)
    refused(str(path), "cannot be opened|no picture")


def test_a_truncated_video_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.avi", 25)
    path.write_bytes(path.read_bytes()[:300])
    refused(str(path), "cannot be opened|no picture")


def test_a_setting_that_the_driver_does_not_take_is_refused(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "film.avi", 25))
    refused(path, f"refused width = 640 and gives {WIDTH}", width=640)
    refused(path, f"refused height = 480 and gives {HEIGHT}", height=480)
    with MjpegServer() as server:
        refused(server.url, "refused fps = 7", fps=7)


def test_settings_that_the_source_has_are_accepted(tmp_path: Path) -> None:
    with camera_for(str(write_video(tmp_path / "film.avi", 25)), width=WIDTH, height=HEIGHT) as camera:
        camera.open()
        assert camera.read(5.0) is not None


def test_a_file_is_shown_at_the_stated_rate(tmp_path: Path) -> None:
    clock = SystemClock()
    with camera_for(str(write_video(tmp_path / "film.avi", 1)), fps=50) as camera:
        camera.open()
        began_ns = clock.now_ns()
        for _ in range(6):
            camera.read(5.0)
        assert 90 * MS <= clock.now_ns() - began_ns < 3 * SECOND


def test_arrival_is_said_with_the_stated_error() -> None:
    with MjpegServer() as server, camera_for(server.url, captured_err_ms=12.5) as camera:
        camera.open()
        frame = camera.read(5.0)
    assert frame is not None
    assert (frame.source, frame.captured_err_ns) == (TimeSource.ARRIVAL, 12_500_000)
    assert frame.trigger_counter == -1


def test_a_stream_that_closes_is_a_lost_camera() -> None:
    with MjpegServer(frames=40) as server, camera_for(server.url) as camera:
        camera.open()
        with pytest.raises(CameraError, match="stopped delivering"):
            for _ in range(100):
                camera.read(5.0)
        with pytest.raises(CameraError, match="stopped delivering"):
            camera.read(5.0)


def test_a_stream_that_falls_silent_hangs_neither_reader_nor_close() -> None:
    clock = SystemClock()
    with MjpegServer(frames=40, hang=True) as server, camera_for(server.url, timeout_ms=3_000) as camera:
        camera.open()
        while camera.read(0.4) is not None:
            pass
        began_ns = clock.now_ns()
        assert camera.read(0.1) is None
        camera.close()
        assert clock.now_ns() - began_ns < 2_500 * MS
    _join_grabbers()


def test_a_stream_that_falls_silent_is_lost_after_its_timeout() -> None:
    with MjpegServer(frames=40, hang=True) as server, camera_for(server.url, timeout_ms=300) as camera:
        camera.open()
        with pytest.raises(CameraError, match="stopped delivering"):
            for _ in range(100):
                camera.read(5.0)


def test_a_source_that_does_not_open_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv, "OPEN_S", 0.4)
    with MjpegServer(frames=0, hang=True) as server:
        refused(server.url, r"did not open within 0\.4 s|cannot be opened")
    _join_grabbers()


def test_a_triggered_camera_keeps_the_newest_of_its_queue() -> None:
    clock = SystemClock()
    with MjpegServer(fps=50) as server, camera_for(server.url, triggered=True, queue=3) as camera:
        camera.open()
        camera.read(5.0)
        clock.sleep_until(clock.now_ns() + SECOND)
        waiting = [camera.read(5.0) for _ in range(3)]
        ids = [frame.frame_id for frame in waiting if frame]
        assert ids == list(range(ids[0], ids[0] + 3))
        assert waiting[-1] is not None
        assert waiting[-1].lost >= 20


def _join_grabbers() -> None:
    """Wait for threads that were left in the network, so that the next test does not see them."""
    for thread in threading.enumerate():
        if thread.name.startswith("cv-"):
            thread.join(10)
            assert not thread.is_alive()
