"""The first picture after a gap without any, beside pictures in a row from the same moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.looks import Looks
from edge.clock import SECOND, Clock
from edge.eye.inference import KEEP_WARM_S
from edge.eye.student import Student, prove
from edge.pixels import Image

MEASURED_S = 30.0  # a gap is measured so often that its gaps take this long together,
MOST_TIMES = 5  # but at most so often, and once
IN_A_ROW = 10  # pictures before each gap


@dataclass(frozen=True, slots=True)
class IdleGap:
    """Picture to verdict of the first picture after gaps of one length: the median of `times`, and over `busy_p50_ms`.

    `busy_p50_ms` is of pictures in a row just before these gaps. In `kept_warm` gaps an inference runs every
    KEEP_WARM_S, as in the eye; None where the gap is too short for one. In `left_alone` gaps nothing runs.
    """

    times: int
    busy_p50_ms: float
    kept_warm_ms: float | None
    kept_warm_ratio: float | None
    left_alone_ms: float
    left_alone_ratio: float


def gap_name(gap_s: float) -> str:
    """A gap as a key of the result: "100ms", "10s"."""
    return f"{gap_s:g}s" if gap_s >= 1 else f"{gap_s * 1_000:g}ms"


def idle_gaps(
    student: Student, pictures: Sequence[Image], clock: Clock, gaps_s: Sequence[float]
) -> dict[str, IdleGap]:
    """Each gap by its name, in the order of `gaps_s`. Raises ConfigError, EngineError."""
    return {gap_name(gap_s): _measured(student, pictures, clock, gap_s) for gap_s in gaps_s}


def _measured(student: Student, pictures: Sequence[Image], clock: Clock, gap_s: float) -> IdleGap:
    times = max(1, min(MOST_TIMES, int(MEASURED_S / gap_s)))
    busy, warm, cold = (Looks(student, pictures, clock) for _ in range(3))
    for _ in range(times):
        if gap_s > KEEP_WARM_S:
            _after_a_row(busy, warm, student, clock, gap_s, stays_warm=True)
        _after_a_row(busy, cold, student, clock, gap_s, stays_warm=False)
    busy_ms, warm_ms, cold_ms = (looks.p50_ms("capture_to_verdict") for looks in (busy, warm, cold))
    return IdleGap(
        times,
        round(busy_ms, 4),
        round(warm_ms, 4) if warm.count else None,
        round(warm_ms / busy_ms, 3) if warm.count else None,
        round(cold_ms, 4),
        round(cold_ms / busy_ms, 3),
    )


def _after_a_row(busy: Looks, first: Looks, student: Student, clock: Clock, gap_s: float, stays_warm: bool) -> None:
    """Pictures in a row, a gap, and one picture."""
    for _ in range(IN_A_ROW):
        busy.look(clock.now_ns())
    until_ns = clock.now_ns() + round(gap_s * SECOND)
    while stays_warm and clock.now_ns() + KEEP_WARM_S * SECOND < until_ns:
        clock.sleep_until(clock.now_ns() + round(KEEP_WARM_S * SECOND))
        prove(student, clock)
    clock.sleep_until(until_ns)
    first.look(clock.now_ns())
