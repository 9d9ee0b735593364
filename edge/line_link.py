"""The eye's end of the eye-line socket: finds, starts or adopts the line and misses none of its outcomes."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, Protocol

from edge.clock import MS, SECOND, Clock
from edge.errors import ConfigError, DeviceError
from edge.line.messages import (
    SIZE,
    VERSION,
    Ack,
    AckStatus,
    Birth,
    Bypass,
    Inputs,
    Keepalive,
    Limit,
    LimitAction,
    LimitCounts,
    Message,
    Outcome,
    ProtocolError,
    Reject,
    Release,
    State,
    Stop,
    VersionError,
    cause_of,
    pack,
    peer_of,
    unpack,
)
from edge.line.ring import read_from, resume_seq
from edge.line_starter import Starter, is_child
from edge.records import GateEvent, Kind, Part, Reason, RingPlace
from edge.station import Station

KEEPALIVE_NS = 50 * MS
_ATTEMPT_NS = 20 * MS
_SILENT_NS = 3 * SECOND  # the line says its state every second
_MESSAGES_AT_ONCE = 64


class Listener(Protocol):
    """Who is told what the line says; called by the thread that polls."""

    def born(self, part: Part) -> None:
        """A part was born."""
        ...

    def birth_refused(self, token: int) -> None:
        """The line did not take the birth that was asked for with this token."""
        ...

    def ended(self, event: GateEvent) -> None:
        """A part's order ended; every outcome comes once, in ring order, over restarts of eye and line."""
        ...

    def outcomes_lost(self, count: int) -> None:
        """So many outcomes were overwritten or damaged before they could be read."""
        ...

    def line_state(self, state: State) -> None:
        """The line's state, at connection and on every change; all earlier outcomes have been delivered."""
        ...

    def line_inputs(self, inputs: Inputs) -> None:
        """The levels and edge counts of the line's inputs."""
        ...

    def line_limits(self, counts: LimitCounts) -> None:
        """How far the limits are, every second and with each change of the line's state."""
        ...

    def word_acked(self, ack: Ack) -> None:
        """What became of a release or reject."""
        ...

    def line_away(self, words: str) -> None:
        """No line is connected; it is looked for again."""
        ...


