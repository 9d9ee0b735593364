"""A URI becomes the pipeline that a person would write for this machine."""

from __future__ import annotations

from typing import Any

import pytest

from edge import options
from edge.capture.gst_pipeline import pipeline_text, shown
from edge.errors import ConfigError

DESKTOP = {"jpegdec", "avdec_h264", "avdec_h265", "aravissrc"}
JETSON = {*DESKTOP, "h264parse", "nvv4l2decoder", "nvvidconv", "nvarguscamerasrc"}


def text(has: set[str], **keys: Any) -> str:
    chosen = options.GstCamera.model_validate({"kind": "gst", "name": "top", **keys})
    return pipeline_text(chosen, has.__contains__)


BGR = "videoconvert ! video/x-raw, format=BGR ! appsink name=frames"
FROM_NVMM = "nvvidconv ! video/x-raw, format=BGRx ! videoconvert ! video/x-raw, format=BGR ! appsink name=frames"


def test_a_usb_camera_in_raw_pictures() -> None:
    assert text(DESKTOP, uri="v4l2:///dev/video0") == f'v4l2src device="/dev/video0" ! video/x-raw ! {BGR}'


def test_size_and_rate_are_asked_of_the_camera_and_held_to() -> None:
    assert text(DESKTOP, uri="v4l2:///dev/video2", width=1280, height=720, fps=60, pixel_format="GRAY8") == (
        'v4l2src device="/dev/video2" ! video/x-raw, width=1280, height=720, framerate=60/1 ! '
        "videoconvert ! video/x-raw, format=GRAY8, width=1280, height=720 ! appsink name=frames"
    )
    assert "framerate=29970/1000" in text(DESKTOP, uri="v4l2:///dev/video2", fps=29.97)


def test_a_usb_camera_in_jpeg_is_decoded_by_what_the_machine_has() -> None:
    source = 'v4l2src device="/dev/video0" ! image/jpeg'
    assert text(DESKTOP, uri="v4l2:///dev/video0", encoding="jpeg") == f"{source} ! jpegdec ! {BGR}"
    assert text(JETSON, uri="v4l2:///dev/video0", encoding="jpeg") == (
        f"{source} ! nvv4l2decoder mjpeg=true enable-max-performance=true ! {FROM_NVMM}"
    )


def test_the_camera_connector_of_a_jetson_stays_in_video_memory() -> None:
    assert text(JETSON, uri="csi://1", width=1920, height=1080, fps=30) == (
        "nvarguscamerasrc sensor-id=1 ! "
        "video/x-raw(memory:NVMM), format=NV12, width=1920, height=1080, framerate=30/1 ! "
        "nvvidconv ! video/x-raw, format=BGRx ! videoconvert ! "
        "video/x-raw, format=BGR, width=1920, height=1080 ! appsink name=frames"
    )
    assert text(JETSON, uri="csi://0", pixel_format="GRAY8").endswith(
        "nvvidconv ! video/x-raw, format=GRAY8 ! appsink name=frames"
    )
    with pytest.raises(ConfigError, match="no nvarguscamerasrc: csi:// is for the camera connector of a Jetson"):
        text(DESKTOP, uri="csi://0")


def test_a_network_camera_is_decoded_by_what_the_machine_has() -> None:
    uri = "rtsp://192.0.2.4/main"
    head = f'rtspsrc location="{uri}" protocols=tcp latency=50 drop-on-latency=true tcp-timeout=2000000 timeout=0'
    assert text(DESKTOP, uri=uri, captured_err_ms=40) == (
        f"{head} ! rtph264depay ! avdec_h264 thread-type=slice ! {BGR}"
    )
    assert text(JETSON, uri=uri, captured_err_ms=40) == (
        f"{head} ! rtph264depay ! h264parse ! nvv4l2decoder enable-max-performance=true ! {FROM_NVMM}"
    )
    udp = text(
        DESKTOP, uri=uri, captured_err_ms=40, encoding="jpeg", transport="udp", latency_ms=10, timeout_ms=500
    )
    assert "protocols=udp latency=10 drop-on-latency=true tcp-timeout=500000 timeout=500000" in udp
    assert "rtpjpegdepay ! jpegdec" in udp


def test_a_decoder_that_is_missing_is_named_with_its_package() -> None:
    with pytest.raises(ConfigError, match=r"h265 needs one of .*avdec_h265.*: apt install gstreamer1\.0-libav"):
        text({"jpegdec"}, uri="rtsp://192.0.2.4/main", captured_err_ms=40, encoding="h265")


def test_files_and_gige_cameras() -> None:
    assert (
        text(DESKTOP, uri="file:///data/a film.mp4") == f'filesrc location="/data/a film.mp4" ! decodebin ! {BGR}'
    )
    assert text(JETSON, uri="file:///film.mp4") == f'filesrc location="/film.mp4" ! decodebin ! {FROM_NVMM}'
    assert text(DESKTOP, uri="gige://192.0.2.7", fps=20) == (
        f'aravissrc camera-name="192.0.2.7" ! video/x-raw, framerate=20/1 ! {BGR}'
    )


def test_a_name_cannot_leave_its_quotes() -> None:
    assert 'location="/a\\" ! filesink location=/b"' in text(DESKTOP, uri='file:///a" ! filesink location=/b')


def test_a_pipeline_is_taken_as_it_is() -> None:
    pipeline = "videotestsrc ! appsink name=frames"
    assert text(DESKTOP, pipeline=pipeline) == pipeline


def test_passwords_are_not_shown() -> None:
    pipeline = text(DESKTOP, uri="rtsp://viewer:s3cret@192.0.2.4/main", captured_err_ms=40)
    assert "s3cret" in pipeline
    assert "rtsp://viewer:***@192.0.2.4/main" in shown(pipeline)
    assert shown("videotestsrc ! appsink name=frames") == "videotestsrc ! appsink name=frames"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "either pipeline or uri"),
        ({"pipeline": "p", "uri": "csi://0"}, "either pipeline or uri"),
        ({"pipeline": "p", "width": 640}, "width: remove it"),
        ({"uri": "webcam://0"}, "uri must be v4l2:///dev/"),
        ({"uri": "csi://front"}, "uri must be"),
        ({"uri": "rtsp://192.0.2.4/"}, "state captured_err_ms"),
        ({"uri": "rtsp://192.0.2.4/", "captured_err_ms": 40, "encoding": "raw"}, "rtsp sends no raw pictures"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        options.GstCamera.model_validate({"kind": "gst", "name": "top", **keys})
