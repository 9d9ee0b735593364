"""Every write and flush of a disk in order, as the emulator logs them, and the disk as a cut at any of them leaves it.

The log's format is that of the kernel's dm-log-writes: a superblock, then entries of a header and its data, each padded
to a sector. A disk with a cache keeps what came before its last flush; of what came after, any part may be lost.
"""

from __future__ import annotations

import random
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_SUPER = struct.Struct("<QQQI")  # magic, version, entries, sector size
_ENTRY = struct.Struct("<QQQQ")  # first sector, sectors, flags, size of a mark's text
_MAGIC = 0x6A736677736872
_FLUSH, _FUA, _DISCARD, _MARK = 1, 2, 4, 8


def logged(name: str, image: Path, log: Path) -> list[str]:
    """The emulator's words for a disk whose writes are logged; `log` must exist and be empty."""
    file = f"file.driver=raw,file.file.driver=file,file.file.filename={image},file.file.cache.direct=on"
    node = f"driver=blklogwrites,node-name={name},{file},log.driver=file,log.filename={log},log-sector-size=512"
    return ["-blockdev", node, "-device", f"virtio-blk-pci,drive={name},serial={name},discard=off"]


@dataclass(frozen=True)
class Write:
    """Data that went to the byte `at`; or, without data, a flush. `end` is where its entry ends in the log."""

    at: int
    data: bytes
    flush: bool
    durable: bool  # it was on the disk when it was done, cache or not
    end: int


def writes(log: Path) -> Iterator[Write]:
    """The log's entries, up to the first that is not whole."""
    with log.open("rb") as file:
        magic, _, _, sector = _SUPER.unpack(file.read(_SUPER.size))
        assert magic == _MAGIC, "not a log of writes"
        place, size = sector, log.stat().st_size
        while place + sector <= size:
            file.seek(place)
            first, count, flags, _ = _ENTRY.unpack(file.read(_ENTRY.size))
            end = place + sector + count * sector
            if end > size or (count, flags) == (0, 0):
                return
            assert not flags & (_DISCARD | _MARK), "neither was asked for"
            file.seek(place + sector)
            yield Write(first * sector, file.read(count * sector), bool(flags & _FLUSH), bool(flags & _FUA), end)
            place = end


class Replay:
    """Disks after cuts at growing places of the log. `image` is the disk before the first write; it is copied."""

    def __init__(self, image: Path, entries: list[Write], folder: Path, dice: random.Random) -> None:
        self._entries = entries
        self._dice = dice
        self._done = 0
        self._flushed = folder / "flushed.img"  # all that no cut can take back
        self._cut = folder / "cut.img"
        subprocess.run(["cp", "--sparse=always", image, self._flushed], check=True)
        self._cached: list[Write] = []

    def cut_after(self, count: int) -> Path:
        """The disk when the power goes after so many entries; each write since the last flush is there or not."""
        with self._flushed.open("r+b") as disk:
            for write in self._entries[self._done : count]:
                if write.flush:
                    self._apply(disk, self._cached)
                    self._cached = []
                if write.data:
                    self._cached.append(write)
        self._done = count
        subprocess.run(["cp", "--sparse=always", self._flushed, self._cut], check=True)
        share = self._dice.choice((0.0, 0.5, 1.0))
        kept = [write for write in self._cached if write.durable or self._dice.random() < share]
        with self._cut.open("r+b") as disk:
            self._apply(disk, kept)
        return self._cut

    @staticmethod
    def _apply(disk: BinaryIO, cached: list[Write]) -> None:
        for write in cached:
            disk.seek(write.at)
            disk.write(write.data)
