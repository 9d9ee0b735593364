"""The newest picture of each camera for whoever looks: one small file for each time that it was asked for."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.clock import Clock
from edge.control import SHOWN, Answer, Refused, picture_name
from edge.control import Shown as Told
from edge.durable import PARTIAL
from edge.heat_map import HeatMap, with_heat_map
from edge.records import Kind

log = logging.getLogger(__name__)

WIDEST = 960  # pixels
_QUALITY = 85


@dataclass(slots=True)
class _View:
    camera: str
    is_wanted: bool = False
    part_id: int = 0
    kind: str = ""
    wall_ns: int = 0


class Shown:
    """The control socket's thread calls `ask`, the inference's `wants`, the pictures' all else. Nobody waits for
    another: a picture that nobody asked for costs nothing, and one that was asked for is made once, beside the verdict.
    """

    def __init__(self, folder: Path, cameras: Sequence[str], clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._views = [_View(camera) for camera in cameras]

    def ask(self, camera: str) -> Answer:
        """What lies there now; the next judged picture of this camera will."""
        for view in self._views:
            if view.camera == camera:
                view.is_wanted = True
                return Told(part_id=view.part_id, kind=view.kind, wall_ns=view.wall_ns)
        names = ", ".join(view.camera for view in self._views)
        return Refused(words=f"there is no camera {camera!r}: ask for one of {names}")

    def wants(self, view: int) -> bool:
        """Whether somebody waits for a picture of this camera."""
        return self._views[view].is_wanted

    def show(
        self, view: int, part_id: int, kind: Kind | None, image: NDArray[np.uint8], heat: HeatMap | None
    ) -> None:
        """Put the picture there where it is wanted, small, with its heat map; the one of before goes. `kind`: None
        where it is recorded and not judged.

        image: uint8 H x W x 3 (BGR) or H x W; free again when this returns.
        """
        one = self._views[view]
        if not one.is_wanted or part_id == one.part_id:
            return
        one.is_wanted = False
        before = self._path(one.part_id, one.camera)
        try:
            _write(self._path(part_id, one.camera), _small(image, heat))
        except (OSError, cv2.error) as error:
            log.warning("the picture that somebody waits for cannot be written: %s", error)
            return
        one.kind, one.wall_ns, one.part_id = kind.name if kind else "", self._clock.wall_ns(), part_id
        with suppress(FileNotFoundError):
            os.unlink(before)

    def _path(self, part_id: int, camera: str) -> str:
        """No `Path`, which would keep the name for ever; see edge/journal/pictures.py."""
        return f"{self._folder}/{picture_name(part_id, camera)}"

    def clear(self) -> None:
        """Take away what lies there, also of an eye that was killed."""
        with suppress(OSError):
            for path in self._folder.glob(f"{SHOWN}*"):
                path.unlink(missing_ok=True)


def _write(path: str, data: bytes) -> None:
    partial = path + PARTIAL
    with open(partial, "wb") as file:
        file.write(data)
    os.replace(partial, path)


def _small(image: NDArray[np.uint8], heat: HeatMap | None) -> bytes:
    """A JPEG at most WIDEST wide, with the heat map's place in it."""
    height, width = image.shape[:2]
    times = -(-width // WIDEST)
    if times > 1:
        size = (width // times, max(1, height // times))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    done, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    if not done:
        raise OSError(f"no JPEG of a picture of shape {image.shape}")
    return data.tobytes() if heat is None else with_heat_map(data.tobytes(), _shrunk(heat, times))


def _shrunk(heat: HeatMap, times: int) -> HeatMap:
    """The heat map of a picture that is so many times smaller."""
    if times == 1 or heat.spec.roi is None:
        return heat
    x, y, width, height = heat.spec.roi
    roi = (x // times, y // times, max(1, width // times), max(1, height // times))
    return HeatMap(heat.cells, replace(heat.spec, roi=roi))
