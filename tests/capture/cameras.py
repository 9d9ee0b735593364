"""One rig per kind of source: what a camera is built from, and what may be expected of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge import options
from edge.capture import TABLE, Camera
from edge.clock import Clock
from edge.kinds import find
from tests.capture.mjpeg import MjpegServer
from tests.peers.gige_vision import GvCamera
from tests.peers.waiting import missing

WIDTH, HEIGHT, FRAMES = 96, 64, 6


@dataclass(frozen=True)
class Rig:
    """A source: `settings(folder, fps)` are its options; `ends` after FRAMES pictures or never.

    `drops`: a slow reader loses frames. `steppable`: the picture's time is the given clock's, so a manual one works.
    """

    settings: Callable[[Path, float], dict[str, Any]]
    ends: bool
    drops: bool
    steppable: bool


def picture(number: int) -> np.ndarray[Any, Any]:
    """Picture `number` of a set: grey ramps that differ."""
    ramp = np.arange(WIDTH, dtype=np.uint8)[None, :, None]
    return np.ascontiguousarray(np.broadcast_to(ramp + np.uint8(20 * number), (HEIGHT, WIDTH, 3)))


def write_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["file,label,group,mask"]
    for number in range(FRAMES):
        cv2.imencode(".png", picture(number))[1].tofile(folder / f"{number}.png")
        rows.append(f"{number}.png,ok,lot-{number // 2},")
    (folder / "labels.csv").write_text("\n".join([*rows, ""]), encoding="utf-8")
    return folder


def write_video(path: Path, fps: float) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (WIDTH, HEIGHT))
    for number in range(FRAMES):
        writer.write(picture(number))
    writer.release()
    return path


def _folder(folder: Path, fps: float) -> dict[str, Any]:
    return {"kind": "folder", "dir": write_folder(folder / "set"), "rate_hz": fps}


def _belt(folder: Path, fps: float) -> dict[str, Any]:
    return {"kind": "belt", "width": WIDTH, "height": HEIGHT, "fps": fps, "triggered": False}


def _belt_triggered(folder: Path, fps: float) -> dict[str, Any]:
    return {"kind": "belt", "width": WIDTH, "height": HEIGHT, "pitch_ms": 1_000 / fps, "jitter_ms": 0, "queue": 2}


def _cv_file(folder: Path, fps: float) -> dict[str, Any]:
    return {"kind": "cv", "source": str(write_video(folder / "film.avi", fps))}


def _gst(source: str, fps: float) -> dict[str, Any]:
    rate = f"{round(fps * 10)}/10"
    caps = f"video/x-raw,format=BGR,width={WIDTH},height={HEIGHT},framerate={rate}"
    return {"kind": "gst", "pipeline": f"{source} ! {caps} ! appsink name=frames"}


def _gst_live(folder: Path, fps: float) -> dict[str, Any]:
    return _gst("videotestsrc is-live=true pattern=snow", fps)


def _gst_triggered(folder: Path, fps: float) -> dict[str, Any]:
    return {**_gst("videotestsrc is-live=true pattern=snow", fps), "triggered": True, "queue": 3}


def _gst_file(folder: Path, fps: float) -> dict[str, Any]:
    return _gst(f"videotestsrc num-buffers={FRAMES} pattern=snow", fps)


def _gige(folder: Path, fps: float) -> dict[str, Any]:
    size = {"width": WIDTH, "height": HEIGHT, "pixel_format": "BGR8"}
    return {"kind": "gige", "triggered": False, "fps": fps, **size}


def _gige_triggered(folder: Path, fps: float) -> dict[str, Any]:
    trigger = {"triggered": True, "fps": None, "trigger_source": "Software", "trigger_every_ms": 1_000 / fps}
    return {**_gige(folder, fps), **trigger, "queue": 2}


def _gige_fake(folder: Path, fps: float) -> dict[str, Any]:
    return {**_gige(folder, fps), "id": "Fake_1", "pixel_format": "RGB8"}


RIGS = {
    "folder": Rig(_folder, ends=True, drops=False, steppable=True),
    "belt": Rig(_belt, ends=False, drops=True, steppable=True),
    "belt triggered": Rig(_belt_triggered, ends=False, drops=True, steppable=True),
    "cv file": Rig(_cv_file, ends=True, drops=False, steppable=True),
    "cv stream": Rig(lambda folder, fps: {"kind": "cv"}, ends=False, drops=True, steppable=False),
    "gst live": Rig(_gst_live, ends=False, drops=True, steppable=False),
    "gst triggered": Rig(_gst_triggered, ends=False, drops=True, steppable=False),
    "gst file": Rig(_gst_file, ends=True, drops=False, steppable=False),
    "gige": Rig(_gige, ends=False, drops=True, steppable=False),
    "gige triggered": Rig(_gige_triggered, ends=False, drops=False, steppable=False),
    "gige fake": Rig(_gige_fake, ends=False, drops=False, steppable=False),
}


@contextmanager
def camera_of(name: str, folder: Path, fps: float, clock: Clock) -> Iterator[Camera]:
    """The camera of a rig, not opened; closed at the end."""
    settings = RIGS[name].settings(folder, fps)
    with _source(settings, fps) as complete:
        camera: Camera = build(complete, clock)
        try:
            yield camera
        finally:
            camera.close()


@contextmanager
def _source(settings: dict[str, Any], fps: float) -> Iterator[dict[str, Any]]:
    if settings["kind"] == "cv" and "source" not in settings:
        with MjpegServer(fps) as server:
            yield {**settings, "source": server.url}
    elif settings["kind"] == "gige" and "id" not in settings:
        with GvCamera() as peer:
            yield {**settings, "address": peer.address}
    elif settings["kind"] == "gige":
        with only_the_fake_interface():
            yield settings
    else:
        yield settings


@contextmanager
def only_the_fake_interface() -> Iterator[None]:
    """Aravis' camera inside this process, without a search of the network."""
    link = pytest.importorskip("edge.capture.gige_link", reason="install kenpin[gige]", exc_type=ImportError)
    others = ("GigEVision", "USB3Vision")
    link.Aravis.enable_interface("Fake")
    for name in others:
        link.Aravis.disable_interface(name)
    try:
        yield
    finally:
        link.Aravis.disable_interface("Fake")
        for name in others:
            link.Aravis.enable_interface(name)


OPTIONS = {
    "folder": options.FolderCamera,
    "belt": options.BeltCamera,
    "cv": options.CvCamera,
    "gst": options.GstCamera,
    "gige": options.GigeCamera,
}


def build(settings: dict[str, Any], clock: Clock) -> Any:
    """A camera from its settings, by its kind."""
    if settings["kind"] in ("gst", "gige") and find_spec("gi") is None:
        missing("install kenpin[gstreamer]")
    chosen = OPTIONS[settings["kind"]](name="top", **settings)
    return find(TABLE, settings["kind"], "camera")(chosen, clock)
