"""The station's own disk: made from a folder before the device is switched on, read again when its power is gone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def disk_with(folder: Path, image: Path, size: str = "128M") -> None:
    """An ext4 disk that holds the folder's files."""
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", folder, image, size], check=True, capture_output=True)


def files_on(image: Path, into: Path, *folders: str) -> None:
    """What a machine finds that starts again with this disk: a copy's file system is recovered and its folders read.

    Fails when the recovery finds more to mend than the file system's own journal does.
    """
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    copy = into / "disk.img"
    subprocess.run(["cp", "--sparse=always", image, copy], check=True)
    recover(copy, into, *folders)
    copy.unlink()


def recover(image: Path, into: Path, *folders: str) -> None:
    """The same with the disk itself."""
    subprocess.run(["e2fsck", "-E", "journal_only", "-p", image], check=True, capture_output=True)
    clean = subprocess.run(["e2fsck", "-fn", image], capture_output=True, text=True)
    assert clean.returncode == 0, f"the file system is damaged: {clean.stdout}"
    for folder in folders:
        shutil.rmtree(into / folder, ignore_errors=True)
        subprocess.run(["debugfs", "-R", f"rdump /{folder} {into}", image], check=True, capture_output=True)
