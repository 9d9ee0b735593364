"""Whether engines agree on what they run: the scores of one precision on two of them, and why they differ by more."""

from __future__ import annotations

import math
from collections.abc import Sequence

from calibration.evidence import Judged
from compile.layers import Layer
from compile.verify import Trial

NAMED = 5  # pictures and layers that are named


def agreement(trials: Sequence[Trial], layered: Sequence[Sequence[Layer]], tolerance: float) -> list[str]:
    """For each trial beside the first of its precision: by how much scores differ, and what explains more than
    `tolerance`. `layered` are the layers of each trial's engine."""
    notes = []
    for number, one in enumerate(trials):
        place = next(place for place, each in enumerate(trials) if each.precision == one.precision)
        if place != number:
            notes.append(_words(trials[place], one, layered[place], layered[number], tolerance))
    return notes


def _words(first: Trial, one: Trial, layers: Sequence[Layer], others: Sequence[Layer], tolerance: float) -> str:
    pairs = zip((*first.judged, *first.drawn), (*one.judged, *one.drawn), strict=True)
    apart = sorted(((_gap(a, b), a, b) for a, b in pairs), key=lambda row: -row[0])
    beyond = [row for row in apart if row[0] > tolerance]
    between = f"between {first.target} and {one.target}"
    known = f"{one.precision.upper()} scores differ by at most {apart[0][0]:.4f} {between}"
    if not beyond:
        return f"{known}, within the tolerance of {tolerance:g}"
    shown = ", ".join(f"{a.name} {a.score:.4f} and {b.score:.4f}" for _, a, b in beyond[:NAMED])
    more = f"{len(beyond)} by more than the tolerance of {tolerance:g} ({shown})"
    return f"{known}; {more}: {_why(first, one, layers, others)}"


def _gap(one: Judged, other: Judged) -> float:
    """By how much two scores differ; infinite where one is no number."""
    gap = abs(one.score - other.score)
    return math.inf if math.isnan(gap) else gap


def _why(first: Trial, one: Trial, layers: Sequence[Layer], others: Sequence[Layer]) -> str:
    """What differs between the two, as far as their engines tell."""
    if first.file != one.file:
        return f"{one.target} has a model of its own, {one.file}, whose ranges are symmetric around zero"
    of_one = {layer.name: layer.int8 for layer in others}
    differing = [layer.name for layer in layers if of_one.get(layer.name, layer.int8) != layer.int8]
    if differing:
        named = ", ".join(differing[:NAMED]) + (" and more" if len(differing) > NAMED else "")
        return f"only one of them runs {named} in INT8; each was judged by itself"
    return "both run the same layers in INT8 and round between them in another order; each was judged by itself"
