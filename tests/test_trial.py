"""`edge check --devices` says what a camera says of itself, and refuses one that parts would outrun."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from edge.clock import SystemClock
from edge.errors import CameraError
from edge.station import Station, parse
from edge.trial import pipelines, try_devices
from tests.peers.gige_vision import GvCamera
from tests.peers.waiting import missing

STATION = """
[station]
name = "line-3"
mode = "collect"
[[camera]]
name = "top"
kind = "gige"
address = "{address}"
exposure_us = 30_000
timeout_ms = 300
[trigger]
kind = "simulated"
[travel]
trigger_to_gate_ms = 420
decide_before_ms = 30
pitch_ms = {pitch}
"""


@pytest.fixture
def peer() -> Iterator[GvCamera]:
    if find_spec("gi") is None:
        missing("install kenpin[gige]")
    with GvCamera() as camera:
        camera.set("SensorShutterMode", 1)
        yield camera


def station(peer: GvCamera, pitch: int) -> Station:
    return parse(STATION.format(address=peer.address, pitch=pitch).encode(), Path("station.toml"))


def test_a_camera_says_what_it_is_and_what_its_shutter_allows(peer: GvCamera) -> None:
    (words,) = try_devices(station(peer, 60), SystemClock())
    assert "no frame within 300 ms (it waits for a trigger)" in words
    assert "Kenpin Loopback" in words
    assert "at most 20 times a second with its rolling shutter" in words
    assert "its clock can be latched" in words


def test_a_camera_that_parts_would_outrun_is_refused(peer: GvCamera) -> None:
    said = []
    with pytest.raises(CameraError, match=r"triggered 20\.0 times a second and parts may come 25\.0 times"):
        for words in try_devices(station(peer, 40), SystemClock()):
            said.append(words)
    assert "camera with a global shutter" in said[0]


URIS = """
[station]
name = "line-3"
mode = "collect"
[[camera]]
name = "top"
kind = "gst"
uri = "v4l2:///dev/video0"
width = 640
[[camera]]
name = "side"
kind = "gst"
uri = "csi://0"
[[camera]]
name = "front"
kind = "gst"
pipeline = "videotestsrc ! appsink name=frames"
[trigger]
kind = "simulated"
"""


def test_pipelines_that_are_written_for_this_machine_are_shown() -> None:
    if find_spec("gi") is None:
        missing("install kenpin[gstreamer]")
    top, side = pipelines(parse(URIS.encode(), Path("station.toml")))
    assert top.startswith('camera top, pipeline: v4l2src device="/dev/video0" ! video/x-raw, width=640 ! ')
    assert "camera side, pipeline: cannot be written on this machine: GStreamer has no nvarguscamerasrc" in side
