"""Brings chosen pictures to the disk at the line's rate: a bounded queue, two encoders, one commit for several."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage

import numpy as np
from numpy.typing import NDArray

from edge.collecting import Encoding, Quota
from edge.errors import JournalError
from edge.set_writer import NewPicture, PictureSetWriter, encoded

MAX_WAITING_BYTES = 200_000_000  # of pictures in memory; more are lost, and counted
_AT_ONCE = 16  # so many share one commit
_ENCODERS = 2
_BEHIND = 10  # their niceness
_IDLE_S = 0.1
_MB = 1_000_000
_SHARE_DROPPED = 50  # a 50th of the quota goes at once: labels.csv is written anew each time


@dataclass(slots=True)
class Stored:
    """How far the scribe is. `skipped`: in the set already; `lost`: the disk or the encoders could not follow;
    `dropped`: oldest pictures that gave way. `full` says why no more is taken, if so."""

    stored: int = 0
    skipped: int = 0
    lost: int = 0
    dropped: int = 0
    waiting: int = 0
    mb: float = 0.0
    full: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    image: NDArray[np.uint8]
    name: str
    group: str
    view: int


class Scribe:
    """Any thread may `offer`; one thread runs `run`, which raises JournalError when the disk fails. `most`: so many
    pictures, then no more (None: all). `show` gets each one that is on the disk, with its camera."""

    def __init__(
        self,
        writer: PictureSetWriter,
        folder: Path,
        encoding: Encoding,
        quota: Quota,
        most: int | None,
        so_far: Stored,
        show: Callable[[int, NDArray[np.uint8]], None] = lambda _view, _image: None,
    ) -> None:
        self._writer = writer
        self._folder = folder
        self._encoding: Encoding = encoding
        self._quota = quota
        self._most = most
        self._so_far = so_far
        self._show = show
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._taken: set[str] = set()  # offered and not yet committed
        self._bytes = 0
        so_far.mb = writer.bytes / _MB

    @property
    def has_enough(self) -> bool:
        """Nothing more is taken: as many as were asked for are there, or on their way."""
        if self._so_far.full:
            return True
        return self._most is not None and self._so_far.stored + len(self._taken) >= self._most

    def offer(
        self, image: NDArray[np.uint8], name: str, group: str, stop: threading.Event | None = None, view: int = 0
    ) -> None:
        """Take a picture of a camera over by a copy. Where there is no room it is lost; with `stop` it waits for it."""
        with self._changed:
            if self.has_enough:
                return
            if name in self._taken or self._writer.holds(name):
                self._so_far.skipped += 1
                return
            while self._bytes and self._bytes + image.nbytes > MAX_WAITING_BYTES:
                if stop is None or stop.is_set():
                    self._so_far.lost += 1
                    return
                self._changed.wait(_IDLE_S)
            self._taken.add(name)
            self._bytes += image.nbytes
            self._waiting.append(_Waiting(image.copy(), name, group, view))
            self._so_far.waiting = len(self._taken)
            self._changed.notify_all()

    def run(self, stop: threading.Event) -> None:
        """Store what is offered until told to stop; then what still waits."""
        with ThreadPoolExecutor(_ENCODERS, "encoder", _give_way) as encoders:
            while not stop.is_set() or self._waiting:
                batch = self._next()
                if batch:
                    stored = self._store(list(encoders.map(self._encode, batch)))
                    self._settle(batch, stored)
                    for each in batch[:stored]:
                        self._show(each.view, each.image)

    def _next(self) -> list[_Waiting]:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting), _IDLE_S)
            return [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]

    def _encode(self, each: _Waiting) -> NewPicture:
        return NewPicture(each.name, encoded(each.image, self._encoding), "", each.group)

    def _store(self, pictures: list[NewPicture]) -> int:
        """Bring them to the disk; how many came there: all, or none when the set is full."""
        if self._so_far.full or not self._make_room(sum(len(picture.data) for picture in pictures)):
            return 0
        self._writer.add_all(pictures)
        return len(pictures)

    def _settle(self, batch: list[_Waiting], stored: int) -> None:
        with self._changed:
            self._taken.difference_update(each.name for each in batch)
            self._bytes -= sum(each.image.nbytes for each in batch)
            self._so_far.stored += stored
            self._so_far.waiting = len(self._taken)
            self._so_far.mb = self._writer.bytes / _MB
            self._changed.notify_all()

    def _make_room(self, size: int) -> bool:
        """Whether so many bytes may be written, perhaps after others went. Raises JournalError for a full disk."""
        lacking = max(self._over(size), self._short(size))
        if lacking > 0 and self._quota.when_full == "oldest":
            share = (self._quota.max_mb or 0) * _MB // _SHARE_DROPPED
            self._so_far.dropped += self._writer.drop_oldest(max(lacking, share))
        if self._short(size) > 0:
            raise JournalError(
                f"the disk of {self._folder} has less than {self._quota.free_min_mb} MB free "
                "(journal.free_min_mb): free disk space, or collect with --when-full oldest"
            )
        if self._over(size) > 0:
            self._so_far.full = f"the set holds the {self._quota.max_mb} MB that --max-mb allows"
            return False
        return True

    def _over(self, size: int) -> int:
        """By how much the set would exceed its quota."""
        return 0 if self._quota.max_mb is None else self._writer.bytes + size - self._quota.max_mb * _MB

    def _short(self, size: int) -> int:
        """How much the disk would lack; pictures never take what the records need."""
        if self._quota.free_min_mb == 0:
            return 0
        try:
            return self._quota.free_min_mb * _MB + size - disk_usage(self._folder).free
        except OSError as error:
            raise JournalError(f"cannot look at the disk of {self._folder}: {error.strerror}; check it") from error


def _give_way() -> None:
    """This thread lets cameras run first: a picture can wait for its encoding, not for being taken."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _BEHIND)
