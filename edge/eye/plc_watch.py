"""The PLC's thread: opens its link, again and again while it is away, and lets nothing be released without it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from edge.clock import MS, SECOND, Clock
from edge.errors import PlcError
from edge.eye.desk import Desk
from edge.health import Health, Level, Progress
from edge.kinds import find
from edge.line_link import LineLink
from edge.options import Plc as PlcOptions
from edge.plc import TABLE, PlcLink, packml
from edge.plc.handshake import Cause, Handshake, Scene, Terms
from edge.plc.seldom import Seldom
from edge.plc.table import Ended, Packml
from edge.records import GateEvent, Kind, Reason
from edge.report import Counts
from edge.station import Station

SOURCE = packml.SOURCE
_FIRST_RETRY_S = 0.2
_LAST_RETRY_S = 5.0
BOUND_NS = 60 * SECOND  # beginning to serve OPC UA takes that long on a slow machine


class PlcWatch:
    """`run` belongs to one thread, `offer` is called by the line's; both are short where they meet."""

    def __init__(
        self,
        options: PlcOptions,
        link: PlcLink,
        handshake: Handshake,
        scene: Callable[[], Scene],
        simulated: bool,
        select_recipe: Callable[[int], object],
        note: Callable[[str, str], None],
        clock: Clock,
        health: Health,
        progress: Progress,
    ) -> None:
        self._poll_s = options.poll_ms / 1_000
        self._link = link
        self._handshake = handshake
        self._scene = scene
        self._simulated = simulated
        self._select_recipe = select_recipe
        self._note = note
        self._clock = clock
        self._health = health
        self._progress = progress
        self._lock = threading.Lock()
        self._recipe = handshake.recipe
        self._told: Cause | None = None
        self._seldom = Seldom(quiet_ns=SECOND)  # a PLC that comes and goes all the time
        self._retry_s = _FIRST_RETRY_S
        self._tell()  # nothing is released before the PLC has shaken hands

    @property
    def recipe(self) -> int | None:
        """What parts are born with from now on, None before the PLC has chosen."""
        return self._recipe

    @property
    def results_lost(self) -> int:
        """Results that the PLC did not get."""
        return self._handshake.results_lost

    def offer(self, event: GateEvent, kind: Kind, reason: Reason, score: float) -> None:
        """A part has ended: its result waits for the PLC, never the other way round."""
        ended = Ended(
            event.part_id, kind, reason, event.outcome, score, event.recipe, event.shadow, self._simulated
        )
        with self._lock:
            self._handshake.offer(ended, self._clock.now_ns())

    def run(self, stop: threading.Event) -> None:
        """Exchange words with the PLC until told to stop."""
        try:
            while not stop.is_set():
                try:
                    self._keep_up(stop)
                except PlcError as error:
                    self._lost(error)
                    self._progress.beat(SOURCE)
                    stop.wait(self._retry_s)
                    self._retry_s = min(2 * self._retry_s, _LAST_RETRY_S)
        finally:
            self._end()

    def _keep_up(self, stop: threading.Event) -> None:
        self._link.connect()
        with self._lock:
            self._handshake.connected()
        while not stop.is_set():
            self._exchange()
            self._progress.beat(SOURCE)
            stop.wait(self._poll_s)

    def _exchange(self) -> None:
        self._show_results()
        self._say()
        orders = self._link.poll()
        with self._lock:
            self._handshake.heard(orders, self._clock.now_ns())
            is_up, recipe = self._handshake.is_up, self._handshake.recipe
        if is_up:
            self._retry_s = _FIRST_RETRY_S
        if recipe is not None and recipe != self._recipe:
            self._change_recipe(recipe)
        self._tell()

    def _show_results(self) -> None:
        """One result, or all that wait where no acknowledgement is expected."""
        while True:
            with self._lock:
                result = self._handshake.to_write()
            if result is None:
                return
            self._link.publish(result)
            with self._lock:
                self._handshake.written(result)

    def _say(self) -> None:
        scene = self._scene()
        with self._lock:
            status = self._handshake.status(scene)
        self._link.heartbeat(status)

    def _end(self) -> None:
        """The last word, which stays in a PLC's memory: stopped, not ready."""
        if self.results_lost:
            self._note(SOURCE, f"{self.results_lost} results did not reach the PLC")
        scene = self._scene()
        with self._lock:
            self._handshake.lost("the station has ended")
            status = self._handshake.status(scene)
        with suppress(PlcError):
            self._link.heartbeat(replace(status, state=Packml.STOPPED))
        self._link.close()

    def _lost(self, error: PlcError) -> None:
        self._link.close()
        with self._lock:
            self._handshake.lost(str(error))
        self._tell()

    def _change_recipe(self, recipe: int) -> None:
        self._recipe = recipe
        self._select_recipe(recipe)
        self._record("selected a recipe", f": {recipe}")

    def _tell(self) -> None:
        """The station's health and journal hear of a change."""
        cause, told = self._handshake.cause, self._told
        if cause == told:
            return
        self._told = cause
        if cause is None:
            self._health.clear(SOURCE)
            self._record("READY", ": the PLC has no objection")
            return
        self._health.report(SOURCE, Level.NOT_READY, cause.words, anew=True)
        if told is None or told.code is not cause.code:
            self._record(cause.code.name, f": {cause.words}")

    def _record(self, what: str, detail: str) -> None:
        words = self._seldom.words("PLC", what, self._clock.now_ns(), detail)
        if words:
            self._note(SOURCE, words)


def plc_of(
    station: Station, desk: Desk, line: LineLink, clock: Clock, counts: Counts, health: Health, progress: Progress
) -> PlcWatch | None:
    """The watch over the station's PLC, None where it has none. Raises ConfigError."""
    options = station.plc
    if options is None:
        return None
    link: PlcLink = find(TABLE, options.kind, "plc")(options, clock, lambda words: desk.note("plc refused", words))
    heartbeat_ms = options.heartbeat_timeout_ms
    terms = Terms(
        frozenset(station.products()),
        None if heartbeat_ms is None else round(heartbeat_ms * MS),
        round(options.result_timeout_ms * MS),
        options.queue,
    )
    watch = PlcWatch(
        options,
        link,
        Handshake(terms, secrets.randbelow(0xFFFF)),
        lambda: _scene(station, desk, counts),
        is_simulated(station),
        line.select_recipe,
        desk.note,
        clock,
        health,
        progress,
    )
    desk.tell(watch.offer)
    return watch


def is_simulated(station: Station) -> bool:
    """Whether parts or pictures come from nowhere: results must say so."""
    return station.trigger.kind == "simulated" or any(
        camera.kind in ("belt", "folder") for camera in station.camera
    )


def _scene(station: Station, desk: Desk, counts: Counts) -> Scene:
    return Scene(
        standing=desk.standing(),
        line=desk.line_now,
        recipe=desk.recipe,
        shadow=station.station.mode == "shadow",
        permit=desk.permit,
        busy=desk.parts.open_parts > 0,
        parts=counts.parts,
        rejected=counts.verdicts[Kind.REJECT],
        unknown=counts.verdicts[Kind.UNKNOWN],
    )
