"""A V4L2 camera of the kernel (vivid) on an emulated device: v4l2:// through GStreamer, unplugged and back."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from tests.system.benches import PYTHON
from tests.system.device.guest import Guest
from tests.system.device.machine import Device
from tests.system.device.sockets import awaited
from tests.system.results import Table

RESULTS = Table(
    "v4l2-camera",
    "A V4L2 camera of the kernel",
    "make test-system PYTEST_ARGS='-k v4l2'",
    ["what", "measured"],
)
FRAMES = int(os.environ.get("KENPIN_V4L2_FRAMES", "10000"))
RETURNS = int(os.environ.get("KENPIN_V4L2_RETURNS", "100"))
FPS = 30  # an emulated processor draws and converts no more
DRIVER, INSTANCE = "/sys/bus/platform/drivers/vivid", "vivid.0"
CAMERA = "modprobe vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0"  # one webcam
STATION = """
[station]
name = "line-3"
mode = "collect"
run_dir = "/tmp/run"
[[camera]]
name = "top"
kind = "gst"
uri = "v4l2:///dev/video0"
width = 320
height = 180
fps = {fps}
{more}
[trigger]
kind = "camera"
camera = "top"
"""


def webcam(guest: Guest) -> str:
    guest.run(CAMERA)
    awaited(lambda: guest.attempt("test -c /dev/video0")[0] == 0, "the camera", lambda: guest.run("dmesg"), 60)
    return "/dev/video0"


def test_a_v4l2_camera_delivers_for_long_and_returns_when_it_was_unplugged(tmp_path: Path) -> None:
    with Device(tmp_path / "machine") as device:
        guest = device.guest
        camera = webcam(guest)
        within_s = 300 + 4 * FRAMES / FPS + 30 * RETURNS
        words = f"{camera} {DRIVER} {INSTANCE} {FRAMES} {FPS} {RETURNS}"
        found = json.loads(
            guest.run(f"{PYTHON} -m tests.system.guest.video_frames {words}", within_s).splitlines()[-1]
        )
        done, (first, last) = found["delivery"], found["held"]
        age = done["age_ms"]
        RESULTS.add(
            f"frames of 320 x 180 GRAY8 at {FPS}/s from YUYV",
            f"{FRAMES} at {done['fps']:.1f}/s, {done['lost']} lost",
        )
        RESULTS.add("age when handed over, ms", f"p50 {age['p50']}, p99 {age['p99']}, max {age['max']}")
        RESULTS.add("copies of each frame before the eye's own", done["copies"])
        RESULTS.add("memory grew", f"{found['grew_mb']:.1f} MB")
        back = found["back_ms"]
        RESULTS.add(
            f"driver unbound while it streams, and bound again, {RETURNS} times: first frame after, ms",
            f"p50 {back['p50']:.0f}, p99 {back['p99']:.0f}",
        )
        for when, held in (("fifth", first), ("last", last)):
            RESULTS.add(
                f"held after the {when} return",
                f"{held['native_threads']} threads, {held['files']} files, {held['rss_mb']} MB",
            )
        RESULTS.add("the machine", "two emulated processors (QEMU without hardware acceleration)")
        assert done["copies"] == 0 and found["grew_mb"] < 15
        assert 0 <= age["p50"] < 1_000, "the kernel's stamps are on this clock"
        assert last["native_threads"] <= first["native_threads"] + 2
        assert last["files"] <= first["files"] + 2
        assert last["rss_mb"] - first["rss_mb"] < 25


def test_a_v4l2_camera_is_collected_from_and_its_standing_picture_refused(tmp_path: Path) -> None:
    with Device(tmp_path / "machine") as device:
        guest = device.guest
        webcam(guest)

        def edge(words: str, more: str = "") -> str:
            text = STATION.format(fps=FPS, more=more)
            guest.run(f"cat > /tmp/station.toml <<'END'\n{text}\nEND")
            return guest.run(f"{PYTHON} -m edge.cli {words}", 300)

        said = edge("collect /tmp/station.toml --into /tmp/frozen --for 10s")
        refused = re.search(r"(\d+) refused", said)
        assert refused is not None and int(refused[1]) > 20, "its picture is drawn, and has no noise"
        drawn = "repeats_are_stale = false"
        assert "60 pictures stored" in edge("collect /tmp/station.toml --into /tmp/set --pictures 60", drawn)
        assert guest.run("wc -l < /tmp/set/labels.csv; ls /tmp/set/images | wc -l").split() == ["61", "60"]
        assert "40 pictures of 320 x 180" in edge("io camera /tmp/station.toml --frames 40", drawn)
