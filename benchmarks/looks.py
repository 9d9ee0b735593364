"""Pictures judged one after the other by one student, each stage timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import count

from edge.clock import MS, Clock
from edge.eye.student import Student
from edge.pixels import Image
from edge.records import Kind, Reason
from edge.timing import Series, Stamps, percentile

STAGES = ("pixels", "engine", "judge", "capture_to_verdict")


class Looks:
    """Pictures judged one after the other, their stages timed and their verdicts counted."""

    def __init__(self, student: Student, pictures: Sequence[Image], clock: Clock) -> None:
        self._student = student
        self._pictures = pictures
        self._clock = clock
        self._next = count()
        self.stages = {stage: Series() for stage in STAGES}
        self.verdicts: Counter[Kind] = Counter()
        self.reasons: Counter[Reason] = Counter()
        self.inside_ns = 0  # spent in pixels and engine

    def look(self, captured_ns: int) -> None:
        """Judge the next picture, which was there at `captured_ns`."""
        image = self._pictures[next(self._next) % len(self._pictures)]
        stamps = Stamps(captured_ns=captured_ns, taken_ns=self._clock.now_ns())
        kind, reason = self._student.judge(self._student.look(image, stamps, self._clock))
        stamps.judged_ns = self._clock.now_ns()
        self._add(stamps)
        self.verdicts[kind] += 1
        self.reasons[reason] += kind is Kind.UNKNOWN

    def _add(self, stamps: Stamps) -> None:
        self.inside_ns += stamps.engine_ns - stamps.taken_ns
        self.stages["pixels"].add(stamps.pixels_ns - stamps.taken_ns)
        self.stages["engine"].add(stamps.engine_ns - stamps.pixels_ns)
        self.stages["judge"].add(stamps.judged_ns - stamps.engine_ns)
        self.stages["capture_to_verdict"].add(stamps.judged_ns - stamps.captured_ns)

    @property
    def count(self) -> int:
        """How many pictures were judged."""
        return self.stages["capture_to_verdict"].count

    def p50_ms(self, stage: str, newest: int | None = None) -> float:
        """The median of one of STAGES, over all pictures or the newest; 0 before the first."""
        return p50_ms(self.stages[stage], newest)


def p50_ms(series: Series, newest: int | None = None) -> float:
    """The median in milliseconds, of all that `series` holds or of the newest; 0 where it is empty."""
    ordered = series.newest() if newest is None else series.newest(newest)
    return percentile(ordered, 0.5) / MS if ordered else 0.0


def saturate(looks: Looks, clock: Clock, part_ns: int) -> None:
    """Judge pictures back to back for `part_ns`, at least one."""
    now_ns = clock.now_ns()
    until_ns = now_ns + part_ns
    while True:
        looks.look(now_ns)
        now_ns = clock.now_ns()
        if now_ns >= until_ns:
            return
