"""What people take out: the parts of a shift, a day or a lot as CSV, and the pictures of rejected ones."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from edge.clock import SECOND
from edge.errors import ConfigError
from edge.journal import files
from edge.journal.export import PARTS, PICTURE, PICTURES, part_row
from edge.journal.lots import lots_in
from edge.journal.reading import parts_of
from edge.journal.rows import DECIDED, OUTCOMES
from edge.journal.tables import csv_row
from edge.panel.language import say
from edge.records import Kind

MOST_PARTS = 1_000_000  # what a spreadsheet opens
MOST_PICTURES, MOST_MB = 5_000, 500
_AT_ONCE = 1_000  # parts that are read in one go; the journal is let go of in between, whoever takes them
_BOM = "\ufeff".encode()  # else spreadsheets take UTF-8 for something older
_ENDED = f"""
SELECT MIN(part_id) AS first, MAX(part_id) AS last, COUNT(*) AS count FROM {OUTCOMES}
WHERE ended_wall_ns >= {{since}} AND ended_wall_ns < {{until}}
"""  # noqa: S608
_COUNT = f"SELECT COUNT(*) AS count FROM {OUTCOMES} WHERE part_id >= {{first}} AND part_id < {{end}}"  # noqa: S608
_SPAN = "SELECT MIN(part_id) AS first, MAX(part_id) AS last FROM"
_IDS = f"{_SPAN} {DECIDED} UNION ALL {_SPAN} {OUTCOMES}"
_NEVER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Selection:
    """Parts with ids in one of `ranges` (first, end) that ended from `since_ns` until before `until_ns` (wall ns, 0: at
    any time, also not yet); `days` are the files that hold them, `name` is for people."""

    name: str
    days: tuple[Path, ...]
    ranges: tuple[tuple[int, int], ...]
    since_ns: int = 0
    until_ns: int = 0

    def has(self, part_id: int) -> bool:
        return any(first <= part_id < end for first, end in self.ranges)


def span_of(day: str, shift: str, shifts: Sequence[str]) -> tuple[datetime, datetime]:
    """Begin and end of a day (2026-11-24), or of its shift that begins at a time of `shifts` (22:00, which ends on the
    next day), in this machine's time zone. Raises ConfigError."""
    try:
        midnight = datetime.fromisoformat(f"{day}T00:00")
    except ValueError as error:
        raise ConfigError(say("no.no_day")) from error
    if not 2000 <= midnight.year < 3000:
        raise ConfigError(say("no.nothing_then"))
    next_day = midnight + timedelta(days=1)
    if not shift:
        return midnight.astimezone(), next_day.astimezone()
    if shift not in shifts:
        raise ConfigError(say("no.no_shift"))
    later = [each for each in shifts if each > shift]
    ends = f"{day}T{later[0]}" if later else f"{next_day:%Y-%m-%d}T{shifts[0]}"
    return datetime.fromisoformat(f"{day}T{shift}").astimezone(), datetime.fromisoformat(ends).astimezone()


