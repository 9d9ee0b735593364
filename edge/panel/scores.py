"""The threshold of each product with its evidence, and how many recorded parts each other threshold would turn."""

from __future__ import annotations

import threading
from collections import Counter
from math import exp, log
from pathlib import Path
from typing import Any

from edge.errors import BundleError, ConfigError
from edge.install import open_active
from edge.journal import files
from edge.moved import entry_at
from edge.panel.language import say
from edge.panel.shelf import evidence_of, told_of
from edge.station import Station

# Networks are nearly sure of most pictures: bins are equally wide in log(score / (1 - score)).
BINS, _STEP = 200, 0.1
EDGES = tuple(1 / (1 + exp(-_STEP * (number - BINS / 2))) for number in range(BINS + 1))
_FINE = 100_000
DAYS = 7  # newest files that are counted
_COUNTS = """
SELECT CAST(score * {fine} AS INTEGER) AS fine, score >= threshold AS rejected, COUNT(*) AS count
FROM decided WHERE model = '{model}' AND score IS NOT NULL GROUP BY 1, 2
"""


class Thresholds:
    """Any thread may ask; one bundle is verified at a time."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._engine = station.engine.kind, station.engine.precision
        self._lock = threading.Lock()
        self._sealed: dict[tuple[Path, str], Counter[tuple[int, bool]]] = {}

    def told(self) -> list[dict[str, Any]]:
        """For each product: the model in use, its evidence, and its recorded scores in bins between EDGES.

        Raises JournalError where the journal cannot be read.
        """
        with self._lock:
            return [self._product(recipe, name) for recipe, name in sorted(self._station.products().items())]

    def at(self, product: str, value: float) -> dict[str, Any]:
        """What the threshold `value` would prove of the model in use.

        Raises ConfigError for another station's product and where the bundle does not say.
        """
        if product not in self._station.products().values():
            raise ConfigError(say("no.no_product", product=product))
        try:
            with self._lock:
                bundle = open_active(self._station, product)
                entry = entry_at(bundle, bundle.manifest.entry(*self._engine), value)
                told = told_of(bundle, self._station)
        except BundleError as error:
            raise ConfigError(str(error)) from error
        return {**told, "threshold": value, "proven": entry.proven, "evidence": evidence_of(entry), "moved": None}

    def refuse_unproven(self, product: str, value: float) -> None:
        """Raises ConfigError for a threshold whose evidence misses the bundle's target."""
        if not self.at(product, value)["proven"]:
            raise ConfigError(say("no.unproven", threshold=f"{value:.6g}"))

    def _product(self, recipe: int, product: str) -> dict[str, Any]:
        try:
            bundle = open_active(self._station, product)
            entry, told = bundle.manifest.entry(*self._engine), told_of(bundle, self._station)
        except (BundleError, ConfigError) as error:
            return {"recipe": recipe, "product": product, "words": str(error)}
        below, above = self._recorded(entry.sha256)
        return {"recipe": recipe, "words": "", "below": below, "above": above, **told}

    def _recorded(self, model: str) -> tuple[list[int], list[int]]:
        """Parts by their score: those under their threshold and those at it or over it."""
        found: Counter[tuple[int, bool]] = Counter()
        days = files.day_files(self._station.journal.dir)[-DAYS:]
        for path in days:
            found += self._day(path, model, is_over=path != days[-1])
        return tuple([found[number, side] for number in range(BINS)] for side in (False, True))  # type: ignore[return-value]

    def _day(self, path: Path, model: str, is_over: bool) -> Counter[tuple[int, bool]]:
        """A day that is over is counted once."""
        if (path, model) in self._sealed:
            return self._sealed[path, model]
        found: Counter[tuple[int, bool]] = Counter()
        for row in files.rows(path, _COUNTS.format(model=model, fine=_FINE)):
            found[_bin(row["fine"]), bool(row["rejected"])] += row["count"]
        if is_over:
            self._sealed = {key: kept for key, kept in self._sealed.items() if key[0].exists()}
            self._sealed[path, model] = found
        return found


def _bin(fine: int) -> int:
    share = (min(max(fine, 0), _FINE - 1) + 0.5) / _FINE
    return min(BINS - 1, max(0, int(log(share / (1 - share)) / _STEP + BINS / 2)))
