"""Measures one student on this machine: the bare engine, the pixels, a paced line, saturation and idle gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from statistics import median
from typing import Any

from benchmarks.course import Histogram, Moment, Steadiness, histogram, steadiness
from benchmarks.idle import IdleGap, idle_gaps
from benchmarks.looks import STAGES, Looks, p50_ms, saturate
from benchmarks.ranks import Figures, ranks_ms
from benchmarks.recorder import Span
from benchmarks.steady import Usage
from edge.clock import MS, SECOND, Clock
from edge.eye.student import Student
from edge.infer import Engine
from edge.pixels import Image
from edge.timing import Series

BURN_IN = 10
ROUNDS = 16  # the bare engine and saturation take turns, so that a machine's moods meet both


@dataclass(frozen=True, slots=True)
class Plan:
    """How long is measured, at which paced rate, and after which gaps."""

    seconds: float
    rate_hz: float
    gaps_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """Times in milliseconds, each with n, p50, p90, p99, p999 and max (benchmarks/ranks.py); rates in pictures per
    second.

    `engine` and `pixels` are each measured alone. `paced` is from the instant a picture is due, at `rate_hz`, to its
    verdict; `saturation` from picture to verdict with the next one always waiting. `beyond_engine_ms` is what p50 at
    saturation has over the bare engine's, pixels included. `possible_per_s` is 1 / (pixels + engine) with the mean
    times of the same run at saturation, so that a machine that slows down meanwhile does not show as overhead.

    `ratios` is what two machines may be compared by: `overhead`, what p50 at saturation has beyond the pixels and the
    bare engine, over the bare engine, the median of the rounds; `sustained`, the rate over the possible one; and with
    another engine to compare with `speed_up`, its p50 over this engine's, the median of the rounds. `per_part` is
    what Usage counts at saturation. `steadiness` is of the rounds' p50 at saturation. `course` and `histograms` are
    for drawing.
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
    steadiness: Steadiness
    idle: dict[str, IdleGap]
    per_part: dict[str, float]
    course: list[Moment]
    histograms: dict[str, Histogram]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def medians(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The median of each figure over several runs; what is not a number is the first one's."""
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


def together(runs: Sequence[Run]) -> dict[str, Any]:
    """Profile.to_dict of several runs, each of which has ended a round: percentiles and histograms are of all their
    values together, the steadiness is of the run that was least steady, and the rest are medians of the runs."""
    each = [run.profile() for run in runs]
    told = medians([one.to_dict() for one in each])
    told |= {name: ranks_ms(Series.of([run.spans()[name] for run in runs])) for name in runs[0].spans()}
    told["histograms"] = {
        name: asdict(histogram(Series.of([run.drawn()[name] for run in runs]))) for name in runs[0].drawn()
    }
    told["steadiness"] = asdict(max((one.steadiness for one in each), key=Steadiness.unsteady_by))
    return told


class Run:
    """One run over a student, with what it has measured so far.

    pictures: uint8 H x W x 3 (BGR) or H x W, at least one. `other` takes the same input as the student's engine and is
    timed in turns with it; `rival` judges the same pictures in turns with the student.
    """

    def __init__(
        self,
        student: Student,
        pictures: Sequence[Image],
        clock: Clock,
        plan: Plan,
        other: Engine | None = None,
        rival: Student | None = None,
    ) -> None:
        self._rival = rival
        self._rivals_turns = None if rival is None else _Turns(Looks(rival, pictures, clock))
        self._student = student
        self._pictures = pictures
        self._clock = clock
        self._plan = plan
        self._other = other
        self._pixels = Series()
        self._paced = Looks(student, pictures, clock)
        self._idle: dict[str, IdleGap] = {}
        self._turns = _Turns(Looks(student, pictures, clock))

    def measure(self) -> None:
        """Measure for about `plan.seconds`, and the idle gaps. What it has when it is ended stays.

        Raises ConfigError when a picture does not fit the model, EngineError when an engine fails.
        """
        part_ns = round(self._plan.seconds / 4 * SECOND)
        _pixels_alone(self._student, self._pictures, self._clock, part_ns, self._pixels)
        _pace(self._paced, self._clock, part_ns, self._plan.rate_hz)
        sides = [(self._turns, self._student)]
        if self._rivals_turns is not None and self._rival is not None:
            sides.append((self._rivals_turns, self._rival))
        _in_turns(sides, self._pictures, self._clock, part_ns, self._other)
        for gap_s in self._plan.gaps_s:
            self._idle |= idle_gaps(self._student, self._pictures, self._clock, (gap_s,))

    @property
    def rounds(self) -> int:
        """How many of its ROUNDS have ended; before the first one there is no profile."""
        return len(self._turns.course)

    def over_rival(self) -> dict[str, list[float]]:
        """This student's p50 over the rival's in each round: of the bare engines, and at saturation."""
        theirs = [] if self._rivals_turns is None else self._rivals_turns.course
        pairs = list(zip(self._turns.course, theirs, strict=False))
        return {
            "engine": [own.engine_p50_ms / their.engine_p50_ms for own, their in pairs],
            "saturation": [own.p50_ms / their.p50_ms for own, their in pairs],
        }

    @property
    def looks(self) -> Looks:
        """The pictures at saturation."""
        return self._turns.looks

    @property
    def span(self) -> Span:
        """When it took turns with the bare engine, for as many parts as that would hold of pictures alone."""
        turns = self._turns
        whole_ns = turns.ended_ns - turns.began_ns
        return Span(turns.began_ns, turns.ended_ns, whole_ns * turns.looks.count / turns.elapsed_ns)

    def spans(self) -> dict[str, Series]:
        """All values of each measured span, in ns."""
        saturation = self.looks.stages["capture_to_verdict"]
        paced = self._paced.stages["capture_to_verdict"]
        return {"engine": self._turns.engine, "pixels": self._pixels, "paced": paced, "saturation": saturation}

    def drawn(self) -> dict[str, Series]:
        """What has a histogram, by its caption."""
        stages = {f"{stage}, saturated": self.looks.stages[stage] for stage in STAGES}
        return {"engine alone": self._turns.engine, "pixels alone": self._pixels} | stages

    def profile(self) -> Profile:
        """What was measured, once a round has ended."""
        turns, looks = self._turns, self.looks
        engine_ms, whole_ms = p50_ms(turns.engine), p50_ms(looks.stages["capture_to_verdict"])
        return Profile(
            pictures=len(self._pictures),
            rate_hz=self._plan.rate_hz,
            beyond_engine_ms=round(whole_ms - engine_ms, 4),
            sustained_per_s=round(looks.count * SECOND / turns.elapsed_ns, 2),
            possible_per_s=round(looks.count * SECOND / looks.inside_ns, 2),
            ratios=turns.ratios(),
            steadiness=steadiness([moment.p50_ms for moment in turns.course]),
            idle=dict(self._idle),
            per_part=turns.usage.per_part(looks.count),
            course=turns.course,
            histograms={name: histogram(series) for name, series in self.drawn().items()},
            **{name: ranks_ms(series) for name, series in self.spans().items()},
        )


class _Turns:
    """What the rounds of the bare engine and of saturation have shown."""

    def __init__(self, looks: Looks) -> None:
        self.looks = looks
        self.engine = Series()
        self.usage = Usage()
        self.began_ns = self.ended_ns = 0
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
    sides: Sequence[tuple[_Turns, Student]],
    pictures: Sequence[Image],
    clock: Clock,
    part_ns: int,
    other: Engine | None,
) -> None:
    """Rounds of the student, and of its rival where there is one, which begins every second round."""
    turns, student = sides[0]
    for side, _ in sides:
        side.began_ns = clock.now_ns()
    for number in range(ROUNDS):
        for side, of in sides if number % 2 == 0 else reversed(sides):
            _round(side, of, pictures[0], clock, part_ns // ROUNDS)
        if other is not None:
            other.input[:] = student.engine.input
            compared = _repeated(other.infer, clock, part_ns // ROUNDS)
            turns.speed_ups.append(p50_ms(compared) / turns.course[-1].engine_p50_ms)
        turns.ended_ns = clock.now_ns()


def _round(turns: _Turns, student: Student, picture: Image, clock: Clock, part_ns: int) -> None:
    at_ns, engine_before, looks_before = clock.now_ns(), turns.engine.count, turns.looks.count
    student.pixels.to_input(picture, student.engine.input)
    student.engine.infer()  # the resize has emptied the caches
    _repeat(student.engine.infer, clock, part_ns, turns.engine)
    began_ns = clock.now_ns()
    try:
        with turns.usage.watched():
            saturate(turns.looks, clock, part_ns)
    finally:  # also of a round that is cut short: its pictures count
        turns.elapsed_ns += clock.now_ns() - began_ns
        turns.ended_ns = clock.now_ns()
    newest = turns.looks.count - looks_before
    saturation = turns.looks.stages["capture_to_verdict"].newest(newest)
    moment = Moment(
        round((at_ns - turns.began_ns) / SECOND, 3),
        round(p50_ms(turns.engine, turns.engine.count - engine_before), 4),
        round(turns.looks.p50_ms("capture_to_verdict", newest), 4),
        round(saturation[-1] / MS, 4),
    )
    beyond_ms = moment.p50_ms - turns.looks.p50_ms("pixels", newest) - moment.engine_p50_ms
    turns.overheads.append(beyond_ms / moment.engine_p50_ms)
    turns.course.append(moment)


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


def _pixels_alone(student: Student, pictures: Sequence[Image], clock: Clock, part_ns: int, series: Series) -> None:
    numbers = count()

    def step() -> None:
        student.pixels.to_input(pictures[next(numbers) % len(pictures)], student.engine.input)

    for _ in range(BURN_IN):
        step()
    _repeat(step, clock, part_ns, series)


def _pace(looks: Looks, clock: Clock, part_ns: int, rate_hz: float) -> None:
    """A picture every 1 / `rate_hz`; one that comes while another is judged waits, and its wait counts."""
    begin_ns = clock.now_ns()
    for number in range(max(1, int(part_ns * rate_hz / SECOND))):
        due_ns = begin_ns + round((number + 1) * SECOND / rate_hz)
        clock.sleep_until(due_ns)
        looks.look(due_ns)
