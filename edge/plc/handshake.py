"""What a station and its PLC owe each other before anything is released, and how each result is handed over; pure.

The PLC is *up* when it echoes the session and its heartbeat counts. Each result is shown until the PLC acknowledges
its sequence, or until it is too old: then it is withdrawn and counted, so the PLC never reads it as another part's.
A lost connection or heartbeat makes a new session, and with it every result that was still waiting is withdrawn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from edge.health import Level, Standing
from edge.line.messages import LineState
from edge.plc import packml
from edge.plc.table import Command, Ended, ErrorCode, Flag, Orders, Result, Status, shown
from edge.registers import wrapped

_LAST = 0xFFFF


@dataclass(frozen=True, slots=True)
class Terms:
    """What is agreed with the PLC: its recipes, how long its heartbeat may stand still and a result may wait.

    Without `heartbeat_ns` nobody is expected at the other end: results are told and count as taken.
    """

    recipes: Collection[int]
    heartbeat_ns: int | None
    result_ns: int
    queue: int


@dataclass(frozen=True, slots=True)
class Scene:
    """What the rest of the station says of itself; the counts are those since its start. `recipe` is the one that the
    line has in force, None where no line says it."""

    standing: Standing
    line: LineState | None
    shadow: bool
    permit: bool
    busy: bool
    parts: int = 0
    rejected: int = 0
    unknown: int = 0
    recipe: int | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """Why nothing may be released, for the PLC as a code and for a person in words."""

    code: ErrorCode
    words: str


@dataclass(frozen=True, slots=True)
class _Waiting:
    ended: Ended
    sequence: int
    offered_ns: int


def following(number: int) -> int:
    """The next number of a counter of 16 bits that leaves 0 out."""
    return number % _LAST + 1


class Handshake:
    """One station's side of the handshake. Times are CLOCK_MONOTONIC ns; `session` is the first one's number."""

    def __init__(self, terms: Terms, session: int) -> None:
        self._terms = terms
        self._session = following(session)
        self._connected = False
        self._up = False
        self._away = Cause(ErrorCode.NO_HANDSHAKE, "the PLC is looked for")
        self._beat = 0
        self._beats_seen = 0
        self._beat_ns = 0
        self._counter = 0
        self._queue: deque[_Waiting] = deque()
        self._shown: Result | None = None
        self._written = 0
        self._sequence = 0
        self._last_shown = 0
        self._acked = 0
        self._wrong_ack: int | None = None
        self._lost_before = 0
        self._lost_told = 0
        self._asked: Cause | None = None
        self.results_lost = 0
        self.wrong_acks = 0
        self.recipe = 0 if 0 in terms.recipes else None

    @property
    def is_up(self) -> bool:
        """The PLC is there, has shaken hands, and its heartbeat counts."""
        return self._up

    @property
    def cause(self) -> Cause | None:
        """Why nothing may be released on the PLC's account; None when it has no objection."""
        return self._asked if self._up else self._away

    # --- the connection ---

    def connected(self) -> None:
        """A new connection stands, or the server serves: the PLC has to shake hands anew."""
        self._connected = True
        if self._terms.heartbeat_ns is None:
            self._up = True
        else:
            self._fall(Cause(ErrorCode.NO_HANDSHAKE, "the PLC has not shaken hands yet: is its program running?"))

    def lost(self, words: str) -> None:
        """The connection broke, or the link failed, for this reason."""
        self._connected = False
        self._fall(Cause(ErrorCode.NO_HANDSHAKE, words))

    def _fall(self, cause: Cause) -> None:
        """A new session: nothing of the old one counts any more."""
        self._up = False
        self._away = cause
        self._asked = None
        self._session = following(self._session)
        self._beats_seen = 0
        self._written = 0
        self._withdraw(len(self._queue))

    # --- what the PLC says ---

    def heard(self, orders: Orders, now_ns: int) -> None:
        """The PLC's words as they stand now; to be called often, also when they are the same."""
        if not self._connected:
            return
        self._expire(now_ns)
        if self._terms.heartbeat_ns is None:
            return
        self._listen(orders.heartbeat, now_ns)
        if self._up:
            self._check_alive(orders, now_ns)
        elif orders.session == self._session and self._beats_seen > 1:
            self._rise(orders)
        if self._up:
            self._take_ack(orders.ack)
            self._asked = self._objection(orders)

    def _listen(self, beat: int, now_ns: int) -> None:
        """The first count only shows where the PLC stands; a heartbeat is a change."""
        if self._beats_seen == 0 or beat != self._beat:
            self._beat, self._beat_ns = beat, now_ns
            self._beats_seen += 1

    def _check_alive(self, orders: Orders, now_ns: int) -> None:
        assert self._terms.heartbeat_ns is not None
        still_ns = now_ns - self._beat_ns
        if orders.session != self._session:
            self._fall(Cause(ErrorCode.NO_HANDSHAKE, "the PLC has started anew, or echoes another session"))
        elif still_ns > self._terms.heartbeat_ns:
            words = f"the PLC's heartbeat stands still for {still_ns / 1e6:.0f} ms: is it in RUN, is the cable in?"
            self._fall(Cause(ErrorCode.HEARTBEAT_LOST, words))

    def _rise(self, orders: Orders) -> None:
        """What stands in `ack` is of an earlier session: sequences go on behind it, so it acknowledges nothing."""
        self._up = True
        self._sequence = self._acked = self._last_shown = orders.ack
        self._wrong_ack = None

    def _objection(self, orders: Orders) -> Cause | None:
        """Takes the PLC's choice of recipe, if it is one, and says what speaks against going on."""
        if orders.recipe not in self._terms.recipes:
            return self._without_recipe(orders.recipe)
        self.recipe = orders.recipe
        if orders.command == Command.SUSPEND:
            return Cause(ErrorCode.SUSPENDED, "the PLC asked the station to suspend")
        if orders.command != Command.RUN:
            return Cause(ErrorCode.BAD_COMMAND, f"the PLC sends the command {orders.command}, which is none")
        return None

    def _without_recipe(self, recipe: int) -> Cause:
        if not recipe:
            return Cause(ErrorCode.NO_RECIPE, "the PLC has not chosen a recipe")
        known = ", ".join(map(str, sorted(self._terms.recipes))) if any(self._terms.recipes) else "no recipes"
        return Cause(ErrorCode.UNKNOWN_RECIPE, f"the PLC asks for recipe {recipe}, this station has {known}")

    # --- results ---

    def offer(self, ended: Ended, now_ns: int) -> None:
        """A part has ended. While the PLC is not up its result is lost; with a full queue the oldest waiting one is."""
        if not self._up:
            self._lose(1)
            return
        self._sequence = following(self._sequence)
        self._queue.append(_Waiting(ended, self._sequence, now_ns))
        if len(self._queue) > self._terms.queue + 1:
            del self._queue[1]
            self._lose(1)
        self._show()

    def to_write(self) -> Result | None:
        """The result that has to be shown to the PLC now, None when there is none or it stands there already."""
        if self._shown is None or self._shown.sequence == self._written:
            return None
        return self._shown

    def written(self, result: Result) -> None:
        """The result stands in the PLC's sight."""
        self._written = result.sequence
        if self._terms.heartbeat_ns is None:
            self._taken(result)

    def _show(self) -> None:
        if self._shown is None and self._queue:
            first = self._queue[0]
            self._lost_told = self._lost_before
            self._shown = shown(first.ended, first.sequence, self._lost_told)
            self._last_shown = first.sequence

    def _taken(self, result: Result) -> None:
        self._queue.popleft()
        self._shown = None
        self._acked = result.sequence
        self._lost_before -= self._lost_told
        self._wrong_ack = None
        self._show()

    def _take_ack(self, ack: int) -> None:
        if self._shown is not None and ack == self._shown.sequence == self._written:
            self._taken(self._shown)
        elif ack == self._acked:
            return
        elif self._was_shown(ack):
            self._acked = ack  # too late: the result was withdrawn, and is counted as lost
        elif ack != self._wrong_ack:
            self._wrong_ack = ack
            self.wrong_acks += 1

    def _was_shown(self, ack: int) -> bool:
        """Whether this sequence was shown since the last acknowledged one, and withdrawn."""
        if ack == 0 or (self._shown is not None and ack == self._shown.sequence):
            return False
        return _steps(self._acked, ack) <= _steps(self._acked, self._last_shown)

    def _expire(self, now_ns: int) -> None:
        old = [one for one in self._queue if now_ns - one.offered_ns > self._terms.result_ns]
        if old:
            self._withdraw(len(old))
            self._show()

    def _withdraw(self, count: int) -> None:
        """The oldest `count` results do not reach the PLC."""
        for _ in range(count):
            self._queue.popleft()
        if count:
            self._shown = None
            self._lose(count)

    def _lose(self, count: int) -> None:
        self.results_lost += count
        self._lost_before += count

    # --- what the station says ---

    def status(self, scene: Scene) -> Status:
        """The status block for the next exchange; each call is one beat of the station's heart."""
        self._counter = following(self._counter)
        is_written = self._shown is not None and self._shown.sequence == self._written
        return Status(
            heartbeat=self._counter,
            session=self._session,
            flags=self._flags(scene, is_written),
            state=packml.packml(scene.standing, scene.line),
            mode=packml.mode(scene.shadow, scene.line),
            error=self._error(scene),
            recipe=self._in_force(scene),
            result_sequence=self._written if is_written else 0,
            waiting=max(0, len(self._queue) - 1),
            parts=wrapped(2, scene.parts),
            rejected=wrapped(2, scene.rejected),
            unknown=wrapped(2, scene.unknown),
            results_lost=wrapped(2, self.results_lost),
        )

    def _in_force(self, scene: Scene) -> int:
        """The line takes a moment to change the recipe, and what is fed before gets the old one."""
        if self.recipe is None:
            return 0
        return self.recipe if scene.recipe is None else scene.recipe

    def _flags(self, scene: Scene, is_written: bool) -> Flag:
        is_ready = self.cause is None and scene.standing.level is Level.READY
        passes = scene.shadow or scene.line is LineState.BYPASSED
        flags = Flag(0)
        for flag, holds in (
            (Flag.READY, is_ready),
            (Flag.BUSY, scene.busy),
            (Flag.RESULT_VALID, is_written),
            (Flag.NOT_INSPECTING, passes),
            (Flag.PERMIT, scene.permit),
        ):
            flags |= flag if holds else Flag(0)
        return flags

    def _error(self, scene: Scene) -> ErrorCode:
        own = packml.error(scene.standing, scene.line)
        if own in (ErrorCode.FAULT, ErrorCode.LIMIT):
            return own
        if self.cause is not None:
            return self.cause.code
        if own is not ErrorCode.NONE:
            return own
        if self._wrong_ack is not None:
            return ErrorCode.WRONG_ACK
        return ErrorCode.RESULTS_LOST if self._lost_before else ErrorCode.NONE


def _steps(start: int, end: int) -> int:
    """How many times `following` leads from one sequence to the other."""
    return (end - start) % _LAST
