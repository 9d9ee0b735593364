"""Measures one student on this machine: the bare engine, the pixels, a paced line, saturation and idle gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from statistics import median
from typing import Any

from benchmarks.course import Histogram, Moment, histogram
from benchmarks.idle import IdleGap, idle_gaps
from benchmarks.looks import STAGES, Looks, p50_ms, saturate
from benchmarks.recorder import Span
from benchmarks.steady import Usage
from edge.clock import MS, SECOND, Clock
from edge.eye.student import Student
from edge.infer import Engine
from edge.pixels import Image
from edge.timing import Series

BURN_IN = 10
ROUNDS = 16  # the bare engine and saturation take turns, so that a machine's moods meet both

Figures = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long is measured, at which paced rate, and after which gaps."""

    seconds: float
    rate_hz: float
    gaps_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """Times in milliseconds, each p50, p90, p99, p999 and max; rates in pictures per second.

    `engine` and `pixels` are each measured alone. `paced` is from the instant a picture is due, at `rate_hz`, to its
    verdict; `saturation` from picture to verdict with the next one always waiting. `beyond_engine_ms` is what p50 at
    saturation has over the bare engine's, pixels included. `possible_per_s` is 1 / (pixels + engine) with the mean
    times of the same run at saturation, so that a machine that slows down meanwhile does not show as overhead.

    `ratios` is what two machines may be compared by: `overhead`, what p50 at saturation has beyond the pixels and the
    bare engine, over the bare engine, the median of the rounds; `sustained`, the rate over the possible one; and with
    another engine to compare with `speed_up`, its p50 over this engine's, the median of the rounds. `per_part` is
    what Usage counts at saturation. `course` and `histograms` are for drawing.
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
    ratios: dict[str, float]
    idle: dict[str, IdleGap]
    per_part: dict[str, float]
    course: list[Moment]
    histograms: dict[str, Histogram]

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


def profile(
    student: Student, pictures: Sequence[Image], clock: Clock, plan: Plan, other: Engine | None = None
) -> tuple[Profile, Looks, Span]:
    """Measure for about `plan.seconds`, and the idle gaps; also returns the looks at saturation, and the span in which
    they took turns with the bare engine, for as many parts as it would hold of them alone.

    pictures: uint8 H x W x 3 (BGR) or H x W, at least one. `other` takes the same input; it is timed in turns with
    the student's engine. Raises ConfigError when a picture does not fit the model, EngineError when an engine fails.
    """
    part_ns = round(plan.seconds / 4 * SECOND)
    pixels = _pixels_alone(student, pictures, clock, part_ns)
    paced = _paced(student, pictures, clock, part_ns, plan.rate_hz)
    began_ns = clock.now_ns()
    turns = _in_turns(student, pictures, clock, part_ns, other)
    ended_ns = clock.now_ns()
    looks, engine = turns.looks, turns.engine
    saturation = looks.stages["capture_to_verdict"]
    measured = Profile(
        pictures=len(pictures),
        engine=engine.summary(MS),
        pixels=pixels.summary(MS),
        rate_hz=plan.rate_hz,
        paced=paced.stages["capture_to_verdict"].summary(MS),
        saturation=saturation.summary(MS),
        beyond_engine_ms=round(p50_ms(saturation) - p50_ms(engine), 4),
        sustained_per_s=round(looks.count * SECOND / turns.elapsed_ns, 2),
        possible_per_s=round(looks.count * SECOND / looks.inside_ns, 2),
        ratios=turns.ratios(),
        idle=idle_gaps(student, pictures, clock, plan.gaps_s),
        per_part=turns.usage.per_part(looks.count),
        course=turns.course,
        histograms={"engine alone": histogram(engine), "pixels alone": histogram(pixels)}
        | {f"{stage}, saturated": histogram(looks.stages[stage]) for stage in STAGES},
    )
    span = Span(began_ns, ended_ns, (ended_ns - began_ns) * looks.count / turns.elapsed_ns)
    return measured, looks, span


class _Turns:
    """What the rounds of the bare engine and of saturation have shown."""

    def __init__(self, looks: Looks) -> None:
        self.looks = looks
        self.engine = Series()
        self.usage = Usage()
        self.elapsed_ns = 0  # at saturation
        self.course: list[Moment] = []
        self.overheads: list[float] = []
        self.speed_ups: list[float] = []

    def ratios(self) -> dict[str, float]:
        """Profile.ratios."""
        told = {
            "overhead": round(median(self.overheads), 4),
            "sustained": round(self.looks.inside_ns / self.elapsed_ns, 4),
        }
        return told | ({"speed_up": round(median(self.speed_ups), 3)} if self.speed_ups else {})


def _in_turns(
    student: Student, pictures: Sequence[Image], clock: Clock, part_ns: int, other: Engine | None
) -> _Turns:
    turns = _Turns(Looks(student, pictures, clock))
    begin_ns = clock.now_ns()
    for _ in range(ROUNDS):
        _round(turns, student, pictures[0], clock, part_ns // ROUNDS, begin_ns)
        if other is not None:
            other.input[:] = student.engine.input
            compared = _repeated(other.infer, clock, part_ns // ROUNDS)
            turns.speed_ups.append(p50_ms(compared) / turns.course[-1].engine_p50_ms)
    return turns


def _round(turns: _Turns, student: Student, picture: Image, clock: Clock, part_ns: int, begin_ns: int) -> None:
    at_ns, engine_before, looks_before = clock.now_ns(), turns.engine.count, turns.looks.count
    student.pixels.to_input(picture, student.engine.input)
    student.engine.infer()  # the resize has emptied the caches
    _repeat(student.engine.infer, clock, part_ns, turns.engine)
    with turns.usage.watched():
        turns.elapsed_ns += saturate(turns.looks, clock, part_ns)
    newest = turns.looks.count - looks_before
    saturation = turns.looks.stages["capture_to_verdict"].newest(newest)
    moment = Moment(
        round((at_ns - begin_ns) / SECOND, 3),
        round(p50_ms(turns.engine, turns.engine.count - engine_before), 4),
        round(turns.looks.p50_ms("capture_to_verdict", newest), 4),
        round(saturation[-1] / MS, 4),
    )
    turns.course.append(moment)
    beyond_ms = moment.p50_ms - turns.looks.p50_ms("pixels", newest) - moment.engine_p50_ms
    turns.overheads.append(beyond_ms / moment.engine_p50_ms)


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


def _repeated(step: Callable[[], object], clock: Clock, part_ns: int) -> Series:
    """How long each `step` takes, the first left out."""
    series = Series()
    step()
    _repeat(step, clock, part_ns, series)
    return series


def _pixels_alone(student: Student, pictures: Sequence[Image], clock: Clock, part_ns: int) -> Series:
    numbers = count()

    def step() -> None:
        student.pixels.to_input(pictures[next(numbers) % len(pictures)], student.engine.input)

    for _ in range(BURN_IN):
        step()
    return _repeated(step, clock, part_ns)


def _paced(student: Student, pictures: Sequence[Image], clock: Clock, part_ns: int, rate_hz: float) -> Looks:
    """A picture every 1 / `rate_hz`; one that comes while another is judged waits, and its wait counts."""
    looks = Looks(student, pictures, clock)
    begin_ns = clock.now_ns()
    for number in range(max(1, int(part_ns * rate_hz / SECOND))):
        due_ns = begin_ns + round((number + 1) * SECOND / rate_hz)
        clock.sleep_until(due_ns)
        looks.look(due_ns)
    return looks
