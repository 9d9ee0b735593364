"""Watches a newly installed bundle on the running line, and goes back to the one of before where it fails."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from edge import install
from edge.clock import Clock
from edge.errors import BundleError, ConfigError, EngineError, JournalError
from edge.health import Health, Level
from edge.nearness import LimitNow
from edge.probation import MOST_UNCLEAN, Probation
from edge.records import GateEvent, Kind, Reason
from edge.station import Station

log = logging.getLogger(__name__)

# reasons of an UNKNOWN that another bundle would not have given; a camera, a person or the line gave the others
BY_ITS_FAULT = (Reason.ENGINE_ERROR, Reason.BAD_SCORE, Reason.LATE, Reason.NO_VERDICT)
NOT_JUDGED = (Reason.PURGE, Reason.OTHER_EPOCH, Reason.LINE_LOST, Reason.STATION_STOPPED, Reason.STOPPING)
_CANNOT = (BundleError, ConfigError, JournalError)


@dataclass(slots=True)
class _Watched:
    """A product whose bundle is watched in this run: how many parts it has judged, and how many of them in vain."""

    product: str
    known: Probation
    parts: int = 0
    unknown: int = 0


class NewBundles:
    """The bundles of one station that are watched in this run.

    The line's thread calls `ended` for each part, the main thread all else. `engine` is who reports a failing engine to
    `health`.
    """

    def __init__(self, station: Station, health: Health, engine: str, clock: Clock) -> None:
        self._station = station
        self._health = health
        self._engine = engine
        self._clock = clock
        self._options = station.new_bundle
        self._products = station.products()
        self._watched: dict[str, _Watched] = {}
        self.notes: list[str] = []

    def begin(self) -> None:
        """The bundles are loaded: watch those that are new."""
        for product in dict.fromkeys(self._products.values()):
            known = install.probation_of(self._station, product)
            if known is not None:
                self._watched[product] = _Watched(product, known)
            elif words := install.returned(self._station, product):
                self.notes.append(words)

    def ended(self, event: GateEvent, kind: Kind, reason: Reason, _score: float) -> None:
        """A part has ended."""
        watched = self._watched.get(self._products.get(event.recipe, ""))
        if watched is None or reason in NOT_JUDGED:
            return
        watched.parts += 1
        watched.unknown += kind is Kind.UNKNOWN and reason in BY_ITS_FAULT

    def words(self) -> str:
        """For `edge status`: what is watched, and what the station has done by itself."""
        watched = [
            f"{one.product} version {one.known.version} is new: "
            f"{min(one.parts, self._options.watch_parts)} of {self._options.watch_parts} parts watched"
            for one in list(self._watched.values())
        ]
        return "; ".join([*self.notes, *watched])

    def limits(self) -> list[LimitNow]:
        """How near each watched bundle is to being given up."""
        return [
            LimitNow(
                name="unknown_max",
                count=one.unknown,
                bound=self._options.unknown_max + 1,
                among=self._options.watch_parts,
                then="go_back",
                product=one.product,
            )
            for one in list(self._watched.values())
        ]

    def settle(self) -> Sequence[str]:
        """Keep what has proven itself; the words of what was kept, or that a return failed.

        Raises EngineError when the station has gone back; it takes up the bundle of before when it starts again.
        """
        told = []
        for one in list(self._watched.values()):
            why = self._failure(one)
            if why:
                told.append(self._return(one, why))
            elif one.parts >= self._options.watch_parts and (words := self._keep(one)):
                told.append(words)
        return told

    def _failure(self, one: _Watched) -> str:
        """Why this bundle must go; "" while it need not."""
        if one.unknown > self._options.unknown_max:
            return f"left {one.unknown} of its first {one.parts} parts without a verdict"
        cause = self._health.cause(self._engine)
        return f"failed: {cause.cause}" if cause is not None and cause.level is Level.FAULT else ""

    def _return(self, one: _Watched, why: str) -> str:
        """Raises EngineError; the words where there was nothing to go back to."""
        del self._watched[one.product]
        try:
            words = install.give_up(self._station, one.product, one.known, why, self._clock.wall_ns())
        except _CANNOT as error:
            return f"{one.product} version {one.known.version} {why}, and stays: {error}"
        raise EngineError(f"{words}; start the station again")

    def _keep(self, one: _Watched) -> str:
        """The words; "" where another process changes the bundles, which is not waited for."""
        try:
            if not install.keep(self._station, one.product, one.known.version):
                return ""
        except _CANNOT as error:
            del self._watched[one.product]
            return f"{one.product} version {one.known.version} is good, but will be watched again: {error}"
        del self._watched[one.product]
        return f"{one.product} version {one.known.version} is kept after {one.parts} parts"

    def run_ended(self) -> None:
        """The run ends in order: what is watched still may go on in the next one."""
        for one in self._watched.values():
            try:
                install.run_ended(self._station, one.product, one.known)
            except _CANNOT as error:
                log.warning("%s", error)


def take_up(station: Station, product: str, clock: Clock) -> None:
    """Before a bundle is loaded for a run: count the run where it is watched, or go back where runs with it have ended
    out of order. Raises BundleError, ConfigError."""
    known = install.probation_of(station, product)
    if known is None:
        return
    if known.unclean >= MOST_UNCLEAN:
        go_back(station, product, f"ended {known.unclean} runs out of order", clock)
        return
    try:
        install.run_begins(station, product, known)
    except JournalError as error:
        log.warning("%s", error)  # it is watched all the same


def go_back(station: Station, product: str, why: str, clock: Clock) -> bool:
    """Go back from the active version if it is watched; whether there is another one now to be loaded."""
    known = install.probation_of(station, product)
    if known is None:
        return False
    try:
        words = install.give_up(station, product, known, why, clock.wall_ns())
    except _CANNOT as error:
        log.error("%s version %d %s, and stays: %s", product, known.version, why, error)
        return False
    log.error("%s", words)
    return True
