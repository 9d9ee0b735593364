"""Cross-fitted scores as edge-train writes them: every picture scored by a model that did not see its group."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ConfigError
from edge.picture_set import GOOD

COLUMNS = ("file", "label", "group", "fold", "score")


@dataclass(frozen=True, slots=True)
class Score:
    """One picture's score (0..1); `label` is "ok" or a defect class."""

    file: str
    label: str
    group: str
    score: float

    @property
    def defect(self) -> bool:
        """Whether the picture shows a defect."""
        return self.label != GOOD


def read_scores(path: Path) -> list[Score]:
    """The labelled rows of scores.csv, in their order. Raises ConfigError with the line and the fix."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise ConfigError(
                    f"{path} line 1: the columns must be {','.join(COLUMNS)}; run edge-train finetune"
                )
            scores = [_score(row, f"{path} line {reader.line_num}") for row in reader if row.get("label")]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read {path}: {error}; run edge-train finetune again") from error
    if not scores:
        raise ConfigError(f"{path} holds no labelled picture; label some and run edge-train finetune")
    return scores


def _score(row: dict[str, str | None], where: str) -> Score:
    try:
        score = float(row["score"] or "")
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1 or None in row.values():
        raise ConfigError(
            f"{where}: score {row['score']!r} is no number from 0 to 1; run edge-train finetune again"
        )
    return Score(row["file"] or "", row["label"] or "", row["group"] or "", score)
