"""`python -m tests.system.read_camera PIPELINE FRAMES`: reads a camera as the eye does, and says what it cost."""

from __future__ import annotations

import json
import resource
import sys

from edge import options
from edge.capture.gst import GstCamera
from edge.clock import SystemClock
from edge.eye.slots import Slots
from edge.timing import Series

SLOTS = 10


def main(pipeline: str, frames: int) -> None:
    """Prints one JSON object: CPU seconds, frames lost, copies, and the frames' ages in the eye's memory in ns."""
    sys.setswitchinterval(0.0005)
    clock, ages, slots = SystemClock(), Series(), Slots(SLOTS)
    camera = GstCamera(options.GstCamera(kind="gst", name="top", pipeline=pipeline), clock)
    camera.open()
    lost = copies = 0
    used = resource.getrusage(resource.RUSAGE_SELF)
    for number in range(frames):
        frame = camera.read(10.0)
        assert frame is not None, f"no frame for 10 s after {number}"
        slot = slots.put(frame.image)
        ages.add(clock.now_ns() - frame.captured_ns)
        slots.free(slot)
        copies = max(copies, frame.copies + 1)
        lost = frame.lost
    after = resource.getrusage(resource.RUSAGE_SELF)
    camera.close()
    cpu_s = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    print(json.dumps({"cpu_s": cpu_s, "frames": frames, "lost": lost, "copies": copies, "ages_ns": ages.newest()}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
