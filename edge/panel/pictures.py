"""The pictures that the station kept: found by part and camera, never by a name that a browser gave.

Their paths are strings, for the reason in edge/journal/pictures.py.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.heat_map import heat_map_in
from edge.heat_map import painted as paint
from edge.journal.export import PICTURES
from edge.journal.pictures import QUALITY
from edge.panel.language import say
from edge.pixels import Image
from edge.records import Kind
from edge.station import Station

_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_LARGEST = 50_000_000  # bytes
_WIDTH = 360  # of a small picture
_SMALL_KEPT = 100


class Pictures:
    """Any thread may ask."""

    def __init__(self, station: Station) -> None:
        self._folder = station.journal.dir / PICTURES
        self.cameras = tuple(camera.name for camera in station.camera)
        self._lock = threading.Lock()
        self._small: OrderedDict[str, bytes] = OrderedDict()

    def find(self, part_id: int, camera: str) -> str:
        """The file. Raises ConfigError where there is none (any more)."""
        if camera in self.cameras and 0 <= part_id < 2**63:
            for day in sorted(self._folder.glob(_DAY), reverse=True):
                for kind in Kind:
                    path = f"{day}/{part_id:016x}_{camera}_{kind.name.lower()}.jpg"
                    if os.path.isfile(path):
                        return path
        raise ConfigError(say("no.no_picture"))

    def of_part(self, part_id: int) -> list[str]:
        """The cameras whose picture of this part is kept."""
        return [camera for camera in self.cameras if self._has(part_id, camera)]

    def _has(self, part_id: int, camera: str) -> bool:
        try:
            return bool(self.find(part_id, camera))
        except ConfigError:
            return False

    def whole(self, part_id: int, camera: str) -> bytes:
        """The JPEG as it was stored. Raises ConfigError."""
        path = self.find(part_id, camera)
        try:
            with open(path, "rb") as file:
                data = file.read(_LARGEST + 1)
        except OSError as error:
            raise ConfigError(say("no.picture_gone")) from error
        if len(data) > _LARGEST:
            raise ConfigError(say("no.picture_large"))
        return data

    def has_heat_map(self, part_id: int, camera: str) -> bool:
        """Whether the picture tells where the network found something. Raises ConfigError."""
        return heat_map_in(self.whole(part_id, camera)) is not None

    def painted(self, part_id: int, camera: str) -> bytes:
        """The picture with its heat map over it; as it was stored where there is none. Raises ConfigError."""
        return painted(self.whole(part_id, camera))

    def small(self, part_id: int, camera: str) -> bytes:
        """The painted one, shrunk for a gallery. Raises ConfigError."""
        path = self.find(part_id, camera)
        with self._lock:
            known = self._small.get(path)
            if known is None:
                known = self._small[path] = _shrunk(self.painted(part_id, camera))
                while len(self._small) > _SMALL_KEPT:
                    self._small.popitem(last=False)
        return known


def painted(data: bytes) -> bytes:
    """A JPEG with the heat map that is in it painted over it; as it was where there is none. Raises ConfigError."""
    heat = heat_map_in(data)
    return data if heat is None else _jpeg(paint(_decoded(data), heat))


def _shrunk(data: bytes) -> bytes:
    image = _decoded(data, cv2.IMREAD_REDUCED_COLOR_2)
    height, width = image.shape[:2]
    if width > _WIDTH:
        size = _WIDTH, max(1, height * _WIDTH // width)
        return _jpeg(cv2.resize(image, size, interpolation=cv2.INTER_AREA), 85)
    return _jpeg(image, 85)


def _decoded(data: bytes, how: int = cv2.IMREAD_COLOR) -> Image:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    except cv2.error:
        image = None
    if image is None:
        raise ConfigError(say("no.picture_damaged"))
    return image.astype(np.uint8, copy=False)


def _jpeg(image: NDArray[Any], quality: int = QUALITY) -> bytes:
    return cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes()
