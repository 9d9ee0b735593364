"""Small disks that really fill up or turn read-only: a tmpfs, and an ext4 image on a loop device. They take root."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.peers.waiting import missing


def _run(*words: str) -> bool:
    return (
        shutil.which(words[0]) is not None
        and subprocess.run(words, capture_output=True, check=False).returncode == 0
    )


@contextmanager
def tmpfs(folder: Path, options: str) -> Iterator[Path]:
    """A disk in memory at `folder`, as `size=1m,nr_inodes=20`."""
    folder.mkdir(exist_ok=True)
    if not _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)):
        missing("mounting a small disk takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class FailingDisk(Protocol):
    """A disk at `folder` that stops taking anything with `fail`, and is as before after `mend`."""

    folder: Path

    def fail(self) -> None: ...
    def mend(self) -> None: ...
    def unmount(self) -> None: ...


class Ext4Disk:
    """An ext4 file system in a file, which turns read-only under whoever has files open. Raises OSError without."""

    def __init__(self, folder: Path, size_mb: int) -> None:
        self.folder = folder
        self._image = folder.with_name(f"{folder.name}.img")
        with self._image.open("wb") as file:
            file.truncate(size_mb << 20)
        if not _run("mkfs.ext4", "-q", "-F", str(self._image)):
            raise OSError("no mkfs.ext4")
        self._mount()

    def _mount(self) -> None:
        if not _run("mount", "-o", "loop", str(self._image), str(self.folder)):
            raise OSError("no loop device")

    def fail(self) -> None:
        """What ext4 does after an error of its disk."""
        subprocess.run(["mount", "-o", "remount,abort", str(self.folder)], check=True)

    def mend(self) -> None:
        """As after a repair: unmounted and mounted again at the same place; nobody may have files open."""
        self.unmount()
        self._mount()

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


class LimitedDisk:
    """Where no disk can be mounted: this process may write nothing, by its limit on the size of files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fail(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._before[1]))

    def mend(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)

    def unmount(self) -> None:
        self.mend()


@contextmanager
def failing_disk(folder: Path) -> Iterator[FailingDisk]:
    """A disk of its own on a loop device; where there is none, the next best thing."""
    folder.mkdir()
    disk: FailingDisk
    try:
        disk = Ext4Disk(folder, 16)
    except OSError:
        disk = LimitedDisk(folder)
    try:
        yield disk
    finally:
        disk.unmount()


def fill(folder: Path, leave: int = 0) -> Path:
    """A file that takes all of a disk but `leave` bytes; delete it for room."""
    ballast = folder / "ballast"
    free = shutil.disk_usage(folder).free
    with ballast.open("wb", buffering=0) as file:
        try:
            file.write(bytes(max(0, free - leave)))
            while leave == 0:
                file.write(bytes(4_096))
        except OSError:
            pass
    return ballast
