"""The log of labelling: when each label was given and how many seconds the person took for it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from edge.clock import SECOND, Clock
from edge.durable import write_whole
from edge.errors import ConfigError, JournalError

NAME = "labelling.csv"
COLUMNS = ("at", "act", "file", "label", "seconds")
LONGEST_PAUSE_S = 60.0  # who thinks longer about a picture has gone for coffee


@dataclass(frozen=True, slots=True)
class Entry:
    """One act: `at` is ISO 8601 in UTC, `act` one of label, mask, wipe, undo; `label` is the picture's after it."""

    at: str
    act: str
    file: str
    label: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Effort:
    """What labelling a set has cost: acts that gave a label, pictures that still have one by them, and minutes."""

    labels: int
    pictures: int
    minutes: float


class LabelLog:
    """Appends to labelling.csv beside the labels, and times the person: a pause counts LONGEST_PAUSE_S at most."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._path = folder / NAME
        self._clock = clock
        self._since_ns: int | None = None
        self._labels = 0
        self._seconds = 0.0

    def looking(self) -> None:
        """The person has a picture before them: time runs from the first call on."""
        if self._since_ns is None:
            self._since_ns = self._clock.now_ns()

    def add(self, act: str, file: str, label: str) -> None:
        """Write down an act that has been done. Raises JournalError."""
        now_ns = self._clock.now_ns()
        seconds = 0.0 if self._since_ns is None else min(LONGEST_PAUSE_S, (now_ns - self._since_ns) / SECOND)
        self._since_ns = now_ns
        self._seconds += seconds
        self._labels += act == "label" and bool(label)
        moment = datetime.fromtimestamp(self._clock.wall_ns() / SECOND, timezone.utc)
        entry = (f"{moment:%Y-%m-%dT%H:%M:%SZ}", act, file, label, f"{seconds:.2f}")
        try:
            self._append(entry)
        except OSError as error:
            raise JournalError(f"cannot write {self._path}: {error.strerror}; free disk space") from error

    def so_far(self) -> tuple[int, float]:
        """Labels given and minutes spent since the start."""
        return self._labels, self._seconds / 60

    def _append(self, entry: tuple[str, ...]) -> None:
        if not self._path.exists():
            write_whole(self._path, _line(COLUMNS))
        with self._path.open("ab+") as file:
            file.seek(-1, os.SEEK_END)
            torn = file.read(1) != b"\n"  # by a power cut
            file.write(b"\n" * torn + _line(entry))
            file.flush()
            os.fsync(file.fileno())


def _line(values: tuple[str, ...]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def read_log(folder: Path) -> list[Entry]:
    """What labelling.csv of a set says; empty without one. A line that a power cut tore is left out.

    Raises ConfigError for a file that is something else.
    """
    path = folder / NAME
    if not path.is_file():
        return []
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8", errors="replace").splitlines()))
    except (OSError, csv.Error) as error:
        raise ConfigError(f"cannot read {path}: {error}; move it away") from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise ConfigError(f"{path} does not start with {','.join(COLUMNS)}; move it away")
    return list(_entries(rows[1:]))


def _entries(rows: list[list[str]]) -> Iterator[Entry]:
    for row in rows:
        try:
            at, act, file, label, seconds = row
            yield Entry(at, act, file, label, float(seconds))
        except ValueError:
            continue


def effort(entries: list[Entry]) -> Effort:
    """The sums over a log."""
    given = [entry.file for entry in entries if entry.act == "label" and entry.label]
    last = {entry.file: entry.label for entry in entries}
    seconds = sum(entry.seconds for entry in entries)
    return Effort(len(given), sum(bool(last[file]) for file in set(given)), seconds / 60)
