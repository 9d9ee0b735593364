"""GigE Vision cameras: what they send is what the station gets; what they do not keep is refused; they come back."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from edge import options
from edge.capture import Camera
from edge.capture.gige_facts import losses
from edge.clock import MS, SECOND, SystemClock
from edge.errors import CameraError
from edge.records import Frame, TimeSource
from tests.capture.cameras import build
from tests.peers.aravis_camera import AravisCamera
from tests.peers.gige_vision import CONTROL, CONTROL_PORT, GvCamera, noise
from tests.peers.waiting import eventually

SMALL = {"width": 64, "height": 48}
PATIENCE_S = 10.0


@contextmanager
def opened(peer: Any, **settings: Any) -> Iterator[Any]:
    camera = camera_for(peer, **settings)
    camera.open()
    try:
        yield camera
    finally:
        camera.close()


def camera_for(peer: Any, **settings: Any) -> Any:
    return build({"kind": "gige", "address": peer.address, **SMALL, **settings}, SystemClock())


def frame_of(camera: Camera) -> Frame:
    frame = camera.read(PATIENCE_S)
    assert frame is not None
    return frame


def refused(peer: Any, message: str, **settings: Any) -> None:
    camera = camera_for(peer, **settings)
    with pytest.raises(CameraError, match=message):
        camera.open()
    camera.close()


def lost(camera: Camera, message: str, within_s: float = 10.0) -> None:
    """The camera says so by itself, within the time."""
    clock = SystemClock()
    began_ns = clock.now_ns()
    with pytest.raises(CameraError, match=message):
        while clock.now_ns() - began_ns < 3 * within_s * SECOND:
            camera.read(0.1)
    assert clock.now_ns() - began_ns < within_s * SECOND


def refusal(camera: Any) -> str:
    """The words with which it does not open."""
    with pytest.raises(CameraError, match="no camera with serial 'KP99' answers") as refused:
        camera.open()
    camera.close()
    return str(refused.value)


def opens_soon(camera: Any) -> None:
    """A search, or a camera that has just started, may miss its time on a busy machine; the eye tries again too."""

    def opens() -> bool:
        try:
            camera.open()
        except CameraError:
            return False
        return True

    eventually(opens, "it opens", 20.0)


# --- frames ---


@pytest.mark.parametrize("wide_ids", [False, True])
def test_frame_ids_go_on_where_sixteen_bits_end(wide_ids: bool) -> None:
    with GvCamera(first_id=65_531, wide_ids=wide_ids) as peer, opened(peer, triggered=False, fps=200) as camera:
        frames = [frame_of(camera) for _ in range(12)]
    assert [frame.frame_id - frame.lost for frame in frames] == list(range(12))
    assert frames[-1].lost < 100


def test_pictures_arrive_as_they_were_sent_without_a_copy() -> None:
    with GvCamera() as peer, opened(peer) as camera:
        for number in range(5):
            peer.edge()
            frame = frame_of(camera)
            assert frame.image.tobytes() == noise(number, 64, 48, "Mono8")
            assert frame.copies == 0


def test_twelve_packed_bits_and_bayer_colours_come_out_in_eight() -> None:
    values = np.random.default_rng(1).integers(0, 4_096, (48, 64), np.uint16)

    def content(number: int, width: int, height: int, pixel_format: str) -> bytes:
        first, second = values.ravel()[::2], values.ravel()[1::2]
        triples = np.stack((first >> 4, (first & 15) | (second & 15) << 4, second >> 4), axis=1)
        return triples.astype(np.uint8).tobytes()

    with GvCamera(content=content) as peer:
        with opened(peer, pixel_format="Mono12Packed") as camera:
            peer.edge()
            frame = frame_of(camera)
            assert np.array_equal(frame.image, values >> 4)
            assert frame.copies == 1
        with opened(peer, pixel_format="BayerRG12Packed") as camera:
            peer.edge()
            assert frame_of(camera).image.shape == (48, 64, 3)


def test_a_region_of_the_sensor_is_read() -> None:
    with GvCamera() as peer, opened(peer, offset_x=320, offset_y=100, width=None, height=None) as camera:
        peer.edge()
        assert frame_of(camera).image.shape == (380, 320)


def test_buffers_go_round_and_none_is_lost() -> None:
    with GvCamera() as peer, opened(peer, triggered=False, fps=200, queue=2) as camera:
        frames = [frame_of(camera) for _ in range(100)]
        peer.set("TriggerMode", 1)  # it stops sending
        assert camera.read(0.2) is None or camera.read(0.2) is None
        link = camera._link
        eventually(lambda: sum(link._stream.get_n_buffers()) == len(link._memory), "all wait to be filled")
    assert frames[-1].frame_id == 99 + frames[-1].lost


def test_what_finds_no_buffer_is_lost_and_counted() -> None:
    with GvCamera() as peer, opened(peer, queue=2) as camera:
        peer.edge()
        first = frame_of(camera)
        for _ in range(20):
            peer.edge()
        eventually(lambda: losses(camera._link._stream)["times without a free buffer"] > 10, "frames are lost")
        while camera.read(0.1) is not None:
            pass
        peer.edge()
        frame = frame_of(camera)
        assert frame.frame_id - first.frame_id == 21
        assert frame.trigger_counter == 22
        assert frame.lost > 10
        assert "times without a free buffer" in " ".join(camera.about().words)


def test_lost_packets_are_asked_for_again() -> None:
    with GvCamera(lose=lambda number, packet: packet == 2) as peer, opened(peer) as camera:
        for number in range(5):
            peer.edge()
            assert frame_of(camera).image.tobytes() == noise(number, 64, 48, "Mono8")
        assert peer.resent >= 5
        assert "packets sent again" in " ".join(camera.about().words)


def test_an_incomplete_frame_is_lost_not_delivered() -> None:
    with (
        GvCamera(lose=lambda number, packet: number == 1 and packet == 2) as peer,
        opened(peer, packet_resend=False) as camera,
    ):
        ids = []
        for _ in range(3):
            peer.edge()
            frame = camera.read(0.5)
            ids.append(None if frame is None else (frame.frame_id, frame.lost))
    assert ids == [(0, 0), None, (2, 1)]
    assert peer.resent == 0


# --- time ---


def test_a_latched_clock_gives_the_instant_of_exposure_within_its_error() -> None:
    clock = SystemClock()
    with GvCamera() as peer, opened(peer) as camera:
        for _ in range(5):
            before_ns = clock.now_ns()
            peer.edge()
            after_ns = clock.now_ns()
            frame = frame_of(camera)
            assert frame.source is TimeSource.SENSOR
            err_ns = frame.captured_err_ns
            assert before_ns - err_ns <= frame.captured_ns <= after_ns + err_ns
            assert err_ns < 50 * MS  # half a round trip, on a machine that may be busy


def test_without_a_latch_the_stated_error_stands() -> None:
    with GvCamera(without=frozenset({"TimestampLatch"})) as peer, opened(peer, captured_err_ms=2.5) as camera:
        peer.edge()
        frame = frame_of(camera)
    assert (frame.source, frame.captured_err_ns) == (TimeSource.DEVICE, 2_500_000)


def test_a_camera_without_a_clock_is_stamped_on_arrival() -> None:
    with GvCamera(stamps=False, without=frozenset({"TimestampLatch"})) as peer, opened(peer) as camera:
        clock = SystemClock()
        before_ns = clock.now_ns()
        peer.edge()
        frame = frame_of(camera)
        assert frame.source is TimeSource.ARRIVAL
        assert before_ns <= frame.captured_ns <= clock.now_ns()


@pytest.mark.parametrize("stamps", [True, False])
def test_frames_that_waited_are_as_old_as_they_are(stamps: bool) -> None:
    clock = SystemClock()
    with GvCamera(stamps=stamps, without=frozenset({"TimestampLatch"})) as peer, opened(peer) as camera:
        for _ in range(3):
            peer.edge()
        clock.sleep_until(clock.now_ns() + 300 * MS)
        ages_ns = [clock.now_ns() - frame_of(camera).captured_ns for _ in range(3)]
    assert all(290 * MS < age_ns < 2 * SECOND for age_ns in ages_ns)


# --- triggers ---


def test_a_hardware_trigger_makes_one_frame_of_each_edge() -> None:
    with GvCamera() as peer, opened(peer, trigger_source="Line2") as camera:
        assert camera.read(0.1) is None
        for expected in range(1, 6):
            peer.edge("Line2")
            peer.edge("Line1")
            assert frame_of(camera).trigger_counter == expected
        assert camera.read(0.1) is None


def test_edge_delay_and_debounce_reach_the_camera() -> None:
    settings = {"trigger_edge": "falling", "trigger_delay_us": 1_500, "trigger_debounce_us": 250}
    with GvCamera() as peer, opened(peer, **settings):
        assert peer.get("TriggerActivation") == 1
        assert peer.get_float("TriggerDelay") == 1_500
        assert peer.get_float("LineDebouncerTime") == 250


def test_a_software_trigger_is_fired_at_its_interval() -> None:
    clock = SystemClock()
    with GvCamera() as peer, opened(peer, trigger_source="Software", trigger_every_ms=30) as camera:
        frame_of(camera)
        began_ns = clock.now_ns()
        frames = [frame_of(camera) for _ in range(10)]
        took_ns = clock.now_ns() - began_ns
    assert [frame.trigger_counter for frame in frames] == list(range(2, 12))
    assert 250 * MS <= took_ns < 3 * SECOND


def test_a_trigger_mode_that_reverts_at_the_start_is_refused() -> None:
    with GvCamera(reverts=True) as peer:
        refused(peer, "its trigger mode is Off, not On")


def test_a_trigger_mode_that_reverts_in_service_is_a_lost_camera() -> None:
    with GvCamera() as peer, opened(peer) as camera:
        peer.edge()
        frame_of(camera)
        peer.set("TriggerMode", 0)
        lost(camera, "its trigger mode is Off, not On")


def test_what_a_rolling_shutter_allows_under_a_trigger_is_told() -> None:
    with GvCamera() as peer:
        peer.set("SensorShutterMode", 1)
        with opened(peer, exposure_us=30_000) as camera:
            about = camera.about()
    assert about.triggers_per_s == pytest.approx(20.0)  # 30 ms of exposure and 20 ms of readout
    assert "at most 20 times a second with its rolling shutter" in " ".join(about.words)


# --- settings ---


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pixel_format": "BayerGB8"}, "'BayerGB8' is not one of Mono8, Mono10, "),
        ({"width": 66}, "width = 66 is no multiple of its step of 4"),
        ({"offset_x": 30}, "offset_x = 30 is no multiple of its step of 4"),
        ({"offset_x": 600}, "offset_x = 600 and width = 64 reach over its 640 pixels"),
        ({"exposure_us": 2e6}, "exposure_us = 2e[+]06 is not within its 10 to 1e[+]06"),
        ({"gain": 30}, "gain = 30 is not within its 0 to 24"),
        ({"trigger_source": "Line7"}, "'Line7' is not one of Line1, Line2, Software"),
        ({"trigger_delay_us": 2e6}, "trigger_delay_us = 2e[+]06 is not within"),
    ],
)
def test_what_the_camera_cannot_do_is_refused(settings: dict[str, Any], message: str) -> None:
    with GvCamera() as peer:
        refused(peer, message, **settings)


def test_a_feature_that_the_camera_lacks_is_named() -> None:
    with GvCamera(without=frozenset({"LineDebouncerTime", "TriggerDelay"})) as peer:
        refused(peer, "has no LineDebouncerTime: remove trigger_debounce_us", trigger_debounce_us=100)
        refused(peer, "has no TriggerDelay: remove trigger_delay_us", trigger_delay_us=100)
    with GvCamera(without=frozenset({"TriggerMode"})) as peer:
        refused(peer, "has no trigger; set triggered = false")


def test_exposure_and_gain_are_set_and_automatics_turned_off() -> None:
    with GvCamera() as peer:
        peer.set("ExposureAuto", 1)
        with opened(peer, exposure_us=1_234, gain=3.5):
            assert peer.get("ExposureAuto") == 0
            assert peer.get_float("ExposureTime") == 1_234
            assert peer.get_float("Gain") == 3.5


def test_the_packet_size_is_set() -> None:
    with GvCamera() as peer, opened(peer, packet_bytes=576, packet_delay_ns=1_000) as camera:
        assert "packets of 576 bytes" in camera.about().words
        peer.edge()
        assert frame_of(camera).image.tobytes() == noise(0, 64, 48, "Mono8")


# --- the camera is lost ---


def test_pictures_that_change_their_size_are_a_lost_camera() -> None:
    for width in (32, 128):
        with GvCamera() as peer, opened(peer, triggered=False, fps=100) as camera:
            frame_of(camera)
            peer.set("Width", width)
            lost(camera, f"another size|changed from 64 x 48 to {width} x 48")
            camera.close()
            camera.open()
            assert frame_of(camera).image.shape == (48, 64)


def test_a_pulled_cable_is_noticed_although_no_frame_is_due() -> None:
    clock = SystemClock()
    with GvCamera() as peer, opened(peer, timeout_ms=1_000) as camera:
        peer.mute()
        lost(camera, "it has not answered for|it has sent nothing for")
        began_ns = clock.now_ns()
        camera.close()
        assert clock.now_ns() - began_ns < 2 * SECOND
        peer.mute(False)
        camera.open()
        peer.edge()
        frame_of(camera)
        _released(camera)


def test_a_camera_whose_power_came_back_has_forgotten_its_settings() -> None:
    with GvCamera() as peer, opened(peer) as camera:
        peer.power_cycle()
        lost(camera, "trigger mode is Off|control over it is lost|not answered")
        camera.close()
        camera.open()
        peer.edge()
        frame_of(camera)


def test_a_camera_that_another_program_controls_says_who() -> None:
    with GvCamera() as peer:
        with other_program(peer):
            refused(peer, r"a program on 127\.0\.0\.1 controls it; end that program")
        with opened(peer) as camera:
            peer.edge()
            frame_of(camera)


def test_an_address_without_a_camera_is_refused_in_time() -> None:
    clock = SystemClock()
    began_ns = clock.now_ns()
    camera = build({"kind": "gige", "address": "127.9.9.9"}, clock)
    with pytest.raises(CameraError, match=r"127\.9\.9\.9.*check the camera"):
        camera.open()
    camera.close()
    assert clock.now_ns() - began_ns < 8 * SECOND


@contextmanager
def other_program(peer: GvCamera) -> Iterator[None]:
    """Somebody else takes control, as a viewer does that was left open."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as viewer:
        viewer.settimeout(5.0)
        for value in (2, 0):
            viewer.sendto(
                struct.pack(">BBHHHII", 0x42, 1, 0x82, 8, 1, CONTROL, value), (peer.address, CONTROL_PORT)
            )
            viewer.recv(64)
            if value:
                yield


