"""Measures one student on this machine: the bare engine, the pixels, a paced line, saturation and idle gaps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from statistics import median
from typing import Any

from edge.clock import MS, SECOND, Clock
from edge.eye.inference import KEEP_WARM_S
from edge.eye.student import Student, prove
from edge.pixels import Image
from edge.records import Kind, Reason
from edge.timing import Series, Stamps

BURN_IN = 10
ROUNDS = 16  # the bare engine and saturation take turns, so that a machine's moods meet both
STAGES = ("pixels", "engine", "judge", "capture_to_verdict")

Figures = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Profile:
    """Times in milliseconds, each p50, p90, p99, p999 and max; rates in pictures per second.

    `engine` and `pixels` are each measured alone. `paced` is from the instant a picture is due, at `rate_hz`, to its
    verdict; `saturation` from picture to verdict with the next one always waiting. `beyond_engine_ms` is what p50 at
    saturation has over the bare engine's, pixels included. `possible_per_s` is 1 / (pixels + engine) with the mean
    times of the same run at saturation, so that a machine that slows down meanwhile does not show as overhead.
    """

    pictures: int
    engine: Figures
    pixels: Figures
    rate_hz: float
    paced: Figures
    saturation: Figures
    beyond_engine_ms: float
    sustained_per_s: float
    possible_per_s: float
    idle_s: float
    after_idle_warm_ms: float | None
    after_idle_cold_ms: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def medians(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The median of each figure over several runs' `to_dict`; what is not a number is the first one's."""
    first = runs[0]
    told: dict[str, Any] = {}
    for key, value in first.items():
        each = [run[key] for run in runs]
        if isinstance(value, dict):
            told[key] = medians(each)
        elif all(isinstance(one, int | float) for one in each) and len(set(each)) > 1:
            told[key] = round(median(each), 4)
        else:
            told[key] = value
    return told


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


def profile(
    student: Student, pictures: Sequence[Image], clock: Clock, seconds: float, rate_hz: float, idle_s: float
) -> tuple[Profile, Looks]:
    """Measure for about `seconds` and two idle gaps of `idle_s` (0: none); also returns the looks at saturation.

    pictures: uint8 H x W x 3 (BGR) or H x W, at least one. Raises ConfigError when one does not fit the model,
    EngineError when the engine fails.
    """
    part_ns = round(seconds / 4 * SECOND)
    pixels = _pixels_alone(student, pictures, clock, part_ns)
    paced = _paced(student, pictures, clock, part_ns, rate_hz)
    engine, looks, elapsed_ns = Series(), Looks(student, pictures, clock), 0
    for _ in range(ROUNDS):
        _engine_alone(student, pictures[0], clock, part_ns // ROUNDS, engine)
        elapsed_ns += _saturate(looks, clock, part_ns // ROUNDS)
    warm, cold = (_after_idle_ms(student, pictures[0], clock, idle_s, stays_warm) for stays_warm in (True, False))
    saturation = looks.stages["capture_to_verdict"]
    measured = Profile(
        pictures=len(pictures),
        engine=engine.summary(MS),
        pixels=pixels.summary(MS),
        rate_hz=rate_hz,
        paced=paced.stages["capture_to_verdict"].summary(MS),
        saturation=saturation.summary(MS),
        beyond_engine_ms=round(_p50_ms(saturation) - _p50_ms(engine), 4),
        sustained_per_s=round(looks.count * SECOND / elapsed_ns, 2),
        possible_per_s=round(looks.count * SECOND / looks.inside_ns, 2),
        idle_s=idle_s,
        after_idle_warm_ms=warm,
        after_idle_cold_ms=cold,
    )
    return measured, looks


def _p50_ms(series: Series) -> float:
    return series.summary(MS)["p50"] or 0.0


def _repeat(step: Callable[[], object], clock: Clock, part_ns: int, series: Series) -> None:
    """Add how long each `step` takes, one after the other for `part_ns`; at least once."""
    until_ns = clock.now_ns() + part_ns
    while True:
        began_ns = clock.now_ns()
        step()
        ended_ns = clock.now_ns()
        series.add(ended_ns - began_ns)
        if ended_ns >= until_ns:
            return


def _engine_alone(student: Student, picture: Image, clock: Clock, part_ns: int, series: Series) -> None:
    student.pixels.to_input(picture, student.engine.input)
    student.engine.infer()  # the resize has emptied the caches
    _repeat(student.engine.infer, clock, part_ns, series)


def _pixels_alone(student: Student, pictures: Sequence[Image], clock: Clock, part_ns: int) -> Series:
    numbers = count()

    def step() -> None:
        student.pixels.to_input(pictures[next(numbers) % len(pictures)], student.engine.input)

    for _ in range(BURN_IN):
        step()
    series = Series()
    _repeat(step, clock, part_ns, series)
    return series


def _paced(student: Student, pictures: Sequence[Image], clock: Clock, part_ns: int, rate_hz: float) -> Looks:
    """A picture every 1 / `rate_hz`; one that comes while another is judged waits, and its wait counts."""
    looks = Looks(student, pictures, clock)
    begin_ns = clock.now_ns()
    for number in range(max(1, int(part_ns * rate_hz / SECOND))):
        due_ns = begin_ns + round((number + 1) * SECOND / rate_hz)
        clock.sleep_until(due_ns)
        looks.look(due_ns)
    return looks


def _saturate(looks: Looks, clock: Clock, part_ns: int) -> int:
    """Judge pictures back to back for `part_ns`, at least one; returns how long that took in ns."""
    begin_ns = now_ns = clock.now_ns()
    while True:
        looks.look(now_ns)
        now_ns = clock.now_ns()
        if now_ns >= begin_ns + part_ns:
            return now_ns - begin_ns


def _after_idle_ms(student: Student, picture: Image, clock: Clock, idle_s: float, stays_warm: bool) -> float | None:
    """Picture to verdict of the first picture after a gap, kept warm meanwhile as the eye does, or not."""
    if idle_s <= 0:
        return None
    until_ns = clock.now_ns() + round(idle_s * SECOND)
    while stays_warm and clock.now_ns() + KEEP_WARM_S * SECOND < until_ns:
        clock.sleep_until(clock.now_ns() + round(KEEP_WARM_S * SECOND))
        prove(student, clock)
    clock.sleep_until(until_ns)
    looks = Looks(student, [picture], clock)
    looks.look(clock.now_ns())
    return looks.stages["capture_to_verdict"].summary(MS)["max"]
