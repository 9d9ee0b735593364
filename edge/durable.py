"""Files that are whole or absent whatever happens: written aside, brought to the disk, then renamed; and lock files."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

PARTIAL = ".partial"


def write_whole(path: Path, *parts: bytes) -> None:
    """Replace `path` by the concatenated `parts`, on disk when this returns; a kill leaves the old file or the new.

    Raises OSError; what was begun is removed then.
    """
    partial = path.with_name(path.name + PARTIAL)
    try:
        write_synced(partial, *parts)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_new(path: Path, *parts: bytes, mode: int = 0o644) -> None:
    """Make `path` of the concatenated `parts`, on disk when this returns; a file that is there already stays as it is.

    Of several processes that make it at once, one file stands, whole. Raises OSError.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    try:
        write_synced(partial, *parts, mode=mode)
        with suppress(FileExistsError):
            os.link(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_synced(path: Path, *parts: bytes, mode: int = 0o666) -> None:
    """Write the concatenated `parts` to `path`; the content is on disk when this returns. Raises OSError.

    A new file has `mode`, less what the umask takes.
    """
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def hold(path: Path, wait: bool = False) -> int:
    """Have a lock file for this process alone until the returned descriptor is closed; it and its folder are made.

    Raises BlockingIOError when another process has it, unless that is waited for; OSError when it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return _locked(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640), wait)


def hold_folder(folder: Path) -> int:
    """Have a folder for this process alone until the returned descriptor is closed; nothing is written into it.

    Raises BlockingIOError when another process has it, OSError when it is no folder.
    """
    return _locked(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), wait=False)


def _locked(descriptor: int, wait: bool) -> int:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def sync_file(path: Path) -> None:
    """Bring what somebody else has written into a file to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk: a new or renamed file is only then sure to be found. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
