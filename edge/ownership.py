"""Root works in a station's folders with their owner's rights: what a broken service put there leads it nowhere.

A service that somebody has taken over may lay links into its own folders. Root, following one, would write or give away
files that are not the service's.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def as_owner_of(folder: Path) -> Iterator[None]:
    """Meanwhile root, with all its threads, is whoever owns this folder; for everybody else nothing changes.

    Raises OSError where the folder is not there.
    """
    owner = folder.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    os.setgroups([owner.st_gid])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def hand_over(folder: Path, *below: str) -> None:
    """Give what root has made in the folder FOLDER/BELOW/... before it had an owner to that owner: these folders, and
    the files in the last one. Nothing for anybody but root. Raises OSError, also where one of them is a link.
    """
    owner = folder.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    opened = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
    try:
        for name in below:
            opened.append(os.open(name, _FOLDER, dir_fd=opened[-1]))
            os.fchown(opened[-1], owner.st_uid, owner.st_gid)
        for name in os.listdir(opened[-1]):  # noqa: PTH208 - a path could lead elsewhere by now
            _give_file(name, opened[-1], owner)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _give_file(name: str, folder: int, owner: os.stat_result) -> None:
    """Only a whole file that has no other name: the other one may be anybody's."""
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        return
    descriptor = os.open(name, _FILE, dir_fd=folder)
    try:
        state = os.fstat(descriptor)
        if stat.S_ISREG(state.st_mode) and state.st_nlink == 1 and state.st_uid != owner.st_uid:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    finally:
        os.close(descriptor)
