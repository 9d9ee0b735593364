"""Cross-fitted scores as edge-train writes them: every picture scored by a model that did not see its group."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from calibration.evidence import Judged
from edge.durable import write_whole
from edge.errors import ConfigError
from edge.picture_set import GOOD

COLUMNS = ("file", "label", "group", "fold", "score")


@dataclass(frozen=True, slots=True)
class Score:
    """One picture's score (0..1); `label` is "ok" or a defect class, `fold` the one that it was held out of."""

    file: str
    label: str
    group: str
    score: float
    fold: str = field(default="0", compare=False)

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
        words = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot read {path}: {words}; give the scores.csv of edge-train finetune") from error
    if not scores:
        raise ConfigError(f"{path} holds no labelled picture; label some and run edge-train finetune")
    return scores


def write_scores(path: Path, judged: Iterable[Judged]) -> None:
    """Write scores of pictures that the model has not seen, as `read_scores` reads them; all are of one fold.

    Raises ConfigError for a score that is no number from 0 to 1, or a path that cannot be written.
    """
    rows = list(judged)
    if bad := [one.name for one in rows if not 0 <= one.score <= 1]:
        raise ConfigError(f"{bad[0]} gets no score from 0 to 1; correct the model, or its map")
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((one.name, one.label, one.group, 0, one.score) for one in rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, table.getvalue().encode())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; give another --out") from error


def _score(row: dict[str, str | None], where: str) -> Score:
    try:
        score = float(row["score"] or "")
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1 or None in row.values():
        raise ConfigError(
            f"{where}: score {row['score']!r} is no number from 0 to 1; run edge-train finetune again"
        )
    return Score(row["file"] or "", row["label"] or "", row["group"] or "", score, row["fold"] or "")
