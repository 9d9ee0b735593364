"""GStreamer's cameras for long: 10,000 frames of each source, a thousand reconnects, the cost of a 1080p60 frame."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2

from edge import options
from edge.capture.gst import GstCamera
from edge.clock import MS, SECOND, SystemClock
from edge.timing import percentile
from tests.capture.cameras import HEIGHT, WIDTH, picture
from tests.peers.gst_feeder import GstFeeder
from tests.peers.rtsp_camera import ROOT, RtspCamera
from tests.system.camera_runs import Held, deaths
from tests.system.read_many import read_many
from tests.system.results import Table, keep

FRAMES, RECONNECTS, DEATHS = 10_000, 1_000, 100
RATE = f"width={WIDTH},height={HEIGHT},framerate=120/1"
SIZE = "width=640,height=480,framerate=120/1"
TEST_SOURCE = f"videotestsrc is-live=true pattern=snow ! video/x-raw,format=GRAY8,{SIZE} ! appsink name=frames"
FULL_HD = "videotestsrc is-live=true pattern=smpte ! video/x-raw,format=BGR,width=1920,height=1080,framerate=60/1"
COLUMNS = (
    "source at 120/s",
    "frames",
    "lost",
    "age p50, p99, max, ms",
    "copies",
    "CPU, ms a frame",
    "memory grew",
    "buffers leaked",
    "load of the two cores, with all beside",
)
COMMAND = 'make test-system PYTEST_ARGS="-k gst_cameras"'


def camera_for(**settings: Any) -> GstCamera:
    return GstCamera(options.GstCamera.model_validate({"kind": "gst", "name": "top", **settings}), SystemClock())


def shared_memory(peer: GstFeeder) -> dict[str, Any]:
    return {"pipeline": peer.pipeline, "timeout_ms": 1_000}


def rtsp(peer: RtspCamera) -> dict[str, Any]:
    return {"uri": peer.uri, "encoding": "jpeg", "captured_err_ms": 40, "timeout_ms": 1_000}


def test_gst_cameras_deliver_ten_thousand_frames_of_each_source(tmp_path: Path) -> None:
    files = f"{pictures(tmp_path)} ! pngdec ! videoconvert ! video/x-raw,format=BGR ! appsink name=frames"
    table = Table("gst-cameras", "GStreamer's sources for 10,000 frames", COMMAND, COLUMNS)
    sources = {"videotestsrc, live, 640 x 480": {"pipeline": TEST_SOURCE}, "multifilesrc": {"pipeline": files}}
    for name, settings in sources.items():
        table.add(*_row(name, settings, tmp_path))
    with RtspCamera("jpeg", fps=120, width=640, height=480) as peer:
        table.add(*_row("RTSP, JPEG over TCP, 640 x 480", rtsp(peer), tmp_path))


def pictures(folder: Path) -> str:
    """A source of six pictures, again and again."""
    for number in range(6):
        cv2.imwrite(str(folder / f"{number}.png"), picture(number))
    return f"multifilesrc location={folder}/%d.png loop=true caps=image/png,framerate=120/1"


def _row(name: str, settings: dict[str, Any], folder: Path) -> tuple[object, ...]:
    read = read_many(settings, FRAMES, folder / "gst.log")
    came = read.came
    assert came.copies == 0
    assert read.grew_mb < 15
    assert read.held > 0 == read.leaked, "every buffer is freed, and the tracer saw them"
    return (
        name,
        f"{FRAMES} at {came.fps:.0f}/s",
        came.lost,
        ", ".join(str(age) for age in came.age_ms.values()),
        came.copies,
        f"{came.cpu_ms:.2f}",
        f"{read.grew_mb:.1f} MB",
        f"{read.leaked} ({read.held} were in use)",
        f"{os.getloadavg()[1]:.1f}",
    )


def test_gst_cameras_reconnect_a_thousand_times_and_leave_nothing_behind(tmp_path: Path) -> None:
    test_source, held = camera_for(pipeline=TEST_SOURCE), []
    clock, took_ns = SystemClock(), []
    for number in range(RECONNECTS):
        began_ns = clock.now_ns()
        test_source.open()
        assert test_source.read(10.0) is not None
        test_source.close()
        took_ns.append(clock.now_ns() - began_ns)
        if number in (99, RECONNECTS - 1):
            held.append(Held.now())
    rows = [
        (f"videotestsrc opened, read and closed {RECONNECTS} times, ms", _shares(took_ns)),
        ("held after the hundredth", str(held[0])),
        ("held after the last", str(held[1])),
    ]
    pairs = [(held[0], held[1])]
    for name, peer, settings in _mortal(tmp_path):
        with peer:
            took_ns, pair = deaths(camera_for(**settings(peer)), peer, DEATHS)
        rows += [
            (f"{name}, killed and returned {DEATHS} times: first frame after, ms", _shares(took_ns)),
            ("held after the tenth return", str(pair[0])),
            ("held after the last return", str(pair[1])),
        ]
        pairs.append(pair)
    table = ["| what | measured |", "| --- | --- |", *(f"| {what} | {value} |" for what, value in rows)]
    keep("gst-reconnects", "GStreamer cameras that are lost and return", COMMAND, table)
    for before, after in pairs:
        assert after.native_threads <= before.native_threads + 2
        assert after.files <= before.files + 2
        assert after.rss_mb - before.rss_mb < 25


def _mortal(folder: Path) -> Iterator[tuple[str, Any, Callable[[Any], dict[str, Any]]]]:
    """Sources that are processes: their names, they themselves, and the settings of the camera."""
    yield "RTSP server", RtspCamera("jpeg", fps=50), rtsp
    caps, feeder = f"video/x-raw,format=GRAY8,{SIZE}", f"video/x-raw,format=BGR,{RATE}"
    test_source = GstFeeder("videotestsrc is-live=true pattern=snow", caps, 640 * 480)
    yield "videotestsrc at 120/s in a process, through shared memory", test_source, shared_memory
    files = GstFeeder(f"{pictures(folder)} ! pngdec ! videoconvert", feeder, WIDTH * HEIGHT * 3)
    yield "multifilesrc at 120/s in a process, through shared memory", files, shared_memory


def _shares(values: list[int]) -> str:
    ordered = sorted(values)
    return f"p50 {percentile(ordered, 0.5) / MS:.0f}, p99 {percentile(ordered, 0.99) / MS:.0f}"


def test_gst_cameras_cost_one_copy_at_1080p60_beside_a_running_engine() -> None:
    frames = 1_800
    bare = ["gst-launch-1.0", "-q", *FULL_HD.replace("is-live=true", f"is-live=true num-buffers={frames}").split()]
    with engine_beside():
        bare_ms = _cpu_ms(lambda: subprocess.run([*bare, "!", "fakesink", "sync=false"], check=True), frames)
        words = [sys.executable, "-m", "tests.system.read_camera", f"{FULL_HD} ! appsink name=frames", str(frames)]
        done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    read = json.loads(done.stdout)
    ours_ms = read["cpu_s"] * 1_000 / frames
    ages = read["ages_ns"]
    rows = [
        ("CPU time for each frame, bare gst-launch into a fakesink, ms", f"{bare_ms:.2f}"),
        ("CPU time for each frame, until it lies in the eye's memory, ms", f"{ours_ms:.2f}"),
        ("copies of each frame", str(read["copies"])),
        ("frames lost", f"{read['lost']} of {frames + read['lost']}"),
        (
            "age of a frame that lies in the eye's memory, ms",
            f"p50 {percentile(ages, 0.5) / MS:.1f}, p99 {percentile(ages, 0.99) / MS:.1f}, max {ages[-1] / MS:.1f}",
        ),
    ]
    note = "Both draw the picture themselves (`videotestsrc`); an engine with one thread runs at full load beside each."
    table = ["| what | measured |", "| --- | --- |", *(f"| {what} | {value} |" for what, value in rows), "", note]
    keep("camera-cost", "1920 x 1080 BGR at 60/s beside a running engine", COMMAND, table)
    assert read["copies"] <= 1


def _cpu_ms(run: Any, frames: int) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1_000 / frames


@contextmanager
def engine_beside() -> Iterator[None]:
    """Another process infers without a pause, as the eye's engine would at its highest rate."""
    bundle = ROOT / "edge" / "demo" / "washer-1.bundle"
    words = ["benchmarks.cli", "--bundle", bundle, "--keys", bundle.parent, "--seconds", "600", "--idle", "0"]
    engine = subprocess.Popen(
        [sys.executable, "-m", *words], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    clock = SystemClock()
    clock.sleep_until(clock.now_ns() + 3 * SECOND)  # it has loaded by then
    assert engine.poll() is None, "the engine has ended"
    try:
        yield
    finally:
        engine.kill()
        engine.wait()
