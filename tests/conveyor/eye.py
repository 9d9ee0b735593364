"""The eye's process as the line meets it: it connects, keeps alive, says its words late, twice, wrongly or not at all,
and keeps a journal that outlives it."""

from __future__ import annotations

from random import Random
from typing import Protocol

from edge.clock import MS
from edge.line.messages import (
    Birth,
    Bypass,
    Keepalive,
    Limit,
    LimitAction,
    LineState,
    Message,
    Outcome,
    Reject,
    Release,
    State,
    Stop,
)
from edge.records import Kind, Part, Reason
from tests.conveyor.actuator import Time
from tests.conveyor.item import Item
from tests.conveyor.line_process import LineProcess

KEEPALIVE_NS = 50 * MS
RETRY_NS = 20 * MS


class Records(Protocol):
    """What is known of parts beyond the eye's own memory."""

    def truth(self, part: Part) -> Item | None:
        """What truly caused this birth; None for a ghost."""
        ...

    def has_outcome(self, part_id: int) -> bool:
        """Whether the ring has it."""
        ...

    def line_lost(self, part_id: int) -> None:
        """The eye's journal says LINE_LOST of this part."""
        ...

    def eye_forgot(self, part_ids: set[int]) -> None:
        """An eye crashed that had heard of these parts and not decided on them: its journal does not know them."""
        ...