def _released(camera: Any) -> None:
    camera.close()
    for thread in threading.enumerate():
        if thread.name.startswith("gige-"):
            thread.join(PATIENCE_S)


# --- Aravis' own fake camera ---


def test_aravis_camera_streams_over_the_end_of_sixteen_bits() -> None:
    with AravisCamera() as peer, opened(peer, triggered=False, fps=400) as camera:
        frames = [frame_of(camera) for _ in range(150)]  # its ids start at 65,401
        assert [frame.frame_id - frame.lost for frame in frames] == list(range(150))
        assert {frame.image.shape for frame in frames} == {(48, 64)}
        assert {frame.source for frame in frames} == {TimeSource.DEVICE}
        assert "Aravis Fake (serial KP01)" in camera.about().words


def test_aravis_camera_answers_each_software_trigger() -> None:
    with AravisCamera() as peer, opened(peer, trigger_source="Software", trigger_every_ms=60) as camera:
        frames = [frame_of(camera) for _ in range(8)]
    assert [frame.trigger_counter for frame in frames] == list(range(1, 9))


def test_aravis_camera_is_killed_and_returned_five_times() -> None:
    with AravisCamera() as peer, opened(peer, triggered=False, fps=200, timeout_ms=700) as camera:
        first = frame_of(camera)
        for _ in range(5):
            peer.kill()
            lost(camera, "it has sent nothing for|it has not answered for|control over it is lost")
            camera.close()
            peer.start()
            opens_soon(camera)
            frame = frame_of(camera)
            assert frame.frame_id > first.frame_id
            assert frame.image.shape == (48, 64)
            first = frame
        _released(camera)


