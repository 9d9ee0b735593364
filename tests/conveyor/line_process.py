"""The line process in virtual time: the real core in the real keeper, with a mailbox, a ring and a socket that can be
cut, and a kernel that may stop or kill it at any instant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from edge.clock import MS, SECOND
from edge.line.core import LineCore
from edge.line.events import Action, EdgeSeen, Event, EyeConnected, EyeGone, Heard, StopAsked
from edge.line.keeper import Keeper
from edge.line.messages import Message
from edge.line.settings import Settings
from edge.records import GateEvent
from tests.conveyor.actuator import Coil, Spans, Time
from tests.conveyor.belt import NEVER

_AHEAD_NS = MS  # the keeper reads nothing so near before a gate edge
_LEAST_LATE_NS, _MOST_LATE_NS = 20_000, 280_000
_WALL_NS = 1_700_000_000 * SECOND


class Killed(BaseException):
    """The process is gone, wherever it was."""


class Witness(Protocol):
    """Who watches what the line really does."""

    def stepped(self, events: Sequence[Event]) -> None:
        """The core is about to take these in."""
        ...

    def sent(self, message: Message, epoch: int) -> None:
        """The line said this to the eye of this connection."""
        ...

    def kept(self, event: GateEvent) -> None:
        """An outcome is in the ring."""
        ...

    def said(self, words: str) -> None:
        """The line put this into its log."""
        ...

    def line_down(self, session: int) -> None:
        """The process ended, by itself or not."""
        ...


class _WitnessedCore(LineCore):
    """The core itself; somebody sees at which instant it takes what in."""

    witness: Witness

    def step(self, now_ns: int, wall_ns: int, events: Sequence[Event] = ()) -> list[Action]:
        if events:
            self.witness.stepped(events)
        return super().step(now_ns, wall_ns, events)


class _BoundKeeper(Keeper):
    """The keeper itself, that reads its mail in virtual time."""

    read: Callable[[], list[Event]]

    def _read(self, wait_s: float) -> list[Event]:
        return self.read()


class _Clock:
    def __init__(self, time: Time) -> None:
        self._time = time

    def now_ns(self) -> int:
        return self._time.now_ns

    def wall_ns(self) -> int:
        return _WALL_NS + self._time.now_ns

    def sleep_until(self, at_ns: int) -> None:
        self._time.pass_ns(at_ns - self._time.now_ns)


class LineProcess:
    """`wake_ns` is when it wants to run next. Outcomes survive it; everything else dies with it.

    `down` are the times in which it did not run though something may have been due: stopped or dead.
    """

    def __init__(
        self, time: Time, settings: Settings, gate: Coil, permit: Coil | None, witness: Witness, dice: Random
    ) -> None:
        self._time = time
        self._settings = settings
        self._gate = gate
        self._permit = permit
        self._witness = witness
        self._dice = dice
        self._clock = _Clock(time)
        self._mail: list[Event] = []
        self._socket: list[Event] = []
        self._eye: Callable[[Message, int], None] | None = None
        self._opened_ns = 0
        self._stalled_ns = 0
        self._calls_left = 0  # to the kernel, until it is killed; 0: it lives
        self._busy = False
        self._doomed = False
        self._keeper: _BoundKeeper | None = None
        self.core: LineCore | None = None
        self.down = Spans()
        self.session = 0
        self.next_seq = 1
        self.epoch = 0
        self.wake_ns = NEVER
        self.restarts = True

    # --- its life ---

    @property
    def lives(self) -> bool:
        return self._keeper is not None

    def start(self) -> None:
        """Begin a new session on the ring that the last one left."""
        if self._keeper is not None:
            return
        self.session += 1
        self._mail, self._socket = [], []
        self._stalled_ns = 0
        self._opened_ns = self._time.now_ns
        self.core = _WitnessedCore(self._settings, self.session, self.next_seq, self._time.now_ns)
        self.core.witness = self._witness
        self._keeper = _BoundKeeper(
            self.core,
            self._gate,
            self._permit,
            self,
            self,
            None,
            self._clock,
            self,  # type: ignore[arg-type]
        )
        self._keeper.read = self._take_mail
        self.wake_ns = self._time.now_ns

    def stalled_until_ns(self) -> int:
        """Until when the kernel does not run it."""
        return self._stalled_ns

    def stall(self, for_ns: int) -> None:
        """The kernel does not run it for so long; its sockets fill."""
        self._stalled_ns = max(self._stalled_ns, self._time.now_ns + for_ns)
        self.down.begin(self._time.now_ns)

    def kill(self, calls: int = 0) -> None:
        """Gone now, or in the middle of the so-many-th thing that it does from now on."""
        if calls:
            self._calls_left = calls
        elif self._busy:
            self._doomed = True
        else:
            self._die()

    def _die(self) -> None:
        if self._keeper is None:
            return
        self._keeper = self.core = None
        self._calls_left = 0
        self._doomed = False
        self.wake_ns = NEVER
        self.down.begin(self._time.now_ns)
        self.cut()
        self._witness.line_down(self.session)

    # --- what reaches it ---

    def tell(self, event: Event) -> None:
        """An event of its input's thread; one from before it opened its input is nobody's."""
        if self._keeper is None or (isinstance(event, EdgeSeen) and event.edge.at_ns < self._opened_ns):
            return
        self._mail.append(event)
        self._wake_soon()

    def stop(self, end: bool) -> None:
        """SIGTERM, which ends it, or a stop that it outlives."""
        self.tell(StopAsked("a stop of the test", end))

    def connect(self, epoch: int, eye: Callable[[Message, int], None]) -> bool:
        """An eye connects; False when nobody listens. The one before is dropped without a word."""
        if self._keeper is None:
            return False
        self._eye = eye
        self.epoch = epoch
        self._socket.append(EyeConnected(epoch))
        self._wake_soon()
        return True

    def hear(self, message: Message, epoch: int) -> None:
        """A message of an eye, whichever connection it names."""
        if self._keeper is not None:
            self._socket.append(Heard(message, epoch))
            self._wake_soon()

    def cut(self) -> None:
        """The connection broke: the line reads its end, the eye too."""
        eye, self._eye = self._eye, None
        if eye is None:
            return
        self.epoch = 0
        self._socket.append(EyeGone())
        self._wake_soon()

    def _wake_soon(self) -> None:
        if self._keeper is not None:
            self.wake_ns = min(self.wake_ns, self._time.now_ns + self._dice.randint(_LEAST_LATE_NS, _MOST_LATE_NS))

    # --- its loop ---

    def wake(self) -> None:
        """Run once; the world calls this at `wake_ns`."""
        keeper, core, now_ns = self._keeper, self.core, self._time.now_ns
        if keeper is None or core is None:
            self.wake_ns = NEVER
            return
        if self._stalled_ns > now_ns:
            self.wake_ns = self._stalled_ns
            return
        edge_ns = core.gate_edge_ns
        if edge_ns is not None and now_ns < edge_ns <= now_ns + _AHEAD_NS:
            self.wake_ns = edge_ns + _LEAST_LATE_NS
            return
        self._run(keeper, core)

    def _run(self, keeper: Keeper, core: LineCore) -> None:
        self._busy = True
        try:
            keeper._carry_out(self._take_mail())
        except Killed:
            self._die()
            return
        finally:
            self._busy = False
        now_ns = self._time.now_ns
        if keeper._ended:
            self._die()
            return
        if self._stalled_ns > now_ns:
            return
        self.down.end(now_ns)
        due_ns = max(core.due_ns(now_ns), now_ns)
        self.wake_ns = due_ns + self._dice.randint(_LEAST_LATE_NS, _MOST_LATE_NS)
        if self._mail or self._socket:
            self._wake_soon()

    def _take_mail(self) -> list[Event]:
        events, self._mail, self._socket = self._mail + self._socket, [], []
        return events

    def call(self) -> None:
        """The process does something that others can see; raises Killed when it does not survive it."""
        if self._doomed:
            raise Killed
        if self._calls_left:
            self._calls_left -= 1
            if not self._calls_left:
                raise Killed

    # --- what the keeper uses: the ring, the eye's link and the log ---

    def append(self, event: GateEvent) -> None:
        """The ring."""
        self.call()
        if event.ring_seq != self.next_seq:
            raise ValueError(f"outcome {event.ring_seq} out of order, expected {self.next_seq}")
        self.next_seq += 1
        self._witness.kept(event)
        self.call()

    def send(self, message: Message) -> list[Event]:
        """The link to the eye."""
        self.call()
        if self._eye is not None:
            self._eye(message, self.epoch)
            self._witness.sent(message, self.epoch)
        return []

    def say(self, words: str) -> None:
        """The log."""
        self._witness.said(words)
