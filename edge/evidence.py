"""What a model said of its bundle's acceptance set, and what that proves at any threshold: the device's own arithmetic.

The table in a bundle (evidence.csv) has a row for each picture of the acceptance set: label, group, and a column of
scores for each model ("ort int8"). A score of nan is one that was UNKNOWN on the host, which passes at no threshold.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isclose, isnan
from sys import intern

from edge.bounds import upper_bound
from edge.errors import BundleError
from edge.manifest import Evidence, ModelEntry
from edge.picture_set import GOOD

MAX_BYTES = 16_000_000
MAX_ROWS = 200_000
_SAME = 1e-9  # two ways to compute a bound agree to this


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """A whole acceptance set as one model judged it: label, group and score (0..1, nan for UNKNOWN) of each picture."""

    labels: Sequence[str]
    groups: Sequence[str]
    scores: Sequence[float]

    def at(self, threshold: float, like: Evidence) -> Evidence:
        """The evidence at another threshold, for the confidence and the target of `like`."""
        shown = list(zip(self.labels, self.groups, self.scores, strict=True))
        defects = [score for label, _, score in shown if label != GOOD]
        missed = sum(score < threshold for score in defects)  # as the judge asks it: nan does not pass
        goods = [score for label, _, score in shown if label == GOOD]
        overkill = sum(not score < threshold for score in goods)
        return Evidence(
            defects=len(defects),
            missed=missed,
            goods=len(goods),
            overkill=overkill,
            groups=len({group for label, group, _ in shown if label != GOOD}),
            confidence=like.confidence,
            escape_upper=upper_bound(missed, len(defects), like.confidence),
            overkill_upper=upper_bound(overkill, len(goods), like.confidence),
            target_escape=like.target_escape,
        )


def is_proven(evidence: Evidence) -> bool:
    """Whether the bound on the escape rate meets its target."""
    return evidence.escape_upper <= evidence.target_escape


def column(entry: ModelEntry) -> str:
    """The name of a model's scores in the table."""
    return f"{entry.target} {entry.precision}"


def table(models: Mapping[str, JudgedSet]) -> bytes:
    """evidence.csv of models by their column, which have all judged the same pictures in the same order.

    Raises BundleError for a set that is too large.
    """
    first = next(iter(models.values()))
    if len(first.labels) > MAX_ROWS:
        raise BundleError(
            f"the acceptance set has {len(first.labels)} pictures, a bundle states at most {MAX_ROWS}; use fewer"
        )
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("label", "group", *models))
    scores = [[repr(float(score)) for score in judged.scores] for judged in models.values()]
    writer.writerows(zip(first.labels, first.groups, *scores, strict=True))
    data = text.getvalue().encode()
    if len(data) > MAX_BYTES:
        raise BundleError(f"the table of evidence is over {MAX_BYTES} bytes; shorten the names of groups")
    return data


def judged_of(data: bytes, entry: ModelEntry, where: str) -> JudgedSet:
    """What the table says of a model; `where` stands in the message.

    Raises BundleError for a table that is damaged, too large, lacks the model, or does not give the evidence that the
    model's entry states at its threshold.
    """
    if len(data) > MAX_BYTES:
        raise BundleError(f"{where}: the table of evidence is over {MAX_BYTES} bytes; compile the bundle again")
    try:
        rows = list(_rows(data, column(entry)))
        judged = JudgedSet(*zip(*rows, strict=True)) if rows else JudgedSet((), (), ())
        computed = judged.at(entry.threshold, entry.evidence)
    except (ValueError, csv.Error) as error:
        raise BundleError(f"{where}: the table of evidence is wrong ({error}); compile the bundle again") from error
    if not _agree(computed, entry.evidence):
        raise BundleError(
            f"{where}: table and evidence of {column(entry)} disagree at {entry.threshold:g}; compile the bundle again"
        )
    return judged


def _rows(data: bytes, name: str) -> Iterator[tuple[str, str, float]]:
    reader = csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)
    header = next(reader, [])
    if header[:2] != ["label", "group"] or header.count(name) != 1:
        raise ValueError(f"no column {name!r}")
    place = header.index(name)
    for number, row in enumerate(reader):
        if number >= MAX_ROWS or len(row) != len(header) or not row[0]:
            raise ValueError(f"row {number + 1}")
        score = float(row[place])
        if not isnan(score) and not 0 <= score <= 1:
            raise ValueError(f"score {row[place]!r}")
        yield intern(row[0]), intern(row[1]), score


def _agree(computed: Evidence, stated: Evidence) -> bool:
    """Whether these are the same counts, and bounds that differ in no digit that matters."""
    counts = ("defects", "missed", "goods", "overkill", "groups")
    bounds = ("escape_upper", "overkill_upper")
    return all(getattr(computed, name) == getattr(stated, name) for name in counts) and all(
        isclose(getattr(computed, name), getattr(stated, name), rel_tol=0, abs_tol=_SAME) for name in bounds
    )
