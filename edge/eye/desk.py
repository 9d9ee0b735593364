"""Where verdicts become words to the line and records: rejects at once, releases only after their commit."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from edge.clock import SECOND, Clock
from edge.eye.held import UNNAMED, Held
from edge.eye.jobs import PutJob
from edge.eye.parts import Parts, Settled
from edge.eye.recorder import Recorder
from edge.eye.slots import Slots
from edge.eye.student import Student
from edge.health import Health, Level, Progress, Standing
from edge.journal.events import Journal
from edge.journal.rows import Decided, Note, Record
from edge.line.messages import Ack, Inputs, LimitCounts, LineState, State
from edge.line_link import LineLink
from edge.pairing import View
from edge.records import GateEvent, GateOutcome, Kind, Part, Reason, Verdict
from edge.report import Counts
from edge.timing import Timing

log = logging.getLogger(__name__)

SOURCE = "line"
_POLL_NS = 50_000_000
_SOON_NS = 10_000_000  # the line hears at once that the eye has become ready
# How a part ended, with the verdict that counted and its score (NaN without one); called by the line's thread.
Told = Callable[[GateEvent, Kind, Reason, float], None]
_MISSED = (Reason.LATE, Reason.NO_VERDICT)
_LEVELS = {
    LineState.READY: Level.READY,
    LineState.STOPPED: Level.STOPPED,
    LineState.FAULT: Level.FAULT,
    LineState.STOPPING: Level.STOPPING,
    LineState.BYPASSED: Level.BYPASSED,
}
_NOTHING_TO_HOLD = (LineState.STARTING, LineState.STOPPED, LineState.STOPPING)


class Desk:
    """Listens to the line (its thread runs `run`), takes settled parts from `parts` and commits from `recorder`.

    A PASS goes to the journal first and to the line when it is on the disk; REJECT and UNKNOWN go to both at once.
    `left_open` are parts of earlier runs with a verdict and no outcome: the ring still has it, or their line is lost.
    `newest_part` is the greatest id that has been heard of, ever.
    """

    def __init__(
        self,
        link: LineLink,
        journal: Journal,
        students: dict[int, Student],
        views: Sequence[View],
        slots: Sequence[Slots],
        put_job: PutJob,
        clock: Clock,
        counts: Counts,
        timing: Timing,
        health: Health,
        progress: Progress,
        disk_stops: bool,
        held: Held,
        left_open: Sequence[Part] = (),
        newest_part: int = 0,
    ) -> None:
        self._link = link
        self._students = students
        self._clock = clock
        self._counts = counts
        self._timing = timing
        self._health = health
        self._progress = progress
        self._held = held
        self._captured: dict[int, int] = {}
        self._left_open = {part.part_id: part for part in left_open}
        self.newest_part = newest_part
        self._started_wall_ns = clock.wall_ns()
        self._line: State | None = None
        self._has_heard_line = False
        self._line_words = "the line process is looked for"
        self.limit_counts: LimitCounts | None = None  # as the line told them last; None while none is connected
        self._bypass_until_ns = 0
        self._bypass_ends = ""
        self._then: dict[int, tuple[Note, Callable[[], None]]] = {}
        self.may_start = threading.Event()
        self.ready_ns: int | None = None
        self.has_finished = False  # the line was told to stop, and its zone is empty
        self.outcomes_gone = 0
        self._told: list[Told] = []
        self.parts = Parts(views, slots, self.settled, counts.frame, put_job)
        self.recorder = Recorder(journal, clock, health, progress, self.committed, disk_stops)

    def tell(self, listener: Told) -> None:
        """Call this for every part that ends in this run, before the threads start."""
        self._told.append(listener)

    # --- the line's thread ---

    def run(self, stop: threading.Event) -> None:
        """Listen to the line and give up on what does not come."""
        while not stop.is_set():
            limit_ns = self.parts.next_limit_ns()
            now_ns = self._clock.now_ns()
            is_ready = self._health.is_ready
            longest_ns = _POLL_NS if is_ready else _SOON_NS
            wait_ns = longest_ns if limit_ns is None else min(longest_ns, max(0, limit_ns - now_ns))
            self._link.say_ready(is_ready)
            self._link.poll(wait_ns / 1e9, self)
            self.parts.expire(self._clock.now_ns())
            self.recorder.watch()
            self._progress.beat(SOURCE)

    def born(self, part: Part) -> None:
        """A part was born."""
        self.newest_part = max(self.newest_part, part.part_id)
        self.parts.born(part, self._clock.now_ns())

    def birth_refused(self, token: int) -> None:
        """The line did not take the birth: its frame finds no part and is counted as unpaired."""
        log.warning("the line refused the birth of frame %d", token)

    def ended(self, event: GateEvent) -> None:
        """A part's order ended; it is counted if it ended in this run.

        What ended before comes before the line's first state; only there the wall clock tells, as nothing else does.
        """
        self.newest_part = max(self.newest_part, event.part_id)
        score = self.parts.ended(event.part_id)
        self._captured.pop(event.part_id, None)
        self._left_open.pop(event.part_id, None)
        self.recorder.put(event)
        if self._has_heard_line or event.ended_wall_ns >= self._started_wall_ns:
            kind, reason = _final(event)
            self._end(event, kind, reason, score, in_time=event.reason not in _MISSED)

    def _end(self, event: GateEvent, kind: Kind, reason: Reason, score: float, in_time: bool) -> None:
        self._counts.part(event, kind, reason, score, in_time)
        for listener in self._told:
            listener(event, kind, reason, score)

    def outcomes_lost(self, count: int) -> None:
        """Outcomes were overwritten in the ring, or damaged, before they could be read."""
        self.outcomes_gone += count
        self.note("outcomes lost", f"{count} outcomes were overwritten or damaged before the journal had them")

    def line_state(self, state: State) -> None:
        """The line's state; a new line process takes over the parts of an earlier one as lost."""
        for part in self.parts.lost(state.session):
            lost = self._line_lost(part)
            self._end(lost, lost.verdict, lost.reason, math.nan, in_time=True)
        for part in [part for part in self._left_open.values() if part.part_id >> 32 != state.session]:
            del self._left_open[part.part_id]
            self._line_lost(part)
        before, self._line = self._line, state
        self._has_heard_line = True
        if before is not None and before.state is LineState.STOPPING is not state.state:
            self.has_finished = True
        self._watch_bypass(state.bypass_until_ns)
        if before is None or before.state is not state.state:
            self._line_became(state)
        if self._held.cause and state.state not in _NOTHING_TO_HOLD:
            self._link.hold(self._held.cause)  # it was stopped before a crash or restart, and nobody has looked
        if state.state is LineState.READY and self._health.is_ready:
            self.ready_ns = self.ready_ns or self._clock.now_ns()
            self.may_start.set()

    def _line_became(self, state: State) -> None:
        then = None
        if state.state is LineState.STOPPED:
            self._held.stopped(state.words())
            then = self._held.keep
        self.note("line", f"{state.state.name}: {state.words() or 'no fault'}", then)

    def _watch_bypass(self, until_ns: int) -> None:
        if self._bypass_until_ns and not until_ns:
            self.note("bypass", "over")
        if until_ns and until_ns != self._bypass_until_ns:
            ends_wall_ns = self._clock.wall_ns() + until_ns - self._clock.now_ns()
            self._bypass_ends = datetime.fromtimestamp(ends_wall_ns // SECOND).strftime("%H:%M:%S")
        self._bypass_until_ns = until_ns

    def line_inputs(self, inputs: Inputs) -> None:
        """Nothing depends on the levels of the inputs here."""

    def line_limits(self, counts: LimitCounts) -> None:
        """How far the line's limits are."""
        self.limit_counts = counts

    def word_acked(self, ack: Ack) -> None:
        """The outcome of the part tells what became of the word."""

    def line_away(self, words: str) -> None:
        """No line is connected."""
        if self._line is not None:
            self.note("line", f"away: {words}")
            self._watch_bypass(0)
        self._line = self.limit_counts = None
        self._line_words = words

    def _line_lost(self, part: Part) -> GateEvent:
        """The line process ended with this part in its zone: what the gate did is not known."""
        lost = GateEvent(
            ring_seq=0,
            part_id=part.part_id,
            born_ns=part.born_ns,
            born_err_ns=part.born_err_ns,
            deadline_ns=part.deadline_ns,
            planned_ns=0,
            written_ns=0,
            confirmed_ns=0,
            ended_wall_ns=self._clock.wall_ns(),
            recipe=part.recipe,
            outcome=GateOutcome.LATE,
            verdict=Kind.UNKNOWN,
            reason=Reason.LINE_LOST,
        )
        self._captured.pop(part.part_id, None)
        self.recorder.put(lost)
        return lost

    # --- verdicts ---

    def settled(self, settled: Settled) -> None:
        """All views of a part are decided."""
        verdict = self._verdict(settled)
        if settled.captured_ns:
            self._timing.decided(settled.captured_ns, verdict.decided_ns)
        if verdict.kind is Kind.PASS:
            self._captured[verdict.part_id] = settled.captured_ns
        elif verdict.kind is Kind.REJECT or settled.part.releasable:
            # of other parts the line knows better why they may not pass
            self._link.reject(settled.part, verdict.kind, verdict.reason)
        self.recorder.put(Decided(settled.part, verdict))

    def _verdict(self, settled: Settled) -> Verdict:
        part, (kind, reason) = settled.part, settled.decision
        now_ns = self._clock.now_ns()
        if now_ns >= part.deadline_ns:
            kind, reason = Kind.UNKNOWN, Reason.LATE
        elif kind is Kind.PASS and not part.releasable:
            kind, reason = Kind.UNKNOWN, Reason.PURGE
        elif kind is Kind.PASS and self.recorder.failing:
            kind, reason = Kind.UNKNOWN, Reason.JOURNAL
        student = self._students.get(part.recipe)
        threshold = student.entry.threshold if student else math.nan
        model = student.entry.sha256 if student else ""
        return Verdict(part.part_id, kind, reason, settled.score, threshold, model, now_ns)

    def committed(self, record: Record) -> None:
        """A record is on the disk: now a PASS may let its part go."""
        self._counts.record(committed=True)
        if isinstance(record, Decided) and record.verdict.kind is Kind.PASS:
            self._release(record)
        elif isinstance(record, GateEvent) and record.ring_seq:
            self._link.acknowledge_outcomes(record.ring_seq)
        elif isinstance(record, Note):
            self._recorded(record)

    def _release(self, record: Decided) -> None:
        """The line refuses a release after the deadline; telling it is still worth the reason it records."""
        sent = self._link.release(record.part)
        captured_ns = self._captured.pop(record.part.part_id, 0)
        if sent and captured_ns:
            self._timing.released(captured_ns, self._clock.now_ns())

    def note(self, kind: str, words: str, then: Callable[[], None] | None = None) -> None:
        """Put an act or a change of the station's state into the journal and the log.

        `then` is called by the journal's thread when the note is on the disk, which may never be.
        """
        log.info("%s: %s", kind, words)
        note = Note(self._clock.wall_ns(), kind, words)
        if then is not None:
            self._then[id(note)] = note, then  # the note too: while it lives, its id is no other's
        self.recorder.put(note)

    def _recorded(self, note: Note) -> None:
        waiting = self._then.pop(id(note), None)
        if waiting is not None:
            waiting[1]()

    # --- what the station is doing ---

    @property
    def line(self) -> State | None:
        """What the line said last; None while none is connected."""
        return self._line

    @property
    def permit(self) -> bool:
        """Whether the line permit is on."""
        line = self._line  # its thread may set it to None at any time
        return line is not None and line.permit

    @property
    def stopped_by(self) -> str:
        """The limit that holds the line until a person acknowledges; empty when none does."""
        line = self._line
        return line.words() or UNNAMED if line is not None and line.state is LineState.STOPPED else ""

    @property
    def line_now(self) -> LineState | None:
        """What the line is doing, None while none is connected."""
        line = self._line
        return None if line is None else line.state

    @property
    def recipe(self) -> int | None:
        """What the line gives every part that is born from now on, None while none is connected."""
        line = self._line
        return None if line is None else line.recipe

    def standing(self) -> Standing:
        """The state of the whole station with its first cause: the eye's own first, then the line's.

        A bypass is shown before all that it makes no matter.
        """
        own, line = self._health.standing, self._line
        if line is not None and line.state is LineState.BYPASSED:
            more = own.cause or line.words()
            ends = f"parts pass uninspected until {self._bypass_ends}"
            return Standing(Level.BYPASSED, f"{ends}; {more}" if more else ends)
        if own.level is not Level.READY:
            return own
        if line is None:
            return Standing(Level.NOT_READY, self._line_words)
        level = _LEVELS.get(line.state, Level.NOT_READY)
        words = line.words() or f"the line is {line.state.name.lower()}"
        return Standing(level, "" if level is Level.READY else words)


def _final(event: GateEvent) -> tuple[Kind, Reason]:
    """The verdict that counted: a PASS that did not open the gate, for a reason of the line, passed nobody."""
    if event.verdict is Kind.PASS and event.outcome is GateOutcome.FIRED:
        return Kind.UNKNOWN, event.reason
    return event.verdict, event.reason
