"""A disk that fails on demand: faulty_disk.c, compiled once a test run and preloaded into a process under test."""

from __future__ import annotations

import atexit
import errno
import functools
import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from tests.peers.waiting import missing

WRITE, SYNC, CREATE, RESIZE = 1, 2, 4, 8
_SOURCE = Path(__file__).with_name("faulty_disk.c")
_ORDERS = struct.Struct("7i36s")
_HITS_AT = struct.Struct("6i").size


class FaultyDisk:
    """Calls on files under `folder` fail, wait or forget as ordered, in every process started with `environment`."""

    def __init__(self, folder: Path, control: Path) -> None:
        control.write_bytes(bytes(mmap.PAGESIZE))
        with control.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self.environment = {
            "LD_PRELOAD": str(_library()),
            "KENPIN_FAULTY": str(folder.resolve()),
            "KENPIN_FAULTS": str(control),
        }

    def order(
        self,
        calls: int,
        error: int = 0,
        *,
        skip: int = 0,
        times: int = -1,
        delay_ms: int = 0,
        forgets: bool = False,
        suffix: str = "",
    ) -> None:
        """From now on, until the next order: after `skip` such calls, `times` of them (-1: all) end with `error`.

        Each waits `delay_ms` first. A sync that fails on a disk that `forgets` takes with it what was written since the
        last good one. `suffix` narrows the files.
        """
        self._map[: _ORDERS.size] = _ORDERS.pack(0, error, skip, times, delay_ms, forgets, 0, suffix.encode())
        self._map[:4] = struct.pack("i", calls)

    def heal(self) -> int:
        """Take all orders back; how many calls failed by the last one."""
        hits: int = struct.unpack_from("i", self._map, _HITS_AT)[0]
        self.order(0)
        return hits

    def close(self) -> None:
        self._map.close()


def name_of(error: int) -> str:
    return errno.errorcode[error]


@functools.cache
def _library() -> Path:
    if shutil.which("gcc") is None:
        missing("a faulty disk is compiled: install gcc")
    folder = Path(tempfile.mkdtemp(prefix="faulty-disk-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = folder / "faulty_disk.so"
    words = [
        "gcc",
        "-shared",
        "-fPIC",
        "-O1",
        "-Wall",
        "-Werror",
        "-o",
        str(library),
        str(_SOURCE),
        "-ldl",
        "-lpthread",
    ]
    subprocess.run(words, check=True, env=os.environ | {"LD_PRELOAD": ""})
    return library
