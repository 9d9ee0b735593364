"""Runs in the guest: a V4L2 camera of the kernel through GStreamer, for long, and taken away and brought back.

    python -m tests.system.guest.video_frames DEVICE DRIVER_FOLDER INSTANCE FRAMES FPS RETURNS

The source goes and comes back by the driver's `unbind` and `bind`, while it streams: as a USB camera that is unplugged.
Prints JSON: what came of the frames and of the returns.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from edge import options
from edge.capture.gst import GstCamera
from edge.clock import MS, SystemClock
from edge.timing import percentile
from tests.system.camera_runs import Held, deliver, returns

WARM = 100


def main(device: str, driver: str, instance: str, frames: int, fps: int, times: int) -> None:
    settings = {"uri": f"v4l2://{device}", "width": 320, "height": 180, "fps": fps, "pixel_format": "GRAY8"}
    chosen = options.GstCamera.model_validate({"kind": "gst", "name": "top", "timeout_ms": 5_000, **settings})
    camera = GstCamera(chosen, SystemClock())
    camera.open()
    deliver(camera, WARM)
    before = Held.now()
    done = deliver(camera, frames)
    grew_mb = Held.now().rss_mb - before.rss_mb

    def tell(word: str) -> None:
        (Path(driver) / word).write_text(instance)

    back_ns = returns(camera, lambda: tell("unbind"), lambda: tell("bind"), min(5, times))
    first = Held.now()
    back_ns += returns(camera, lambda: tell("unbind"), lambda: tell("bind"), times - min(5, times))
    last = Held.now()
    about = camera.about().words
    camera.close()
    ordered = sorted(back_ns)
    found = {
        "delivery": asdict(done),
        "grew_mb": grew_mb,
        "back_ms": {name: percentile(ordered, share) / MS for name, share in (("p50", 0.5), ("p99", 0.99))},
        "held": [asdict(first), asdict(last)],
        "about": about,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:7]))
