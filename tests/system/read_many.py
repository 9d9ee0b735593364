"""`python -m tests.system.read_many SETTINGS FRAMES`: reads a GStreamer camera for long, and says what came of it.

With GStreamer's own tracer of leaks (`TRACED`): it knows every buffer that was made and not freed.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge import options
from edge.clock import SystemClock
from tests.system.camera_runs import Delivery, Held, deliver

ROOT = Path(__file__).parents[2]
TRACED = {"GST_TRACERS": 'leaks(filters="GstBuffer")', "GST_DEBUG": "GST_TRACER:7", "GST_DEBUG_NO_COLOR": "1"}


@dataclass(frozen=True)
class Read:
    """What came, by how many MB memory grew meanwhile, and how many of GStreamer's buffers there were: with the last
    frame in hand, and when the camera was closed and the frame given away."""

    came: Delivery
    grew_mb: float
    held: int
    leaked: int


def read_many(settings: dict[str, Any], frames: int, log: Path) -> Read:
    """Read so many frames in a process of its own; GStreamer writes into `log`."""
    words = [sys.executable, "-m", "tests.system.read_many", json.dumps(settings), str(frames)]
    environment = {**os.environ, **TRACED, "GST_DEBUG_FILE": str(log)}
    done = subprocess.run(words, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    told = json.loads(done.stdout)
    return Read(**{**told, "came": Delivery(**told["came"])})


def main(settings: str, frames: int) -> None:
    """Prints a `Read` as JSON."""
    from edge.capture.gst import GstCamera

    keys = {"kind": "gst", "name": "top", **json.loads(settings)}
    camera = GstCamera(options.GstCamera.model_validate(keys), SystemClock())
    camera.open()
    deliver(camera, min(frames, 500))
    before = Held.now()
    came = deliver(camera, frames)
    grew_mb = Held.now().rss_mb - before.rss_mb
    last = camera.read(10.0)
    held = _alive()
    camera.close()
    del camera, last
    gc.collect()
    print(json.dumps(asdict(Read(came, round(grew_mb, 1), held, _alive()))))


def _alive() -> int:
    """How many buffers the tracer knows now."""
    from edge.capture.gst import Gst

    log = Path(os.environ["GST_DEBUG_FILE"])
    known = log.stat().st_size
    Gst.tracing_get_active_tracers()[0].emit("log-live-objects")
    return log.read_text(errors="replace")[known:].count("type-name=(string)GstBuffer")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
