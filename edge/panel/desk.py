"""What the pages of the panel show of a station, whatever carries it: eye, journal, pictures, labels, thresholds."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from edge.clock import MS, SECOND, Clock
from edge.control import Control, Figures
from edge.errors import ConfigError, JournalError, KenpinError
from edge.journal import files
from edge.journal.reading import parts_of
from edge.journal.rows import DECIDED, OUTCOMES
from edge.panel import facts, words
from edge.panel.labels import Labels
from edge.panel.language import say
from edge.panel.latest import Latest
from edge.panel.ledger import Ledger, Tally
from edge.panel.lots import LotBook
from edge.panel.options import Panel
from edge.panel.pictures import Pictures
from edge.panel.scores import Thresholds
from edge.panel.shelf import Shelf
from edge.panel.watch import Watch
from edge.station import Station

GALLERY = 24
_SPANS_S = {"hour": 3_600, "day": 86_400}
_DRIFT_NS = 2 * SECOND


class Desk:
    """One station for all who look; any thread may ask."""

    def __init__(self, station: Station, panel: Panel, clock: Clock) -> None:
        self.station = station
        self._clock = clock
        self.shifts = panel.shifts
        control = Control(station)
        self._watch = Watch(control.figures, clock)
        self._drift = Watch(control.drift, clock, _DRIFT_NS)
        self.latest = Latest(station, control, clock)
        self._shelf = Shelf(station)
        self._ledger = Ledger(station.journal.dir, clock)
        self._lots = LotBook(station.journal.dir)
        self.pictures = Pictures(station)
        self.labels = (
            Labels(panel.labels_dir, panel.classes, self.pictures, clock) if panel.labels_dir is not None else None
        )
        self.thresholds = Thresholds(station)

    # --- now ---

    def live(self, over: str, only_rejects: bool, revision: str, camera: str = "") -> dict[str, Any]:
        """State and counts now; the gallery only where it is not that of `revision` any more, and the newest picture of
        a camera that somebody looks at. Raises ConfigError for one that there is not."""
        seen = self._watch.now()
        self._ledger.look()
        now = f"{self._ledger.revision}{'r' if only_rejects else 'a'}"
        told: dict[str, Any] = {
            "now_ms": self._clock.wall_ns() // MS,
            "journal": self._ledger.words,
            "counts": self._counts(over, seen.told),
            "revision": now,
        }
        if seen.told is None:
            told["state"] = words.down_words(self.station, seen.words)
        else:
            status = seen.told.status
            told["state"] = words.state_words(status)
            told["status"] = status.model_dump(exclude={"answer", "verdicts", "outcomes", "pid"})
            told["warnings"] = _warnings(seen.told.records, seen.told.deadlines, status.likeness)
            told["warnings"] += [say("warning.unproven", which=each) for each in status.unproven]
            told["limits"] = [each.model_dump() for each in seen.told.limits]
        told["age_ms"] = (self._clock.now_ns() - seen.at_ns) // MS
        if camera:
            told["latest"] = self.latest.now(camera, seen.told is not None)
        if revision != now:
            turned = self._ledger.turned(GALLERY, only_rejects)
            told["turned"] = [facts.turned_part(part) for part in turned]
        return told

    def _counts(self, over: str, figures: Figures | None) -> dict[str, Any] | None:
        """Those of a time are in the journal; those since the start only the eye knows."""
        now_ns = self._clock.wall_ns()
        if over in _SPANS_S:
            return facts.tallied(self._ledger.tally(now_ns - _SPANS_S[over] * SECOND))
        began = facts.shift_began(self.shifts, facts.wall(now_ns)) if over == "shift" else None
        if began is not None:
            return facts.tallied(self._ledger.tally(round(began.timestamp()) * SECOND))
        if over == "lot":
            with suppress(JournalError):  # the ledger's words say it
                return facts.tallied(next((lot.tally for lot in self._lots.told()), Tally()))
        return None if figures is None else facts.since_start(figures)

    def lots(self) -> list[dict[str, Any]]:
        """The lots that were named last with their counts, the newest first. Raises JournalError."""
        return [facts.lot(each) for each in self._lots.told()]

    def timing(self) -> dict[str, Any]:
        """Stages and gate edges; empty where the eye does not answer."""
        seen = self._watch.now()
        return {} if seen.told is None else facts.timing(seen.told)

    def drift(self) -> dict[str, Any]:
        """How far live pictures lie from what was learned; `words` where the eye does not say."""
        seen = self._drift.now()
        return {"words": seen.words, **({} if seen.told is None else seen.told.model_dump(exclude={"answer"}))}

    def bundles(self) -> dict[str, Any]:
        """The bundles of each product, which of them runs, and what the eye says of a change. Raises ConfigError."""
        figures = self._watch.now().told
        status = None if figures is None else figures.status
        return {
            "products": self._shelf.told({} if status is None else status.versions),
            "eye": "" if status is None else status.level,
            "words": "" if status is None else status.bundle,
            "can_start_again": status is not None and status.can_start_again,
        }

    # --- one part ---

    def part(self, part_id: int) -> dict[str, Any]:
        """What is on record of a part, its cameras with kept pictures, and their labels. Raises KenpinError."""
        lines = self._lines(part_id)
        known: dict[str, str] = {}
        if self.labels is not None:
            with suppress(KenpinError):  # a set that is wrong is said when somebody labels
                known = self.labels.of_part(part_id)
        cameras = {camera: self.pictures.has_heat_map(part_id, camera) for camera in self.pictures.of_part(part_id)}
        return {"id": f"{part_id:x}", "lines": lines, "cameras": cameras, "labels": known}

    def _lines(self, part_id: int) -> list[tuple[str, str]]:
        days = files.existing_days(self.station.journal.dir)
        holding = [path for path in days if _holds(path, part_id)]
        for day, part in parts_of(holding, part_id - 1):
            if part.part_id == part_id:
                return facts.part_lines(part, day)
            break
        raise ConfigError(say("no.not_on_record"))


def _holds(path: Path, part_id: int) -> bool:
    asked = f"SELECT 1 FROM {DECIDED} WHERE part_id = {part_id} UNION SELECT 1 FROM {OUTCOMES} WHERE part_id = {part_id}"  # noqa: S608, E501
    return any(True for _ in files.rows(path, asked))


def _warnings(records: dict[str, int], deadlines: dict[str, int], likeness: str) -> list[str]:
    """What a person should look after although the station inspects."""
    found = [say("warning.likeness", words=likeness)] if likeness else []
    if records.get("lost"):
        found.append(say("warning.lost", count=records["lost"]))
    if deadlines.get("missed"):
        found.append(say("warning.missed", count=deadlines["missed"]))
    return found
