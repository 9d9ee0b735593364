"""`edge check --devices` says what a camera says of itself, and refuses one that parts would outrun."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from edge.clock import SystemClock
from edge.errors import CameraError
from edge.station import Station, parse
from edge.trial import try_devices
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