def test_aravis_camera_is_found_by_its_serial_and_its_id() -> None:
    with AravisCamera() as peer:
        for chosen in ({"serial": peer.serial}, {"id": f"Aravis-Fake-{peer.serial}"}):
            camera = build({"kind": "gige", "triggered": False, **SMALL, **chosen}, SystemClock())
            opens_soon(camera)
            frame_of(camera)
            camera.close()
        camera = build({"kind": "gige", "serial": "KP99"}, SystemClock())
        eventually(
            lambda: "found: Aravis-Fake-KP01 (serial KP01)" in refusal(camera), "the search finds the other", 15
        )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "exactly one of address, serial and id"),
        ({"address": "192.0.2.1", "serial": "1"}, "exactly one of address, serial and id"),
        ({"address": "192.0.2.1", "trigger_source": "Software"}, "needs trigger_every_ms"),
        ({"address": "192.0.2.1", "trigger_every_ms": 10}, "needs trigger_every_ms"),
        (
            {"address": "a", "trigger_source": "Software", "trigger_every_ms": 9, "trigger_debounce_us": 1},
            "is for an input line",
        ),
        ({"address": "192.0.2.1", "pixel_format": "Mono14"}, "pixel_format"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        options.GigeCamera.model_validate({"kind": "gige", "name": "top", **keys})
