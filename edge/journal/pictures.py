"""The pictures behind the verdicts: JPEG files in a folder per UTC day; at the quota the oldest are deleted."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.clock import SECOND, Clock, SystemClock
from edge.records import Kind

QUALITY = 92
_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_MB = 1_000_000


class PictureStore:
    """Keeps every REJECT and UNKNOWN and every Nth PASS (0: none) in at most `max_mb` MB (10^6 bytes) of files.

    For one thread. Never raises for the disk: `kept` counts the files written, `dropped` those deleted for newer
    ones, `failed` the pictures that could not be stored. Pictures are no records: they are not synced one by one.
    """

    def __init__(self, folder: Path, max_mb: int, keep_every_nth_pass: int, clock: Clock | None = None) -> None:
        self._folder = folder
        self._limit = max_mb * _MB
        self._nth = keep_every_nth_pass
        self._clock = clock or SystemClock()
        self._bytes = sum(size for day in _days(folder) for _, size in _files(day))
        self._oldest: deque[tuple[str, int]] = deque()  # of one day: an index of all would take tens of MB
        self._passes = 0
        self._last_pass = -1
        self.kept = 0
        self.dropped = 0
        self.failed = 0

    def keep(self, part_id: int, kind: Kind, camera: str, image: NDArray[np.uint8]) -> bool:
        """Store one view of a part where it is wanted; whether it was.

        image: uint8 H x W x 3 (BGR) or H x W; free again when this returns. The views of one part must follow
        each other: they are kept together. Blocks for the encoding (a few ms a megapixel) and the disk.
        """
        if self._limit == 0 or not self._is_wanted(part_id, kind):
            return False
        try:
            data = _jpeg(image)
            stored = len(data) <= self._limit and self._write(self._path(part_id, kind, camera), data)
        except (OSError, cv2.error):
            stored = False
        self.kept += stored
        self.failed += not stored
        return stored

    def _is_wanted(self, part_id: int, kind: Kind) -> bool:
        if kind is not Kind.PASS:
            return True
        if part_id != self._last_pass:
            self._passes += 1
            self._last_pass = part_id
        return self._nth > 0 and self._passes % self._nth == 0

    def _path(self, part_id: int, kind: Kind, camera: str) -> Path:
        day = datetime.fromtimestamp(self._clock.wall_ns() // SECOND, timezone.utc).date().isoformat()
        return self._folder / day / f"{part_id:016x}_{camera}_{kind.name.lower()}.jpg"

    def _write(self, path: Path, data: bytes) -> bool:
        self._make_room(len(data))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        self._bytes += len(data)
        return True

    def _make_room(self, size: int) -> None:
        """Delete the oldest files until `size` more bytes fit. Raises OSError when a file cannot be deleted."""
        while self._bytes + size > self._limit:
            self._oldest = self._oldest or deque(_oldest_files(self._folder))
            if not self._oldest:
                self._bytes = 0  # somebody else deleted them
                return
            name, freed = self._oldest[0]
            path = Path(name)
            path.unlink(missing_ok=True)
            self._oldest.popleft()
            self._bytes -= freed
            self.dropped += 1
            if not self._oldest:
                with suppress(OSError):  # more came to that day, or something else lies in its folder
                    path.parent.rmdir()


def _days(folder: Path) -> list[Path]:
    return sorted(folder.glob(_DAY))


def _files(day: Path) -> list[tuple[str, int]]:
    """Path and size in bytes of a day's pictures, oldest first: their names begin with the part id, which counts up."""
    try:
        with os.scandir(day) as entries:
            return sorted((entry.path, entry.stat().st_size) for entry in entries if entry.name.endswith(".jpg"))
    except OSError:
        return []


def _oldest_files(folder: Path) -> list[tuple[str, int]]:
    """The pictures of the oldest day that has any."""
    return next((files for day in _days(folder) if (files := _files(day))), [])


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    done, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
    if not done:
        raise OSError(f"no JPEG of a picture of shape {image.shape}")
    return data.tobytes()
