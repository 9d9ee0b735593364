"""Small disks that really fill up or become read-only: a tmpfs, and an ext4 image on a loop device. They take root."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


class Ext4Disk:
    """An ext4 file system in a file; `fail` makes it read-only under whoever has files open, `mend` mounts it anew."""

    def __init__(self, folder: Path, image: Path, size_mb: int) -> None:
        self.folder = folder
        self._image = image
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(size_mb << 20)
        if not _run("mkfs.ext4", "-q", "-F", str(image)) or not self._mount():
            missing("a disk of its own takes root, mkfs.ext4 and a loop device")

    def _mount(self) -> bool:
        return _run("mount", "-o", "loop", str(self._image), str(self.folder))

    def fail(self) -> None:
        """What ext4 does after an error of its disk."""
        subprocess.run(["mount", "-o", "remount,abort", str(self.folder)], check=True)

    def mend(self) -> None:
        """As after a repair: unmounted and mounted again at the same place."""
        self.unmount()
        if not self._mount():
            raise AssertionError("the disk cannot be mounted again")

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@contextmanager
def ext4(folder: Path, size_mb: int) -> Iterator[Ext4Disk]:
    """A disk of its own at `folder`."""
    disk = Ext4Disk(folder, folder.with_name(f"{folder.name}.img"), size_mb)
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
