"""The parts that the eye owes a verdict and the frames that wait for them: one lock around the pure pairing."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edge.clock import MS
from edge.eye.jobs import Job, PutJob
from edge.eye.slots import Slots
from edge.judge import Decision, worst
from edge.pairing import Missing, Paired, Pairing, Result, Sighting, View
from edge.records import Kind, Part, Reason

# A part without a frame is given up this long before its deadline, so that the line hears the reason in time.
LAST_WORD_NS = 3 * MS
# Frames wait so long for a birth that a debounced or polled trigger tells late.
HOLD_NS = 500 * MS
MAX_PARTS = 1_024
_NEVER_NS = 1 << 62


@dataclass(frozen=True, slots=True)
class Settled:
    """All views of a part are decided: the worst decision, the highest score (NaN without one), the last capture."""

    part: Part
    decision: Decision
    score: float
    captured_ns: int


@dataclass(slots=True)
class _Open:
    part: Part
    undecided: int
    heard_ns: int
    decisions: list[Decision] = field(default_factory=list)
    score: float = math.nan
    captured_ns: int = 0


class Parts:
    """Any thread may call. `settled` is called outside the lock, by the thread that brought the last decision.

    Pictures to be judged go to `put_job`; a slot is freed by whoever takes the job, or here when there is none.
    """

    def __init__(
        self,
        views: Sequence[View],
        slots: Sequence[Slots],
        settled: Callable[[Settled], None],
        count_frame: Callable[[str], None],
        put_job: PutJob,
    ) -> None:
        self._views = len(views)
        self._slots = slots
        self._settled = settled
        self._count_frame = count_frame
        self._put_job = put_job
        self._lock = threading.Lock()
        max_frames = max(2, min(slot.count for slot in slots) // 2)
        self._pairing = Pairing(views, MAX_PARTS, max_frames, HOLD_NS)
        self._open: dict[int, _Open] = {}

    def born(self, part: Part, heard_ns: int) -> None:
        """The line told a birth, which was heard now."""
        with self._lock:
            self._open[part.part_id] = _Open(part, self._views, heard_ns)
            settled = self._apply(self._pairing.birth(part, part.deadline_ns - LAST_WORD_NS))
        self._pass_on(settled)

    def frame(self, sighting: Sighting) -> None:
        """A camera delivered a frame."""
        with self._lock:
            settled = self._apply(self._pairing.frame(sighting))
        self._pass_on(settled)

    def expire(self, now_ns: int) -> None:
        """Give up on frames and births that did not come."""
        with self._lock:
            settled = self._apply(self._pairing.expire(now_ns))
        self._pass_on(settled)

    def judged(self, job: Job, decision: Decision, score: float) -> None:
        """A view was judged."""
        with self._lock:
            settled = self._decide(job.part.part_id, decision, score, job.captured_ns)
        self._pass_on(settled)

    def ended(self, part_id: int) -> float:
        """The part's order ended; returns its score, NaN without one."""
        with self._lock:
            opened = self._open.pop(part_id, None)
        return math.nan if opened is None else opened.score

    def lost(self, session: int) -> list[Part]:
        """A new line process runs: the parts of earlier ones, which no outcome will come for."""
        with self._lock:
            gone = [part_id for part_id in self._open if part_id >> 32 != session]
            return [self._open.pop(part_id).part for part_id in gone]

    def close(self) -> None:
        """Nothing comes any more: what still waits for its other half stays without it."""
        self.expire(_NEVER_NS)

    @property
    def open_parts(self) -> int:
        """Parts that have been born and have not ended."""
        return len(self._open)

    def next_limit_ns(self) -> int | None:
        """When `expire` has to be called next, None while nothing waits."""
        with self._lock:
            return self._pairing.next_limit_ns()

    def _apply(self, results: Sequence[Result]) -> list[Settled]:
        return [settled for result in results for settled in self._one(result)]

    def _one(self, result: Result) -> list[Settled]:
        if isinstance(result, Missing):
            return self._decide(result.part.part_id, (Kind.UNKNOWN, result.reason), math.nan, 0)
        frame = result.frame
        if not isinstance(result, Paired):
            self._count_frame("unpaired")
            self._slots[frame.view].free(frame.slot)
            return []
        self._count_frame("paired")
        if frame.reason is Reason.NONE:
            opened = self._open.get(result.part.part_id)
            ready_ns = max(frame.received_ns, opened.heard_ns if opened else 0)
            self._put_job(Job(result.part, frame.view, frame.slot, frame.captured_ns, ready_ns))
            return []
        self._slots[frame.view].free(frame.slot)
        return self._decide(result.part.part_id, (Kind.UNKNOWN, frame.reason), math.nan, frame.captured_ns)

    def _decide(self, part_id: int, decision: Decision, score: float, captured_ns: int) -> list[Settled]:
        opened = self._open.get(part_id)
        if opened is None:
            return []  # its order has ended without this word
        opened.decisions.append(decision)
        opened.undecided -= 1
        opened.captured_ns = max(opened.captured_ns, captured_ns)
        opened.score = score if math.isnan(opened.score) else max(opened.score, score)
        if opened.undecided:
            return []
        decided = worst(opened.decisions)
        if self._pairing.is_doubted(part_id):
            decided = (Kind.UNKNOWN, Reason.AMBIGUOUS)
        return [Settled(opened.part, decided, opened.score, opened.captured_ns)]

    def _pass_on(self, settled: Sequence[Settled]) -> None:
        for one in settled:
            self._settled(one)
