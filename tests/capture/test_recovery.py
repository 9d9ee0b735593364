"""Every source that can be lost is lost in every way and comes back: NOT_READY at once, READY again by itself."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge.clock import SECOND, SystemClock
from edge.eye.camera_watch import CameraWatch
from edge.eye.parts import Parts
from edge.eye.sight import Sight, source_of
from edge.eye.slots import Slots
from edge.health import Health, Level, Progress
from edge.pairing import View
from edge.report import Counts
from tests.capture.cameras import OPTIONS, build
from tests.capture.mjpeg import MjpegServer
from tests.peers.aravis_camera import AravisCamera
from tests.peers.gige_vision import GvCamera
from tests.peers.gst_feeder import GstFeeder
from tests.peers.rtsp_camera import ROOT, RtspCamera
from tests.peers.waiting import eventually
from tests.system.camera_runs import Held, returns

PATIENCE_S = 20.0  # for a process that starts on a loaded machine


@dataclass(frozen=True)
class Source:
    """A peer, and the camera that looks at it."""

    peer: Callable[[], Any]
    settings: Callable[[Any], dict[str, Any]]


def _rtsp(peer: RtspCamera) -> dict[str, Any]:
    return {"kind": "gst", "uri": peer.uri, "encoding": "jpeg", "captured_err_ms": 40}


def _mjpeg(peer: MjpegServer) -> dict[str, Any]:
    return {"kind": "cv", "source": peer.url}


def _gige(peer: AravisCamera) -> dict[str, Any]:
    return {"kind": "gige", "address": peer.address, "width": 64, "height": 48, "triggered": False, "fps": 100}


def _fed(peer: GstFeeder) -> dict[str, Any]:
    return {"kind": "gst", "pipeline": peer.pipeline}


def _feeder() -> GstFeeder:
    caps = "video/x-raw,format=BGR,width=64,height=48,framerate=120/1"
    return GstFeeder("videotestsrc is-live=true pattern=snow", caps, 64 * 48 * 3)


SOURCES = {
    "shared memory": Source(_feeder, _fed),
    "rtsp": Source(RtspCamera, _rtsp),
    "mjpeg": Source(MjpegServer, _mjpeg),
    "gige": Source(AravisCamera, _gige),
}
every = pytest.mark.parametrize("source", SOURCES)


class Watched:
    """A camera in the eye's own thread for it, with every change of the station's state."""

    def __init__(self, settings: dict[str, Any], timeout_ms: float = 500) -> None:
        clock = SystemClock()
        complete = {**settings, "timeout_ms": timeout_ms}
        options = OPTIONS[settings["kind"]](name="top", **complete)
        self.states: list[tuple[Level, int]] = []  # and how many frames had been captured then
        self.counts = Counts()
        health = Health(lambda now: self.states.append((now.level, self.counts.frames["captured"])))
        slots = Slots(8)
        parts = Parts(
            [View("top", triggered=False)], [slots], lambda settled: None, self.counts.frame, lambda job: None
        )
        may_start = threading.Event()
        may_start.set()
        self._stop = threading.Event()
        sight = Sight(0, options, parts, slots, itertools.count(1), clock, self.counts, health, None, may_start)
        progress = Progress(clock, {source_of(options): 30 * SECOND})
        self._watch = CameraWatch(build(complete, clock), [sight], clock, progress)
        self._health = health
        self._thread = threading.Thread(target=self._watch.run, args=(self._stop,), name="watch")

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def ready(self) -> int:
        """Wait until it is; returns how many frames had been captured then."""
        eventually(lambda: self._health.is_ready, f"READY: {self._health.standing}", PATIENCE_S)
        return self.counts.frames["captured"]

    def lost(self, words: str = "") -> None:
        eventually(
            lambda: words in self._health.standing.cause and not self._health.is_ready, f"lost: {words}", 10.0
        )
        assert self._health.standing.level is Level.NOT_READY

    def more_frames(self, than: int) -> None:
        eventually(lambda: self.counts.frames["captured"] > than + 3, "frames", PATIENCE_S)


@contextmanager
def watched(source: str) -> Iterator[tuple[Any, Watched]]:
    chosen = SOURCES[source]
    with chosen.peer() as peer, Watched(chosen.settings(peer)) as camera:
        yield peer, camera
    _drivers_have_ended()


def _drivers_have_ended() -> None:
    """What was left in a driver of a source without power ends when the driver's time is over."""
    for thread in threading.enumerate():
        if thread.name.startswith(("gige-", "cv-", "gst-")):
            thread.join(15)


@every
def test_a_camera_that_is_not_there_at_first_comes_later(source: str) -> None:
    chosen = SOURCES[source]
    with chosen.peer() as peer:
        settings = chosen.settings(peer)
        peer.kill()
        with Watched(settings) as camera:
            camera.lost("camera 'top'")
            peer.start()
            camera.more_frames(camera.ready())
            captured = next(frames for level, frames in camera.states if level is Level.READY)
            assert captured, "it was READY for a moment between two tries"
    _drivers_have_ended()


@every
def test_a_plug_is_pulled_and_put_back(source: str) -> None:
    with watched(source) as (peer, camera):
        camera.more_frames(camera.ready())
        peer.kill()
        camera.lost("camera 'top'")
        peer.start()
        camera.more_frames(camera.ready())


