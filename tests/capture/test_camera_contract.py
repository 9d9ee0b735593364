"""What every camera of the table promises."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.capture import TABLE, Camera, EndOfPictures
from edge.clock import MS, SECOND, ManualClock, SystemClock
from edge.errors import CameraError
from edge.records import Frame
from tests.capture.cameras import FRAMES, OPTIONS, RIGS, camera_of

FPS = 25.0
PATIENCE_S = 10.0  # for a frame on a loaded machine

every = pytest.mark.parametrize("rig", RIGS)
finite = pytest.mark.parametrize("rig", [name for name, rig in RIGS.items() if rig.ends])
dropping = pytest.mark.parametrize("rig", [name for name, rig in RIGS.items() if rig.drops])
steppable = pytest.mark.parametrize("rig", [name for name, rig in RIGS.items() if rig.steppable])


@pytest.fixture
def camera(rig: str, tmp_path: Path) -> Iterator[Camera]:
    with camera_of(rig, tmp_path, FPS, SystemClock()) as built:
        yield built


def frame_of(camera: Camera) -> Frame:
    frame = camera.read(PATIENCE_S)
    assert frame is not None, f"no frame in {PATIENCE_S} s"
    return frame


def test_every_camera_of_the_table_is_tested() -> None:
    assert set(OPTIONS) == set(TABLE)
    assert {name.partition(" ")[0] for name in RIGS} == set(TABLE)


@every
def test_reading_before_open_is_refused(camera: Camera) -> None:
    with pytest.raises(CameraError, match="open it before reading"):
        camera.read(0.1)


@every
def test_frames_are_8_bit_pictures_of_one_shape(camera: Camera) -> None:
    camera.open()
    frames = [frame_of(camera) for _ in range(3)]
    assert {frame.image.dtype for frame in frames} == {np.dtype(np.uint8)}
    assert len({frame.image.shape for frame in frames}) == 1
    assert frames[0].image.ndim == 3
    assert frames[0].image.shape[2] == 3
    assert {frame.camera for frame in frames} == {"top"}


@every
def test_capture_times_rise_and_lie_between_open_and_now(camera: Camera) -> None:
    clock = SystemClock()
    opened_ns = clock.now_ns()
    camera.open()
    before_ns = 0
    for _ in range(4):
        frame = frame_of(camera)
        assert frame.captured_ns > before_ns
        assert opened_ns - frame.captured_err_ns <= frame.captured_ns <= clock.now_ns() + frame.captured_err_ns
        before_ns = frame.captured_ns


@every
def test_frame_ids_rise_by_one_and_what_was_lost(camera: Camera) -> None:
    camera.open()
    first = frame_of(camera)
    for delivered in range(1, 4):
        frame = frame_of(camera)
        assert frame.frame_id - first.frame_id == delivered + frame.lost - first.lost


@every
def test_a_frame_stays_as_it_is_until_the_next_read(camera: Camera) -> None:
    camera.open()
    frame = frame_of(camera)
    seen = frame.image.copy()
    clock = SystemClock()
    clock.sleep_until(clock.now_ns() + 3 * round(SECOND / FPS))
    assert np.array_equal(frame.image, seen)


@every
def test_a_read_ends_at_its_timeout(rig: str, tmp_path: Path) -> None:
    clock = SystemClock()
    with camera_of(rig, tmp_path, 1.0, clock) as camera:
        camera.open()
        for _ in range(8):  # a stream may hold some frames from its opening
            began_ns = clock.now_ns()
            if camera.read(0.05) is None:
                break
        else:
            raise AssertionError("every read gave a frame within 50 ms, of a source that has one a second")
        assert 45 * MS <= clock.now_ns() - began_ns < 800 * MS


@finite
def test_a_finite_source_delivers_all_and_then_ends(camera: Camera) -> None:
    camera.open()
    frames = [frame_of(camera) for _ in range(FRAMES)]
    assert frames[-1].lost == 0
    for _ in range(2):
        with pytest.raises(EndOfPictures):
            camera.read(PATIENCE_S)


@finite
def test_a_late_reader_loses_nothing_of_a_finite_source(camera: Camera) -> None:
    clock = SystemClock()
    camera.open()
    ids = []
    for number in range(FRAMES):
        ids.append(frame_of(camera).frame_id)
        if number == 1:
            clock.sleep_until(clock.now_ns() + 300 * MS)
    assert ids == list(range(ids[0], ids[0] + FRAMES))


@dropping
def test_what_a_slow_reader_misses_is_counted(camera: Camera) -> None:
    clock = SystemClock()
    camera.open()
    assert frame_of(camera).lost < 5
    clock.sleep_until(clock.now_ns() + round(20 * SECOND / FPS))
    for _ in range(4):  # what a triggered camera keeps comes first
        frame = frame_of(camera)
    assert frame.lost >= 10


@every
def test_closing_twice_is_harmless_and_ends_reading(camera: Camera) -> None:
    camera.open()
    camera.close()
    camera.close()
    with pytest.raises(CameraError, match="open it before reading"):
        camera.read(0.1)


@every
def test_a_closed_camera_opens_again_and_its_ids_go_on(camera: Camera) -> None:
    camera.open()
    before = frame_of(camera).frame_id
    camera.close()
    camera.open()
    frame = frame_of(camera)
    assert frame.frame_id > before
    assert frame.lost < 5


@every
def test_opening_again_leaves_no_thread_and_no_file_open(camera: Camera) -> None:
    def cycle() -> None:
        camera.open()
        frame_of(camera)
        camera.close()

    for _ in range(3):
        cycle()
    threads, files = threading.active_count(), _open_files()
    for _ in range(10):
        cycle()
    assert threading.active_count() <= threads
    assert _open_files() <= files + 2


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@steppable
def test_time_is_the_given_clocks(rig: str, tmp_path: Path) -> None:
    clock = ManualClock(now_ns=5 * SECOND)
    with camera_of(rig, tmp_path, 0.5, clock) as camera:
        camera.open()
        assert camera.read(0.5) is None
        assert clock.now_ns() == 5_500 * MS
        frame = frame_of(camera)
        assert frame.captured_ns <= clock.now_ns() <= 8 * SECOND