class Journals:
    """Selects from one station's journal, which it only reads; any thread may ask."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def in_time(self, name: str, since: datetime, until: datetime, when: str = "") -> Selection:
        """The parts that ended in this time; `when` names it to whoever asks.

        Raises ConfigError where there are none or too many, JournalError.
        """
        since_ns, until_ns = round(since.timestamp()) * SECOND, round(until.timestamp()) * SECOND
        around = timedelta(days=1)
        first_day, last_day = (
            files.utc_day(round(at.timestamp()) * SECOND) for at in (since - around, until + around)
        )
        near = [path for path in files.existing_days(self._folder) if first_day <= path.stem <= last_day]
        asked = _ENDED.format(since=since_ns, until=until_ns)
        found = [row for path in near for row in files.rows(path, asked) if row["count"]]
        count = sum(row["count"] for row in found)
        _refuse(count, say("no.none_in", when=when or name))
        ids = min(row["first"] for row in found), max(row["last"] for row in found) + 1
        return Selection(name, self._holding([ids]), (ids,), since_ns, until_ns)

    def of_lot(self, lot: str) -> Selection:
        """The parts of this lot. Raises ConfigError where there are none or too many, JournalError."""
        days = files.existing_days(self._folder)
        ranges = tuple((first, end or _NEVER) for first, end in lots_in(days).ranges_of(lot)) if lot else ()
        holding = self._holding(ranges)
        asked = [_COUNT.format(first=first, end=end) for first, end in ranges]
        count = sum(row["count"] for path in holding for each in asked for row in files.rows(path, each))
        _refuse(count, say("no.none_of_lot", lot=repr(lot)))
        return Selection(f"lot {lot!r}", holding, ranges)

    def _holding(self, ranges: Sequence[tuple[int, int]]) -> tuple[Path, ...]:
        """The files with parts of these ids."""

        def holds(path: Path) -> bool:
            spans = [(row["first"], row["last"]) for row in files.rows(path, _IDS) if row["first"] is not None]
            return any(low < end and high >= first for first, end in ranges for low, high in spans)

        return tuple(path for path in files.existing_days(self._folder) if holds(path))

    # --- what is sent ---

    def parts(self, selected: Selection) -> Iterator[bytes]:
        """A CSV of the parts, piece by piece. Raises JournalError."""
        lots = lots_in(files.existing_days(self._folder))
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(PARTS)
        yield _BOM
        for first, end in selected.ranges:
            after = first - 1
            while after < end:
                with closing(parts_of(selected.days, after)) as found:
                    batch = list(islice(found, _AT_ONCE))
                for day, part in batch:
                    ended_ns = part.outcome.ended_wall_ns if part.outcome else -1
                    is_then = not selected.until_ns or selected.since_ns <= ended_ns < selected.until_ns
                    if is_then and part.part_id < end:
                        writer.writerow(csv_row(part_row(day, part, lots)))
                yield text.getvalue().encode(errors="replace")
                text.seek(0)
                text.truncate()
                after = batch[-1][1].part_id if len(batch) == _AT_ONCE else end

    def pictures(self, selected: Selection) -> Iterator[bytes]:
        """A zip of the kept pictures of parts that were rejected or unknown, the newest first, piece by piece."""
        wanted = sorted(self._kept(selected), reverse=True)
        sink = _Sink()
        taken, size = 0, 0
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
            for name, path in wanted[:MOST_PICTURES]:
                with suppress(OSError):  # it has given way to a newer one
                    size += path.stat().st_size
                    if size > MOST_MB * 1_000_000:
                        break
                    archive.writestr(zipfile.ZipInfo(name, _zip_time(path)), path.read_bytes())
                    taken += 1
                yield sink.taken()
            archive.writestr("about.txt", _about(selected.name, taken, len(wanted)))
        yield sink.taken()

    def _kept(self, selected: Selection) -> Iterator[tuple[str, Path]]:
        for path in (self._folder / PICTURES).glob("*/*.jpg"):
            found = PICTURE.fullmatch(path.name)
            if found is not None and found[3] != Kind.PASS.name.lower() and selected.has(int(found[1], 16)):
                yield path.name, path


def file_name(station: str, selected: Selection, suffix: str) -> str:
    """For a browser's folder of downloads: letters, digits, dashes, underlines and dots only."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", f"{station} {selected.name}").strip("-")
    return f"{plain[:100]}{suffix}"


def _refuse(count: int, none: str) -> None:
    if not count:
        raise ConfigError(none)
    if count > MOST_PARTS:
        raise ConfigError(say("no.too_many", count=count, most=MOST_PARTS))


def _about(name: str, taken: int, there: int) -> str:
    more = f"; {there - taken} older ones are left out: choose a shorter time" if there > taken else ""
    files_are = "Files are named PART_CAMERA_VERDICT.jpg, with the part's id in hexadecimal."
    return f"{taken} pictures of parts that were rejected or unknown, of {name}{more}. {files_are}\n"


def _zip_time(path: Path) -> tuple[int, int, int, int, int, int]:
    moment = datetime.fromtimestamp(path.stat().st_mtime)
    return max(moment.year, 1980), moment.month, moment.day, moment.hour, moment.minute, moment.second


class _Sink:
    """Where an archive is written: it only grows, and is taken away piece by piece."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def taken(self) -> bytes:
        data, self._data = bytes(self._data), bytearray()
        return data