# shmsink (GStreamer 1.22) does not go on when its reader left while it stood still
@pytest.mark.parametrize("source", [name for name in SOURCES if name != "shared memory"])
def test_a_source_that_falls_silent_with_its_connection_open_is_lost(source: str) -> None:
    with watched(source) as (peer, camera):
        camera.more_frames(camera.ready())
        peer.freeze()
        camera.lost("camera 'top'")
        peer.freeze(False)
        camera.more_frames(camera.ready())


def test_pictures_that_change_their_size_are_refused_until_they_are_as_before() -> None:
    with watched("rtsp") as (peer, camera):
        camera.more_frames(camera.ready())
        peer.size(128, 96)
        camera.lost("its pictures changed from 64 x 48 BGR to 128 x 96 BGR")
        camera.more_frames(camera.ready())  # a new session has the old size again


def test_a_camera_that_comes_back_with_another_size_stays_away() -> None:
    with RtspCamera() as peer, Watched(_rtsp(peer)) as camera:
        camera.more_frames(camera.ready())
        peer.kill()
        camera.lost()
        peer.width, peer.height = 128, 96
        peer.start()
        camera.lost("sends pictures of 128 x 96 in colour and sent 64 x 48 in colour before")
        peer.kill()
        peer.width, peer.height = 64, 48
        peer.start()
        camera.more_frames(camera.ready())


def test_a_slow_camera_is_not_taken_for_a_lost_one() -> None:
    with RtspCamera(fps=3) as peer, Watched(_rtsp(peer), timeout_ms=2_000) as camera:
        camera.more_frames(camera.ready())
        assert [level for level, _ in camera.states] == [Level.NOT_READY, Level.READY]


def test_a_camera_in_the_wrong_format_says_so_and_never_becomes_ready() -> None:
    with RtspCamera("jpeg") as peer, Watched({**_rtsp(peer), "encoding": "h264"}) as camera:
        camera.lost("camera 'top'")
        assert not camera.counts.frames["captured"]
    with GvCamera() as peer:
        settings = {"kind": "gige", "address": peer.address, "pixel_format": "BayerBG8", "triggered": False}
        with Watched(settings) as camera:
            camera.lost("pixel_format = 'BayerBG8' is not one of Mono8")
            assert not camera.counts.frames["captured"]


HOLDER = """
import sys
from edge import options
from edge.capture.gige import GigeCamera
from edge.clock import SystemClock
keys = {"kind": "gige", "name": "other", "address": "127.0.0.1", "triggered": False}
camera = GigeCamera(options.GigeCamera.model_validate(keys), SystemClock())
camera.open()
print("holds it", flush=True)
sys.stdin.read()
"""


def test_a_camera_that_a_crashed_program_still_holds_is_ready_when_it_frees_itself() -> None:
    with AravisCamera() as peer:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holds it\n"
        with Watched(_gige(peer)) as camera:
            camera.lost("another program controls it")
            holder.kill()
            holder.communicate()
            camera.more_frames(camera.ready())  # its heartbeat time-out is 3 s
    _drivers_have_ended()


LOST_AT_ONCE = (
    "videotestsrc is-live=true num-buffers=1 ! video/x-raw,format=BGR,framerate=1000/1 ! appsink name=frames"
)


def test_a_camera_that_is_lost_at_once_again_and_again_is_asked_less_often() -> None:
    with Watched({"kind": "gst", "pipeline": LOST_AT_ONCE}) as camera:
        eventually(lambda: camera.counts.frames["captured"] >= 4, "it is opened again", PATIENCE_S)
        clock, before = SystemClock(), camera.counts.frames["captured"]
        clock.sleep_until(clock.now_ns() + SECOND)
        assert camera.counts.frames["captured"] - before <= 1  # 0.2, 0.4, 0.8 and now 1.6 s between two openings


@pytest.mark.parametrize("source", [name for name in SOURCES if name != "gige"])  # test_gige_camera.py kills that
def test_a_source_is_killed_and_returned_five_times_and_nothing_stays_behind(source: str) -> None:
    """The short form of the hundred times in tests/system."""
    chosen = SOURCES[source]
    with chosen.peer() as peer:
        camera = build({**chosen.settings(peer), "timeout_ms": 500}, SystemClock())
        camera.open()
        returns(camera, peer.kill, peer.start, 2)
        before = Held.now()
        returns(camera, peer.kill, peer.start, 3)
        after = Held.now()
        camera.close()
    _drivers_have_ended()
    assert after.native_threads <= before.native_threads + 2, (before, after)
    assert after.files <= before.files + 2, (before, after)


def test_thirty_reconnects_leave_nothing_behind() -> None:
    with RtspCamera(fps=100) as peer:
        camera = build(_rtsp(peer), SystemClock())
        held = []
        for _ in range(30):
            camera.open()
            assert camera.read(PATIENCE_S) is not None
            camera.close()
            held.append((len(list(Path("/proc/self/task").iterdir())), len(list(Path("/proc/self/fd").iterdir()))))
        assert all(now <= early + 2 for early, now in zip(held[5], held[-1], strict=True)), held
