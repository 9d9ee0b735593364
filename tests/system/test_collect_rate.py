"""What `edge collect` brings to the disk on this machine: the line's rate for long, and the most that it can."""

from __future__ import annotations

import os
import re
import resource
import threading
from pathlib import Path

import numpy as np

from edge.capture.belt_drawing import Look, draw_part
from edge.clock import SECOND, SystemClock
from edge.collecting import Encoding, Quota
from edge.eye.scribe import Scribe, Stored
from edge.picture_set import Image, read_set
from edge.set_writer import PictureSetWriter
from tests.eye.stations import EdgeProcess
from tests.system.results import Table

RESULTS = Table(
    "collect-rate",
    "Collecting at the line's rate",
    "make test-system PYTEST_ARGS='-k collect_rate'",
    ["pictures", "encoding", "measured", "CPU ms for each", "load of the two cores beside"],
)
MINUTES = 2
FLOOD_S = 10
STATION = """
[station]
name = "line-3"
mode = "collect"
run_dir = "run"
[[camera]]
name = "top"
kind = "belt"
pitch_ms = 50
jitter_ms = 4
width = 640
height = 640
queue = 16
[trigger]
kind = "simulated"
"""


def test_collect_rate_of_a_line_of_twenty_parts_a_second(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text(STATION)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = ("--into", tmp_path / "set", "--lot", "a", "--for", f"{MINUTES}m")
    with EdgeProcess("collect", tmp_path / "station.toml", *words) as process:
        assert process.ends(60 * MINUTES + 60) == 0, process.output
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = process.output.splitlines()[-1]
    stored = len(read_set(tmp_path / "set"))
    RESULTS.add(
        f"640 x 640 colour, 20/s for {MINUTES} minutes, `edge collect`",
        "png",
        f"{stored} stored, {said.partition(': ')[2]}",
        f"{cpu_s * 1_000 / stored:.1f}, with drawing them",
        f"{os.getloadavg()[0]:.1f}",
    )
    assert "LOST because" not in said, said
    unseen = re.search(
        r"(\d+) LOST by the camera", said
    )  # where the machine lets it wait for longer than its queue
    assert stored + int(unseen[1] if unseen else 0) >= 20 * 60 * MINUTES - 20


def test_collect_rate_at_the_most(tmp_path: Path) -> None:
    for width, height in ((640, 640), (1_920, 1_080)):
        for encoding in ("png", "jpeg", "bmp"):
            folder = tmp_path / f"{width}{encoding}"
            rate, cpu_ms, mb = flood(folder, pictures(width, height), encoding)  # type: ignore[arg-type]
            measured, load = f"{rate:.0f}/s, {mb:.2f} MB each", f"{os.getloadavg()[0]:.1f}"
            RESULTS.add(f"{width} x {height} colour, as many as go", encoding, measured, f"{cpu_ms:.1f}", load)


def pictures(width: int, height: int) -> list[Image]:
    """Parts of the simulated belt, with a camera's noise."""
    look = Look(seed=1, width=width, height=height, light_drift=0.15, noise=3.0)
    drawn = []
    for number in range(12):
        image = np.empty((height, width, 3), np.uint8)
        draw_part(look, number, "", image)
        drawn.append(image)
    return drawn


def flood(folder: Path, images: list[Image], encoding: Encoding) -> tuple[float, float, float]:
    """Pictures a second that come to the disk, CPU ms and MB of each."""
    clock, so_far, stop = SystemClock(), Stored(), threading.Event()
    scribe = Scribe(PictureSetWriter(folder, encoding), folder, encoding, Quota(), None, so_far)
    thread = threading.Thread(target=scribe.run, args=(stop,))
    thread.start()
    began_ns, cpu_s = clock.now_ns(), cpu()
    number = 0
    while clock.now_ns() - began_ns < FLOOD_S * SECOND:
        scribe.offer(images[number % len(images)], f"top-{number}", "a", stop)
        number += 1
    stop.set()
    thread.join()
    took_s = (clock.now_ns() - began_ns) / SECOND
    assert so_far.stored == number == len(read_set(folder))
    return number / took_s, (cpu() - cpu_s) * 1_000 / number, so_far.mb / number


def cpu() -> float:
    """Seconds of processor that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