class Eye:
    """Answers each birth by what its item `says`. `dice` draws the small times only."""

    def __init__(self, time: Time, line: LineProcess, records: Records, dice: Random, person_ms: float) -> None:
        self.time = time
        self.line = line
        self.records = records
        self._dice = dice
        self._person_ns = round(person_ms * MS)
        self.epoch = 0
        self.ready = True
        self.lives = False
        self._life = 0  # which start of the process this is: words of an earlier one are never said
        self._used_epochs = 0
        self._hung_until_ns = 0
        self._backlog: list[Message] = []
        self._open: set[int] = set()  # heard of, without an outcome yet
        self._decided: set[int] = set()  # the same, but in the journal
        self._greeted = False
        self._state: State | None = None
        self._person_looks = False
        self._ticking = False

    def trigger(self) -> None:
        """The photo-eye's wire rose; this eye needs no pictures to know."""

    # --- its life ---

    def start(self) -> None:
        """A new process, if none runs: what the last one had in memory is gone."""
        if self.lives:
            return
        self.lives = True
        self._life += 1
        self._hung_until_ns = 0
        self._backlog, self._open = [], set()
        if not self._ticking:
            self._ticking = True
            self._tick()

    def crash(self) -> None:
        """Gone; its socket closes."""
        self.lives = False
        unread = {message.part_id for message in self._backlog if isinstance(message, Birth)}
        self.records.eye_forgot((self._open | unread) - self._decided)
        self._leave()

    def hang(self, for_ns: int) -> None:
        """It neither hears nor says anything for so long, and then goes on."""
        self._hung_until_ns = max(self._hung_until_ns, self.time.now_ns + for_ns)
        self.time.at(self._hung_until_ns, self._resume)

    def _resume(self) -> None:
        if self.time.now_ns < self._hung_until_ns:
            return
        backlog, self._backlog = self._backlog, []
        for message in backlog:
            self._take(message)

    def _leave(self) -> None:
        if self.epoch and self.line.epoch == self.epoch:
            self.line.cut()
        self.epoch = 0

    def _tick(self) -> None:
        """Every 50 ms a keepalive; without a connection another try every 20 ms."""
        if self.lives and self.time.now_ns >= self._hung_until_ns:
            self._resume()
            if self.epoch == 0 or self.line.epoch != self.epoch:
                self._connect()
            elif self._greeted:
                self.say(Keepalive(self.time.now_ns, self.ready))
        self.time.at(self.time.now_ns + (KEEPALIVE_NS if self.epoch else RETRY_NS), self._tick)

    def _connect(self) -> None:
        self._used_epochs += 1
        self.epoch = 0
        self._greeted = False
        if self.line.connect(self._used_epochs, self.hear):
            self.epoch = self._used_epochs

    # --- what it says ---

    def say(self, message: Message, epoch: int | None = None) -> None:
        """To the line, over the connection that is open now or in the name of another."""
        if self.epoch and self.line.epoch == self.epoch:
            self.line.hear(message, self.epoch if epoch is None else epoch)

    def say_later(self, after_ns: int, message: Message, epoch: int | None = None) -> None:
        """Say it then, if this process still lives; a hanging one says it when it goes on."""
        self.time.at(self.time.now_ns + max(0, after_ns), self._say_now, self._life, message, epoch)

    def _say_now(self, life: int, message: Message, epoch: int | None) -> None:
        if life != self._life or not self.lives:
            return
        if self.time.now_ns < self._hung_until_ns:
            self.time.at(self._hung_until_ns, self._say_now, life, message, epoch)
            return
        if isinstance(message, Release | Reject) and message.part_id in self._open:
            self._decided.add(message.part_id)
        self.say(message, epoch)

    def change_ready(self, ready: bool) -> None:
        """Whether it can inspect."""
        self.ready = ready
        if self._greeted:
            self.say(Keepalive(self.time.now_ns, ready))

    def stop_line(self) -> None:
        self.say(Stop(self.time.now_ns))

    def bypass(self, for_ns: int) -> None:
        self.say(Bypass(for_ns))

    # --- what it hears ---

    def hear(self, message: Message, epoch: int) -> None:
        """Called by the line; a hanging eye hears it when it goes on."""
        if not self.lives or epoch != self.epoch:
            return
        if self.time.now_ns < self._hung_until_ns:
            self._backlog.append(message)
        else:
            self._take(message)

    def _take(self, message: Message) -> None:
        if isinstance(message, Birth):
            self._open.add(message.part_id)
            self.born(message.part())
        elif isinstance(message, Outcome):
            self._open.discard(message.part_id)
            self._decided.discard(message.part_id)
            self.ended(message.part_id)
        elif isinstance(message, State):
            self._hear_state(message)

    def _hear_state(self, state: State) -> None:
        if not self._greeted:
            self._greeted = True
            self._import_ring(state.session)
            self.say(Keepalive(self.time.now_ns, self.ready))
        self._state = state
        if state.state in (LineState.STOPPED, LineState.FAULT) and not self._person_looks:
            self._person_looks = True
            self.time.at(self.time.now_ns + self._person_ns, self._look)

    def _import_ring(self, session: int) -> None:
        """What the ring tells of the parts that were left open; what it does not tell of an ended line is lost."""
        for part_id in sorted(self._open | self._decided):
            if self.records.has_outcome(part_id):
                self.ended(part_id)
            elif part_id >> 32 != session:
                self.records.line_lost(part_id)
            else:
                continue
            self._open.discard(part_id)
            self._decided.discard(part_id)

    def _look(self) -> None:
        """A person looks at a stopped line and acknowledges, again and again until it runs."""
        self._person_looks = False
        if self._state is not None and self._state.state in (LineState.STOPPED, LineState.FAULT):
            self.say(Limit(LimitAction.CLEAR, 0, b""))
            self._person_looks = True
            self.time.at(self.time.now_ns + self._person_ns, self._look)

    # --- what it decides ---

    def born(self, part: Part) -> None:
        """The line told a birth."""
        item = self.records.truth(part)
        kind = self._kind(item)
        after = 0.3 if item is None else item.after
        wait_ns = round(after * (part.deadline_ns - part.born_ns)) - (self.time.now_ns - part.born_ns)
        if kind is not None:
            self.say_later(wait_ns, self._word(part, kind))
        if item is not None and item.trick:
            self._play_trick(item.trick, part, kind, wait_ns)

    @staticmethod
    def _kind(item: Item | None) -> Kind | None:
        """A ghost is answered with a PASS: the worst that could be said of it."""
        if item is None or item.says == "truth":
            return Kind.REJECT if item is not None and item.defect else Kind.PASS
        return Kind.UNKNOWN if item.says == "unknown" else None

    @staticmethod
    def _word(part: Part, kind: Kind, ids_on: int = 0) -> Message:
        """For this part, or for the one whose id is so many further on: it was told of no birth of that one."""
        part_id = part.part_id + ids_on
        if kind is Kind.PASS:
            return Release(part_id, part.born_ns)
        reason = Reason.DEFECT if kind is Kind.REJECT else Reason.NO_FRAME
        return Reject(part_id, part.born_ns, kind, reason)

    def _play_trick(self, trick: str, part: Part, kind: Kind | None, wait_ns: int) -> None:
        soon_ns = self._dice.randint(0, 20 * MS)
        if trick == "twice" and kind is not None:
            self.say_later(wait_ns + soon_ns, self._word(part, kind))
        elif trick == "contradicts":
            other = Kind.REJECT if kind is Kind.PASS else Kind.PASS
            self.say_later(wait_ns + soon_ns, self._word(part, other))
        elif trick == "stale epoch":
            self.say_later(min(wait_ns, soon_ns), self._word(part, Kind.PASS), self.epoch - 1)
        elif trick == "unborn":
            self.say_later(soon_ns // 20, self._word(part, Kind.PASS, 1))
        elif trick == "stranger":
            self.say_later(soon_ns, self._word(part, Kind.PASS, 5_000))
        elif trick == "former line":
            self.say_later(soon_ns, self._word(part, Kind.PASS, -(1 << 32)))

    def ended(self, part_id: int) -> None:
        """The line told an outcome."""
