"""What the pictures of a recording belong together by: the lot that a person named, the shift, the hour or the part."""

from __future__ import annotations

import re
import threading
from datetime import datetime, timedelta
from pathlib import Path

from edge.collecting import Grouping
from edge.durable import write_whole
from edge.errors import ConfigError, JournalError

_KEPT = ".lot"  # beside labels.csv: the lot that was named last


def parse_shifts(text: str) -> tuple[int, ...]:
    """The minutes of the day at which shifts begin, of e.g. "06:00,14:00,22:00". Raises ConfigError."""
    found = []
    for each in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(\d{1,2}):(\d{2})", each)
        if match is None or int(match[1]) > 23 or int(match[2]) > 59:
            raise ConfigError(
                f"--shifts {each!r}: give the times at which shifts begin, for example 06:00,14:00,22:00"
            )
        found.append(60 * int(match[1]) + int(match[2]))
    return tuple(sorted(found))


def group_of(lot: str, shifts: tuple[int, ...], moment: datetime) -> str:
    """The group of a picture taken at `moment`: its lot, and the day and time at which its shift began.

    Without a lot and shifts it is the hour. Times are those of `moment`'s time zone.
    """
    if not shifts:
        return lot or f"{moment:%Y-%m-%dT%H}"
    minute = 60 * moment.hour + moment.minute
    begun = [shift for shift in shifts if shift <= minute]
    day = moment if begun else moment - timedelta(days=1)  # the last shift runs over midnight
    hours, minutes = divmod(begun[-1] if begun else shifts[-1], 60)
    shift = f"{day:%Y-%m-%d}T{hours:02}:{minutes:02}"
    return f"{lot} {shift}" if lot else shift


class Lots:
    """The lot that is recorded now; any thread may ask, a person may change it.

    It is kept beside the pictures, so that a recording that is started again goes on with it. `named` replaces it,
    where it is given. Raises JournalError when the folder cannot be written.
    """

    def __init__(self, folder: Path, named: str, shifts: tuple[int, ...], grouping: Grouping) -> None:
        self._path = folder / _KEPT
        self._shifts = shifts
        self._grouping = grouping
        self._lock = threading.Lock()
        self._lot = self._path.read_text(encoding="utf-8").strip() if self._path.exists() else ""
        if named and named != self._lot:
            self.change(named)

    @property
    def now(self) -> str:
        """The lot; "" without one."""
        return self._lot

    def change(self, lot: str) -> None:
        """Pictures from now on belong to this lot ("": to none); on the disk when it returns. Raises JournalError."""
        with self._lock:
            try:
                write_whole(self._path, f"{lot}\n".encode())
            except OSError as error:
                raise JournalError(f"cannot write {self._path}: {error.strerror}; free disk space") from error
            self._lot = lot

    def group(self, moment: datetime, part: str) -> str:
        """The group of a picture of this part, which was taken at `moment`."""
        group = group_of(self._lot, self._shifts, moment)
        return f"{group} {part}" if self._grouping == "part" else group
