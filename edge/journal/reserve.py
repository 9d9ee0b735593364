"""The emergency reserve: room on the disk that is held back, so that a full disk still takes the last records."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

NAME = "journal.reserve"


class Reserve:
    """A file that holds `size` bytes of the folder's disk (0: none is held). For one thread; never raises."""

    def __init__(self, folder: Path, size: int) -> None:
        self._path = folder / NAME
        self._size = size

    @property
    def is_whole(self) -> bool:
        """Whether it would help; one of no size is always whole."""
        try:
            return self._size == 0 or self._path.stat().st_blocks * 512 >= self._size
        except OSError:
            return False

    def make(self) -> bool:
        """Hold the room back, if the disk has it twice over; whether the reserve is whole then."""
        if self.is_whole:
            return True
        with suppress(OSError):
            disk = os.statvfs(self._path.parent)
            if disk.f_bavail * disk.f_frsize >= 2 * self._size:
                self._allocate()
        return self.is_whole

    def _allocate(self) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        try:
            os.posix_fallocate(descriptor, 0, self._size)
        except OSError:
            self.free()
            raise
        finally:
            os.close(descriptor)

    def free(self) -> bool:
        """Give the room to whoever writes next; False when there was none."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
