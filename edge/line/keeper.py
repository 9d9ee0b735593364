"""The line's loop: waits for the eye, the trigger and the next edge's instant, and does what the core says."""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from edge.clock import MS, SECOND, Clock
from edge.errors import OutputError
from edge.line import realtime
from edge.line.core import LineCore
from edge.line.events import (
    Action,
    Arm,
    Armed,
    ArmFailed,
    BeatPlc,
    End,
    Event,
    GateWritten,
    Keep,
    OutputFailed,
    OutputRested,
    PermitWritten,
    Rest,
    Say,
    Send,
    TellPlc,
    Which,
    WriteGate,
    WritePermit,
)
from edge.line.eye_link import EyeLink
from edge.line.log import Log
from edge.line.outputs import Output
from edge.line.ring import OutcomeRing

_AHEAD_NS = MS  # waking from select is this much too early, the rest is slept to the instant
PlcWords = Callable[[TellPlc | BeatPlc], None]  # takes a word for the PLC, without waiting
_COLLECT_EVERY_NS = 10 * SECOND
_COLLECT_NEEDS_NS = 100 * MS


class Mailbox:
    """Events from other threads and signal handlers; its file number is readable while there are some."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._fileno = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._fileno

    def put(self, event: Event) -> None:
        """Add an event and wake the keeper; never blocks."""
        self._events.append(event)
        os.eventfd_write(self._fileno, 1)

    def take(self) -> list[Event]:
        """All events so far, in order."""
        try:
            os.eventfd_read(self._fileno)
        except BlockingIOError:
            return []
        return [self._events.popleft() for _ in range(len(self._events))]

    def close(self) -> None:
        os.close(self._fileno)


class Keeper:
    """Runs the core on real devices until it ends. `permit` is None where none is driven; the caller closes all.
    `tell_plc` takes the words for a PLC that owns the gate. `turned` is called at least once a second while the loop
    turns and no edge is due, and must not wait."""

    def __init__(
        self,
        core: LineCore,
        gate: Output,
        permit: Output | None,
        link: EyeLink,
        ring: OutcomeRing,
        mailbox: Mailbox,
        clock: Clock,
        log: Log,
        tell_plc: PlcWords | None = None,
        turned: Callable[[], None] = lambda: None,
    ) -> None:
        self._core = core
        self._gate = gate
        self._permit = permit
        self._link = link
        self._ring = ring
        self._mailbox = mailbox
        self._clock = clock
        self._log = log
        self._tell_plc = tell_plc
        self._turned = turned
        self._ended = False
        self._collected_ns = clock.now_ns()

    def run(self) -> None:
        """Until the core says End; then both outputs stand at rest as well as they can."""
        self._carry_out([])
        while not self._ended:
            self._carry_out(self._wait())

    def _wait(self) -> list[Event]:
        """What happened before the next thing is due; an edge's instant is hit as precisely as this machine can."""
        now_ns = self._clock.now_ns()
        edge_ns = self._core.gate_edge_ns
        if edge_ns is not None and edge_ns - now_ns <= _AHEAD_NS:
            self._clock.sleep_until(edge_ns)
            return []
        self._turned()
        due_ns = self._core.due_ns(now_ns)
        self._collect_in_peace(now_ns, due_ns)
        if due_ns == edge_ns:
            due_ns -= _AHEAD_NS
        return self._read(max(0, due_ns - now_ns) / SECOND)

    def _read(self, wait_s: float) -> list[Event]:
        """Births first, so that a word for a part never overtakes its birth."""
        readable, _, _ = select.select([self._mailbox.fileno(), *self._link.filenos()], [], [], wait_s)
        if not readable:
            return []
        events = self._mailbox.take() if self._mailbox.fileno() in readable else []
        return events + self._link.read(readable)

    def _collect_in_peace(self, now_ns: int, due_ns: int) -> None:
        if now_ns - self._collected_ns > _COLLECT_EVERY_NS and due_ns - now_ns > _COLLECT_NEEDS_NS:
            self._collected_ns = now_ns
            realtime.collect()

    def _carry_out(self, events: list[Event]) -> None:
        """Step the core until its actions have no more results; a gate edge that is due goes before all else.

        A write may take long. What happened meanwhile goes to the core with its result, or it would judge by a belt,
        an encoder and an eye that seem to have stood still.
        """
        edge_ns = self._core.gate_edge_ns
        if edge_ns is not None and edge_ns <= self._clock.now_ns():
            events = self._do(self._core.take_edge(self._clock.now_ns())) + events + self._read(0)
        while True:
            results = self._do(self._core.step(self._clock.now_ns(), self._clock.wall_ns(), events))
            if not results:
                return
            events = results + self._read(0)

    def _do(self, actions: list[Action]) -> list[Event]:
        return [result for action in actions for result in self._DOINGS[type(action)](self, action)]

    def _write_gate(self, action: WriteGate) -> list[Event]:
        issued_ns = self._clock.now_ns()
        try:
            confirmed_ns = self._gate.write(action.edge.active)
        except OutputError as error:
            return [OutputFailed(Which.GATE, issued_ns, str(error))]
        return [GateWritten(action.edge, issued_ns, confirmed_ns, self._clock.now_ns())]

    def _write_permit(self, action: WritePermit) -> list[Event]:
        if self._permit is None:
            return []
        issued_ns = self._clock.now_ns()
        try:
            self._permit.write(action.on)
        except OutputError as error:
            return [OutputFailed(Which.PERMIT, issued_ns, str(error))]
        return [PermitWritten(action.on)]

    def _output(self, which: Which) -> Output | None:
        return self._gate if which is Which.GATE else self._permit

    def _rest(self, action: Rest) -> list[Event]:
        output = self._output(action.which)
        if output is None:
            return []
        issued_ns = self._clock.now_ns()
        try:
            output.rest()
        except OutputError as error:
            return [OutputFailed(action.which, issued_ns, str(error))]
        return [OutputRested(action.which)]

    def _arm(self, _action: Arm) -> list[Event]:
        """The permit first: the belt stands before the gate is touched."""
        try:
            for output in (self._permit, self._gate):
                if output is not None:
                    output.arm()
        except OutputError as error:
            return [ArmFailed(str(error))]
        return [Armed()]

    def _tell(self, action: TellPlc | BeatPlc) -> list[Event]:
        if self._tell_plc is not None:
            self._tell_plc(action)
        return []

    def _send(self, action: Send) -> list[Event]:
        return self._link.send(action.message)

    def _keep(self, action: Keep) -> list[Event]:
        self._ring.append(action.event)
        return []

    def _say(self, action: Say) -> list[Event]:
        self._log.say(action.words)
        return []

    def _end(self, _action: End) -> list[Event]:
        self._ended = True
        for which in (Which.PERMIT, Which.GATE):
            for event in self._rest(Rest(which)):
                if isinstance(event, OutputFailed):
                    self._log.say(
                        f"the {which.value} could not be brought to rest: {event.words}; check it by hand"
                    )
        return []

    _DOINGS: ClassVar[dict[type[Any], Callable[[Keeper, Any], list[Event]]]] = {
        WriteGate: _write_gate,
        WritePermit: _write_permit,
        Rest: _rest,
        Arm: _arm,
        TellPlc: _tell,
        BeatPlc: _tell,
        Send: _send,
        Keep: _keep,
        Say: _say,
        End: _end,
    }
