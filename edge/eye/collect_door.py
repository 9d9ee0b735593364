"""What a person may ask of a recording on the station's control socket: how it is, a picture, and another lot."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge.clock import SECOND, Clock
from edge.control import (
    Answer,
    AskFigures,
    AskPicture,
    AskStatus,
    Control,
    Done,
    Figures,
    Histogram,
    Refused,
    Request,
    SetLot,
    Status,
    TellOutbox,
)
from edge.errors import ControlError, DeviceError, JournalError
from edge.eye.crew import Crew
from edge.eye.lots import Lots
from edge.eye.reception import SOURCE, Peer, Reception
from edge.eye.shown import Shown
from edge.health import Level, Progress
from edge.station import Station

if TYPE_CHECKING:
    from edge.eye.collect import Collected

log = logging.getLogger(__name__)

_ENDS_NS = SECOND


@contextmanager
def open_door(station: Station, clock: Clock, lots: Lots, so_far: Collected, shown: Shown) -> Iterator[None]:
    """Answer while the context lasts. Where no socket can be made, the recording goes on and says so.

    Raises ControlError when something runs with this station already: it has the cameras.
    """
    _refuse_company(station)
    door = _Door(station, lots, so_far, shown)
    try:
        reception = Reception(station.station.run_dir, clock, Progress(clock, {SOURCE: SECOND}), door.ask, _logged)
    except DeviceError as error:
        log.warning("the lot cannot be changed while this runs: %s", error)
        yield
        return
    crew = Crew(clock)
    crew.start(SOURCE, reception.run)
    try:
        yield
    finally:
        crew.join(_ENDS_NS)
        reception.close()


def _refuse_company(station: Station) -> None:
    try:
        running = Control(station).status()
    except ControlError:
        return
    raise ControlError(
        f"process {running.pid} runs with this station file already, in mode {running.mode}: stop it first"
    )


def _logged(words: str) -> None:
    log.warning("%s", words)


class _Door:
    """Answers requests; called by the reception's thread."""

    def __init__(self, station: Station, lots: Lots, so_far: Collected, shown: Shown) -> None:
        self._station = station
        self._lots = lots
        self._so_far = so_far
        self._shown = shown

    def ask(self, request: Request, peer: Peer) -> Answer:
        """The status, the newest picture, or another lot for the pictures from now on, which is on the disk then."""
        if isinstance(request, AskStatus | TellOutbox):
            return self._status()
        if isinstance(request, AskFigures):
            return self._figures()
        if isinstance(request, AskPicture):
            return self._shown.ask(request.camera)
        if not isinstance(request, SetLot):
            return Refused(
                words="this station only collects pictures: it can be asked for its status, a picture and another lot"
            )
        try:
            self._lots.change(request.lot)
        except JournalError as error:
            return Refused(words=str(error))
        self._so_far.lot = request.lot
        log.info("lot %r from now on, by %s", request.lot, peer.name)
        return Done(words=f"pictures from now on are of lot {request.lot!r}", by=peer.name)

    def _figures(self) -> Figures:
        """There is no gate and nothing is judged: only pictures are counted."""
        return Figures(
            status=self._status(),
            unknown_reasons={},
            frames={"stored": self._so_far.stored},
            deadlines={},
            records={},
            unconfirmed=0,
            stage_bounds_ns=[],
            stages={},
            edge_bounds_ns=[],
            gate_edges=Histogram(bins=[0], total_ns=0),
        )

    def _status(self) -> Status:
        away = "; ".join(self._so_far.away.values())
        return Status(
            station=self._station.station.name,
            mode="collect",
            level=(Level.NOT_READY if away else Level.READY).name,
            cause=away[:400],
            line="",
            permit=False,
            can_acknowledge=False,
            product="",
            recipe=0,
            bypass_left_s=0.0,
            parts=self._so_far.stored,
            verdicts={},
            outcomes={},
            bypassed=0,
            turned_away=0,
            malformed=0,
            pid=os.getpid(),
            lot=self._so_far.lot,
        )
