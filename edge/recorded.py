"""Recorded parts: their pictures, and what a network said of them then; of a journal, an export or a picture set."""

from __future__ import annotations

import csv
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import nan
from pathlib import Path

from edge.errors import ConfigError
from edge.journal import files
from edge.journal.export import PICTURE, PICTURES
from edge.journal.reading import parts_of
from edge.picture_set import GOOD, Picture, read_set
from edge.records import Kind, Reason

PARTS = "parts.csv"
_OF_NETWORK = (Reason.NONE, Reason.DEFECT, Reason.BAD_SCORE)  # the other reasons are a part's or a station's


@dataclass(frozen=True, slots=True)
class Said:
    """What a network (`model`: its file's SHA-256) said of a part: `score` is the highest of its views, NaN without."""

    kind: Kind
    score: float
    threshold: float
    model: str

    @property
    def judge(self) -> tuple[str, float]:
        """By what the verdict was given; the journal does not tell on which engine."""
        return self.model, self.threshold


@dataclass(frozen=True, slots=True)
class Recorded:
    """A part, or a picture that is of no known part: its pictures, one a view, and its label (see `Picture`).

    `recipe` and what was `said` are None where no journal tells it, or the verdict was none of a network's (LATE).
    """

    name: str
    views: tuple[Path, ...]
    label: str
    recipe: int | None = None
    said: Said | None = None


def read(folder: Path) -> list[Recorded]:
    """What a journal's folder holds, or what `edge journal export` wrote, or a picture set; decodes no picture.

    The folder of pictures in one of the first two will do. Raises ConfigError, JournalError.
    """
    home = folder.parent if folder.name == PICTURES else folder
    if files.day_files(home):
        parts = _by_part(_kept(home))
        told = dict(_in_journal(home, parts))
    elif (home / PARTS).is_file():
        parts = _by_part(read_set(home / PICTURES))
        told = dict(_in_table(home / PARTS, parts))
    else:
        return list(_by_part(read_set(folder)).values())
    return [_with(part, told.get(key)) for key, part in parts.items()]


# --- pictures ---------------------------------------------------------------------------------------------------


def _kept(journal: Path) -> list[Picture]:
    """The pictures of a journal: its days are no labels."""
    paths = sorted((journal / PICTURES).glob("*/*.jpg"))
    if not paths:
        raise ConfigError(f"{journal} keeps no pictures: set journal.pictures_max_mb, or give a picture set")
    return [Picture(path, "", "", None, f"{path.parent.name}/{path.name}") for path in paths]


def _by_part(pictures: Sequence[Picture]) -> dict[str, Recorded]:
    """Parts by their id in hex, as the journal names pictures; pictures that are of none by their name."""

    def key(picture: Picture) -> str:
        found = PICTURE.fullmatch(picture.path.name)
        return found[1] if found else picture.name

    parts = groupby(sorted(pictures, key=lambda picture: (key(picture), picture.name)), key)
    return {name: _part(list(views)) for name, views in parts}


def _part(views: Sequence[Picture]) -> Recorded:
    labels = {view.label for view in views} - {""}
    label = min(labels - {GOOD}, default=GOOD if labels else "")  # a part is as bad as its worst view
    return Recorded(", ".join(view.name for view in views), tuple(view.path for view in views), label)


# --- what was said ----------------------------------------------------------------------------------------------

_Told = tuple[int, Said | None]  # recipe and verdict


def _with(part: Recorded, told: _Told | None) -> Recorded:
    return part if told is None else replace(part, recipe=told[0], said=told[1])


def _in_journal(journal: Path, wanted: Container[str]) -> Iterator[tuple[str, _Told]]:
    for _, row in parts_of(files.existing_days(journal)):
        name = f"{row.part_id:016x}"
        if name in wanted and row.decided is not None:
            verdict = row.decided.verdict
            said = Said(verdict.kind, verdict.score, verdict.threshold, verdict.model)
            yield name, (row.decided.part.recipe, said if verdict.reason in _OF_NETWORK else None)


def _in_table(path: Path, wanted: Container[str]) -> Iterator[tuple[str, _Told]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, strict=True):
                name = f"{int(row['part_id']):016x}"
                if name in wanted and row["verdict"]:
                    yield name, (int(row["recipe"]), _said(row))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ConfigError(f"cannot read {path} ({error}): take it out again with `edge journal export`") from error


def _said(row: dict[str, str]) -> Said | None:
    kind, reason = Kind[row["verdict"]], Reason[row["verdict_reason"]]
    score, threshold = (float(row[name] or nan) for name in ("score", "threshold"))
    return Said(kind, score, threshold, row["model"]) if reason in _OF_NETWORK else None