class LineLink:
    """One connection at a time to the line of this station.

    `poll` belongs to one thread; the sending methods may be called by any thread, never block, and return whether
    the message went out. `newest` is the last outcome that the journal has. With a `starter`, a line
    that nobody runs is started as a child of its own session, which survives this process.
    """

    def __init__(self, station: Station, clock: Clock, newest: RingPlace, starter: Starter | None = None) -> None:
        self._station = station
        self._clock = clock
        self._newest = newest
        self._next_seq = newest.ring_seq + 1
        self._ring = station.station.state_dir / "outcomes.ring"
        self._path = station.station.run_dir / "line.sock"
        self._unit = f"kenpin-line@{station.station.name}"
        self._starter = starter
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._epoch = 0
        self._greeted = False
        self._stale = False
        self._ready = False
        self._recipe = min(station.products(), default=0)
        self._attempt_ns = 0
        self._keepalive_ns = 0
        self._heard_ns = 0
        self._peer_pid = 0
        self._stopping = False
        self._killed_at_end = False

    @property
    def is_connected(self) -> bool:
        """A line of this station has said its state."""
        return self._greeted

    @property
    def is_child(self) -> bool:
        """The connected line ends after Stop, because an eye started it."""
        return is_child(self.line_pid)

    @property
    def line_pid(self) -> int:
        """The line's process id, 0 without one."""
        return self._peer_pid if self._socket is not None else 0

    # --- what the eye says ---

    def say_ready(self, ready: bool) -> None:
        """Whether the eye can inspect; a change goes out at once, and all of it every 50 ms by `poll`."""
        changed = ready is not self._ready
        self._ready = ready
        if changed:
            self._send(self._keepalive())

    def select_recipe(self, recipe: int) -> bool:
        """Parts born from now on carry this recipe; those in flight keep theirs."""
        self._recipe = recipe
        return self._send(self._keepalive())

    def _keepalive(self) -> Keepalive:
        return Keepalive(self._clock.now_ns(), self._ready, self._recipe)

    def release(self, part: Part) -> bool:
        """Let the part pass."""
        return self._send(Release(part.part_id, part.born_ns))

    def reject(self, part: Part, kind: Kind, reason: Reason) -> bool:
        """Say that the booking stands, and why."""
        return self._send(Reject(part.part_id, part.born_ns, kind, reason))

    def ask_birth(self, token: int, born_ns: int, born_err_ns: int, recipe: int) -> bool:
        """The eye saw a part come; the line answers with the Birth that carries the token."""
        return self._send(Birth(0, token, born_ns, born_err_ns, born_ns, 0, 0, recipe, False))

    def acknowledge_outcomes(self, ring_seq: int) -> bool:
        """Outcomes up to this one are in the journal."""
        return self._send(Ack(ring_seq, AckStatus.ACCEPTED, self._clock.now_ns()))

    def hold(self, cause: str) -> bool:
        """Stop until a person acknowledges, as by a limit of the line's own."""
        return self._send(Limit(LimitAction.STOP, 0, cause_of(cause)))

    def clear_stop(self) -> bool:
        """A person acknowledged the stop."""
        return self._send(Limit(LimitAction.CLEAR, 0, b""))

    def bypass(self, for_ns: int) -> bool:
        """Let parts pass uninspected for this long, 0 ends it; the line ends it by itself. A person asked for it, and
        the journal has it."""
        return self._send(Bypass(for_ns))

    def stop(self) -> bool:
        """Finish the parts in the zone; a line that an eye started then ends, and is not started again."""
        self._stopping = True
        return self._send(Stop(self._clock.now_ns()))

    def _send(self, message: Message) -> bool:
        with self._lock:
            if self._socket is None or self._epoch == 0 or self._stale:
                return False
            return self._put(self._socket, message)

    def _put(self, line: socket.socket, message: Message) -> bool:
        try:
            line.send(pack(message, self._epoch))
        except OSError:
            return False  # the polling thread learns of a broken connection by itself; the booking stands
        return True

    # --- what the line says ---

    def poll(self, timeout_s: float, listener: Listener) -> None:
        """Pass on what the line says, waiting up to `timeout_s` for it; connect and start the line when it is away.

        Raises ConfigError when a line of another station file runs that is not an eye's child, or the line refuses
        the station file.
        """
        now_ns = self._clock.now_ns()
        if self._socket is None and now_ns >= self._attempt_ns:
            self._attempt_ns = now_ns + _ATTEMPT_NS
            self._connect(listener)
        line = self._socket
        if line is None:
            self._clock.sleep_until(min(self._attempt_ns, now_ns + round(timeout_s * SECOND)))
            return
        readable, _, _ = select.select([line], [], [], timeout_s)
        if readable:
            self._heard_ns = self._clock.now_ns()
            self._receive(line, listener)
        elif self._clock.now_ns() - self._heard_ns > _SILENT_NS:
            self._give_up_on_hung_line(listener)
        self._keep_alive()

    def _give_up_on_hung_line(self, listener: Listener) -> None:
        """A line that stands still decides nothing any more: what an eye started is killed and started again."""
        pid = self._peer_pid
        words = f"the line process {pid} hangs: no word for {_SILENT_NS // SECOND} s"
        if is_child(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self._killed_at_end = self._stopping
            self._lose(f"{words}; it is killed and replaced, look at what its gate did", listener)
        else:
            self._lose(f"{words}; restart its unit {self._unit}", listener)

    def _keep_alive(self) -> None:
        now_ns = self._clock.now_ns()
        if now_ns >= self._keepalive_ns:
            self._keepalive_ns = now_ns + KEEPALIVE_NS
            self._send(self._keepalive())

    def _connect(self, listener: Listener) -> None:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        line.setblocking(False)
        try:
            line.connect(str(self._path))
            self._peer_pid, _ = peer_of(line)
        except (FileNotFoundError, ConnectionRefusedError):
            line.close()
            self._nobody_listens(listener)
            return
        except OSError as error:
            line.close()
            listener.line_away(f"cannot connect to {self._path}: {error.strerror}; check who runs the line")
            return
        with self._lock:
            self._socket, self._epoch, self._greeted, self._stale = line, 0, False, False
        self._heard_ns = self._clock.now_ns()

    def _nobody_listens(self, listener: Listener) -> None:
        if self._stopping:
            listener.line_away("the line has ended")
            return
        if self._starter is None:
            listener.line_away(
                f"no line listens at {self._path}; if it stays so, journalctl -u {self._unit} says why: mend that, "
                f"then edge setup {self._station.source}"
            )
            return
        listener.line_away(self._starter.start())

    def _receive(self, line: socket.socket, listener: Listener) -> None:
        try:
            for _ in range(_MESSAGES_AT_ONCE):
                data = line.recv(SIZE + 1)
                if not data:
                    self._lose("the line process ended", listener)
                    return
                if not self._stale:
                    self._take(*unpack(data), listener)
        except BlockingIOError:
            return
        except VersionError as error:
            self._turn_away(error.version, listener)
        except (OSError, ProtocolError) as error:
            self._lose(f"the connection to the line broke: {error}", listener)

    def _take(self, message: Message, epoch: int, listener: Listener) -> None:
        if self._epoch == 0:
            self._epoch = epoch
        if epoch != self._epoch:
            raise ProtocolError("a message of another connection; restart both processes")
        handler = self._HANDLERS.get(type(message))
        if handler is not None:
            handler(self, message, listener)

    def _lose(self, words: str, listener: Listener) -> None:
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket, self._epoch, self._greeted = None, 0, False
        self._import(listener)
        listener.line_away(words)

    # --- messages ---

    def _born(self, message: Birth, listener: Listener) -> None:
        listener.born(message.part())

    def _ended(self, message: Outcome, listener: Listener) -> None:
        if message.ring_seq > self._next_seq:
            self._import(listener)
        if message.ring_seq >= self._next_seq:
            self._tell(message.event(), listener)

    def _tell(self, event: GateEvent, listener: Listener) -> None:
        self._next_seq = event.ring_seq + 1
        self._newest = RingPlace(event.ring_seq, event.part_id)
        listener.ended(event)

    def _state(self, message: State, listener: Listener) -> None:
        if message.station != self._station.agreed:
            self._replace(listener)
            return
        if not self._greeted:
            self._catch_up(message, listener)
            self._greeted = True
            self._send(self._keepalive())
        listener.line_state(message)

    def _catch_up(self, state: State, listener: Listener) -> None:
        self._next_seq = resume_seq(self._ring, self._newest)
        if state.next_ring_seq < self._next_seq:
            self._next_seq = 1  # a new ring
        if state.next_ring_seq > self._next_seq:
            self._import(listener)

    def _inputs(self, message: Inputs, listener: Listener) -> None:
        listener.line_inputs(message)

    def _limits(self, message: LimitCounts, listener: Listener) -> None:
        listener.line_limits(message)

    def _acked(self, message: Ack, listener: Listener) -> None:
        # part ids begin at 2**32, the eye's tokens stay below
        if message.number < 1 << 32:
            listener.birth_refused(message.number)
        else:
            listener.word_acked(message)

    _HANDLERS: ClassVar[dict[type[Any], Callable[[LineLink, Any, Listener], None]]] = {
        Birth: _born,
        Outcome: _ended,
        State: _state,
        Inputs: _inputs,
        LimitCounts: _limits,
        Ack: _acked,
    }

    def _import(self, listener: Listener) -> None:
        """Deliver the outcomes that the ring holds and the connection did not bring."""
        try:
            found = read_from(self._ring, self._next_seq)
        except DeviceError:
            return  # no line has run here yet
        for event in found.events:
            self._tell(event, listener)
        self._next_seq = max(self._next_seq, found.next_seq)
        lost = found.overwritten + found.damaged
        if lost:
            listener.outcomes_lost(lost)

    def _replace(self, listener: Listener) -> None:
        """The line runs another station file: end it if an eye started it, else refuse."""
        if not is_child(self._peer_pid):
            raise ConfigError(
                f"the line process {self._peer_pid} runs another {self._station.source.name}: restart its unit "
                f"{self._unit}"
            )
        self._send(Stop(self._clock.now_ns()))
        self._stale = True
        listener.line_away("the running line has another station file; it finishes its parts and is replaced")

    def _turn_away(self, version: int, listener: Listener) -> None:
        """The line is of before or after an upgrade. The connection stays, unused: the line rejects without a word, and
        its end is noticed."""
        self._stale = True
        words = (
            f"the line process {self._peer_pid} speaks version {version} of the eye-line protocol, this eye version "
            f"{VERSION}"
        )
        if is_child(self._peer_pid):
            with suppress(ProcessLookupError):
                os.kill(self._peer_pid, signal.SIGTERM)  # it would not understand a Stop
            listener.line_away(f"{words}; it finishes its parts and is replaced")
            return
        remedy = f"when the belt may stand, systemctl restart {self._unit}"
        listener.line_away(
            f"{words}; {remedy if version < VERSION else f'restart this eye, or after a downgrade, {remedy}'}"
        )

    def finish(self, patience_ns: int) -> bool:
        """Wait until the child line has ended after Stop; True when it has, or when this process started none."""
        return self._starter is None or self._starter.wait(patience_ns)

    def end_line(self, patience_ns: int) -> bool:
        """Make a line that this process started finish and end, though it may not have heard the Stop; False when it
        hung and was killed."""
        ended = self._starter is None or self._starter.end(patience_ns)
        return ended and not self._killed_at_end

    def close(self) -> None:
        """Disconnect; the line goes on. May be called twice."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket, self._epoch, self._greeted = None, 0, False
