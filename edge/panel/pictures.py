"""The pictures that the station kept: found by part and camera, never by a name that a browser gave."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

import cv2
import numpy as np

from edge.errors import ConfigError
from edge.journal.export import PICTURES
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
        self._small: OrderedDict[Path, bytes] = OrderedDict()

    def find(self, part_id: int, camera: str) -> Path:
        """The file. Raises ConfigError where there is none (any more)."""
        if camera in self.cameras and 0 <= part_id < 2**63:
            for day in sorted(self._folder.glob(_DAY), reverse=True):
                for kind in Kind:
                    path = day / f"{part_id:016x}_{camera}_{kind.name.lower()}.jpg"
                    if path.is_file():
                        return path
        raise ConfigError("no picture of this part is kept (any more)")

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
            if path.stat().st_size > _LARGEST:
                raise ConfigError("the picture is too large to be shown: copy it from the journal's folder")
            return path.read_bytes()
        except OSError as error:
            raise ConfigError("the picture has just given way to newer ones") from error

    def small(self, part_id: int, camera: str) -> bytes:
        """The same, shrunk for a gallery. Raises ConfigError."""
        path = self.find(part_id, camera)
        with self._lock:
            known = self._small.get(path)
            if known is None:
                known = self._small[path] = _shrunk(self.whole(part_id, camera))
                while len(self._small) > _SMALL_KEPT:
                    self._small.popitem(last=False)
        return known


def _shrunk(data: bytes) -> bytes:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_COLOR_2)
        if image is None:
            raise ConfigError("the picture is damaged")
        height, width = image.shape[:2]
        if width > _WIDTH:
            image = cv2.resize(image, (_WIDTH, max(1, height * _WIDTH // width)), interpolation=cv2.INTER_AREA)
        return cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 85))[1].tobytes()
    except cv2.error as error:
        raise ConfigError("the picture is damaged") from error
