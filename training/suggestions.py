"""The file between `edge-train suggest` and `edge-train label`: which pictures to label next, in order, and why."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ConfigError
from edge.picture_set import Picture
from training.results import write

COLUMNS = ("file", "group", "reason", "score")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A picture to label: `reason` is one of typical, highest, near, random; `score` is None without scores."""

    file: str
    group: str
    reason: str
    score: float | None = None


def write_suggestions(path: Path, suggestions: Iterable[Suggestion]) -> None:
    """Write the file whole. Raises ConfigError."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for one in suggestions:
        lines.writerow((one.file, one.group, one.reason, "" if one.score is None else f"{one.score:.9g}"))
    write(path, text.getvalue().encode())


def read_suggestions(path: Path, known: Iterable[str]) -> list[Suggestion]:
    """The suggestions in their order. Raises ConfigError where one is not among the `known` files of the set."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read {path}: {error}; run edge-train suggest again") from error
    if not rows or "file" not in rows[0]:
        raise ConfigError(f"{path} lists no pictures under a column `file`; run edge-train suggest again")
    there = set(known)
    strange = [row["file"] for row in rows if row["file"] not in there]
    if strange:
        raise ConfigError(f"{path} names {strange[0]}, which is not in the set; run edge-train suggest on this set")
    return [
        Suggestion(row["file"], row.get("group") or "", row.get("reason") or "", _number(row.get("score")))
        for row in rows
    ]


def read_scores(path: Path, wanted: Iterable[Picture]) -> dict[str, float]:
    """The scores (0..1) by file that a table gives for `wanted` pictures. Raises ConfigError where it gives none."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read {path}: {error}; give a table with the columns file and score") from error
    if not rows or not {"file", "score"} <= set(rows[0]):
        raise ConfigError(f"{path} has no columns file and score; give a table that has, or --student")
    numbers = {row["file"]: _number(row["score"]) for row in rows}
    names = [picture.name for picture in wanted]
    found = {name: number for name in names if (number := numbers.get(name)) is not None}
    if not found or not all(0 <= number <= 1 for number in found.values()):
        raise ConfigError(
            f"{path} scores none of the {len(names)} unlabelled pictures with numbers from 0 to 1 (the one of finetune "
            "holds labelled ones only); give --student student.onnx instead"
        )
    return found


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
