"""The pictures behind the verdicts: JPEG files in a folder per UTC day, which give way to newer ones and to records.

Their paths are strings: a `Path` interns its parts, and names that never come again would stay (docs/performance.md).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from heapq import nsmallest
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.clock import SECOND, Clock, SystemClock
from edge.heat_map import HeatMap, with_heat_map
from edge.records import Kind

QUALITY = 92
_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_GOOD = f"_{Kind.PASS.name.lower()}.jpg"
_MB = 1_000_000
_FREE_FILES = 500  # so many the disk must still be able to hold, where it counts them
_KNOWN = 1_000  # names of the oldest that are held; a quota may hold a hundred thousand


class PictureStore:
    """Keeps every REJECT and UNKNOWN and every Nth PASS (0: none) in at most `max_mb` MB (10^6 bytes) of files.

    While the disk has less than `free_min_mb` MB free, or can hold few files more, pictures give way to the records:
    the oldest good ones go first, then the oldest others, and no new ones come. For one thread. Never raises for the
    disk: `kept` counts the files written, `dropped` those deleted for newer ones or for records, `failed` the pictures
    that could not be stored. Pictures are no records: they are not synced one by one.
    """

    def __init__(
        self,
        folder: Path,
        max_mb: int,
        keep_every_nth_pass: int,
        clock: Clock | None = None,
        free_min_mb: int = 0,
    ) -> None:
        self._folder = folder
        self._limit = max_mb * _MB
        self._nth = keep_every_nth_pass
        self._clock = clock or SystemClock()
        self._free_min = free_min_mb * _MB
        self._bytes = sum(_size(f"{day}/{name}") for day in _days(folder) for name in _names(day))
        self._oldest = _Oldest(folder, ".jpg")
        self._good = _Oldest(folder, _GOOD)
        self._passes = 0
        self._last_pass = -1
        self.kept = 0
        self.dropped = 0
        self.failed = 0

    def keep(
        self, part_id: int, kind: Kind, camera: str, image: NDArray[np.uint8], heat: HeatMap | None = None
    ) -> bool:
        """Store one view of a part where it is wanted, with its heat map in it; whether it was.

        image: uint8 H x W x 3 (BGR) or H x W; free again when this returns. The views of one part must follow
        each other: they are kept together. Blocks for the encoding (a few ms a megapixel) and the disk.
        """
        if self._limit == 0 or not self._is_wanted(part_id, kind):
            return False
        try:
            data = _jpeg(image) if heat is None else with_heat_map(_jpeg(image), heat)
            stored = len(data) <= self._limit and self._write(self._path(part_id, kind, camera), data)
        except (OSError, cv2.error):
            stored = False
        self.kept += stored
        self.failed += not stored
        return stored

    def give_way(self) -> bool:
        """Delete what the disk lacks for the records; whether there is room for pictures."""
        if self._free_min == 0:
            return True
        try:
            size, files = self._lacking()
            while size > 0 or files > 0:
                freed = self._delete(self._good)
                if freed is None:
                    freed = self._delete(self._oldest)
                if freed is None:
                    return False
                size, files = size - freed, files - 1
        except OSError:
            return False
        return True

    def _lacking(self) -> tuple[int, int]:
        """Bytes and files that the disk has too little."""
        self._folder.mkdir(parents=True, exist_ok=True)
        disk = os.statvfs(self._folder)
        files = _FREE_FILES - disk.f_favail if disk.f_files else 0
        return self._free_min - disk.f_bavail * disk.f_frsize, files

    def _is_wanted(self, part_id: int, kind: Kind) -> bool:
        if kind is not Kind.PASS:
            return True
        if part_id != self._last_pass:
            self._passes += 1
            self._last_pass = part_id
        return self._nth > 0 and self._passes % self._nth == 0

    def _path(self, part_id: int, kind: Kind, camera: str) -> str:
        day = datetime.fromtimestamp(self._clock.wall_ns() // SECOND, timezone.utc).date().isoformat()
        return f"{self._folder}/{day}/{part_id:016x}_{camera}_{kind.name.lower()}.jpg"

    def _write(self, path: str, data: bytes) -> bool:
        if not self.give_way():
            return False
        while self._bytes + len(data) > self._limit:
            if self._delete(self._oldest) is None:
                self._bytes = 0  # somebody else deleted them
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
        except OSError:
            with suppress(OSError):
                os.unlink(path)
            raise
        self._bytes += len(data)
        self._oldest.came(path)
        self._good.came(path)
        return True

    def _delete(self, oldest: _Oldest) -> int | None:
        """Delete the oldest of a sort; the bytes it had, None when there is none. Raises OSError."""
        found = oldest.pop()
        if found is None:
            return None
        path, freed = found
        with suppress(FileNotFoundError):
            os.unlink(path)
        self._bytes -= freed
        self.dropped += 1
        for other in {self._oldest, self._good} - {oldest}:
            other.forget()
        with suppress(OSError):  # more came to that day, or something else lies in its folder
            os.rmdir(os.path.dirname(path))
        return freed


class _Oldest:
    """The pictures of one sort, oldest first; it knows some of one day, as an index of all would take tens of MB."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self._folder = folder
        self._suffix = suffix
        self._known: deque[tuple[str, int]] = deque()
        self._is_empty = False  # there was none at all; looking through all days again would cost too much

    def pop(self) -> tuple[str, int] | None:
        """Path and size of the oldest, None when there is none."""
        if not self._known and not self._is_empty:
            self._known.extend(next(self._by_day(), ()))
            self._is_empty = not self._known
        return self._known.popleft() if self._known else None

    def _by_day(self) -> Iterator[list[tuple[str, int]]]:
        for day in _days(self._folder):
            found = nsmallest(_KNOWN, (name for name in _names(day) if name.endswith(self._suffix)))
            if found:
                yield [(path, _size(path)) for path in (f"{day}/{name}" for name in found)]

    def came(self, path: str) -> None:
        """A picture was stored."""
        self._is_empty = self._is_empty and not path.endswith(self._suffix)

    def forget(self) -> None:
        """Others were deleted, perhaps known ones: look again."""
        self._known.clear()


def _days(folder: Path) -> list[Path]:
    return sorted(folder.glob(_DAY))


def _names(day: Path) -> Iterator[str]:
    """A day's pictures, in no order; the names begin with the part id, which counts up."""
    with suppress(OSError), os.scandir(day) as entries:
        yield from (entry.name for entry in entries if entry.name.endswith(".jpg"))


def _size(path: str) -> int:
    """Bytes of a picture; none where it has just gone."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    done, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
    if not done:
        raise OSError(f"no JPEG of a picture of shape {image.shape}")
    return data.tobytes()
