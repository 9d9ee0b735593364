"""Runs the eye: builds the rooms of its stations, what they share, their threads, and ends them in order."""

from __future__ import annotations

import functools
import gc
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import repeat

from edge import control
from edge.capture import TABLE as CAMERAS
from edge.clock import SECOND, Clock, process_started_ns
from edge.errors import DeviceError, EngineError, JournalError, StationStop
from edge.eye import camera_watch, inference, lane
from edge.eye.bundle_changes import STARTS_AGAIN
from edge.eye.camera_watch import CameraWatch
from edge.eye.crew import Crew
from edge.eye.inference import Inference
from edge.eye.jobs import Jobs
from edge.eye.lane import Lane
from edge.eye.sight import Sight, source_of
from edge.eye.student import students_of
from edge.health import Level, Notifier, Progress, Standing
from edge.kinds import find
from edge.line_starter import Starter, patience_ns
from edge.report import Counts, Report, report, together
from edge.station import Station
from edge.timing import Timing

log = logging.getLogger(__name__)

_TICK_S = 0.05
_THREADS_END_NS = 3 * SECOND
_SWITCH_INTERVAL_S = 0.0005
_LINE_KILLED = "the line process hung at the end and was killed: look at what its outputs do, then start again"


@dataclass(frozen=True, slots=True)
class Until:
    """When a run ends by itself; None: only when asked, or when a finite camera has no more pictures.

    `parts` are counted over all stations. A limit that stops a line ends the run with `stop_ends` only; else that line
    waits for an acknowledgement.
    """

    duration_ns: int | None = None
    parts: int | None = None
    stop_ends: bool = False


@dataclass(frozen=True, slots=True)
class Live:
    """What a person may watch of a station while it runs."""

    standing: Standing
    permit: bool
    counts: Counts
    timing: Timing
    elapsed_ns: int


Watch = Callable[[Live], None]


@dataclass(frozen=True, slots=True, eq=False)
class Eye:
    """The stations of a running eye, and what they share."""

    lanes: tuple[Lane, ...]
    watches: tuple[CameraWatch, ...]
    jobs: Jobs
    progress: Progress
    clock: Clock

    def prefix(self, of: Lane) -> str:
        """What tells a station from the others in the log; nothing where it is the only one."""
        return f"{of.name} " if len(self.lanes) > 1 else ""


def run(
    stations: Sequence[Station],
    until: Until,
    clock: Clock,
    asked: threading.Event,
    watch: Watch | None = None,
    starters: Sequence[Starter] = (),
) -> Report:
    """Inspect (or shadow) until told to stop by `asked`, by `until` or by the end of the pictures; stations that
    `lanes.refuse` lets run.

    Stations may share cameras, each with a region of the frame; all share the engine. Devices that are away are tried
    again for ever. Lines and cameras come up while the students are loaded; until those are there, the eye tells its
    lines that it cannot inspect. `starters` start the lines, one for each station; none: they are services of their
    own. Raises KenpinError for what a person must mend first.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.freeze()  # what the imports made stays; the collection below need not look at it
    with ExitStack() as stack:
        notifier = stack.enter_context(Notifier.from_environment())
        eye = _build(stations, clock, not until.stop_ends, starters, stack)
        crew = _start(eye)
        standings = [Standing(Level.READY, "") for _ in eye.lanes]
        stops = [""] * len(eye.lanes)
        try:
            _begin_to_judge(eye, crew, stack)
            control.build_for_eye()  # while the zone is purged
            gc.collect()
            gc.freeze()
            notifier.ready()
            _watch_over(eye, crew, until, asked, notifier, watch)
            stops = [_stop_words(each) for each in eye.lanes]
            standings = [each.desk.standing() for each in eye.lanes]
        finally:
            notifier.stopping()
            ended = _finish(eye, crew)
        if isinstance(crew.failure, Exception):
            raise crew.failure
        for each in eye.lanes:
            each.new_bundles.run_ended()
        done = _report(eye, standings, stops, ended)
        return replace(done, exit_code=STARTS_AGAIN) if _starts_again(eye) else done


def _build(
    stations: Sequence[Station], clock: Clock, keeps_stop: bool, starters: Sequence[Starter], stack: ExitStack
) -> Eye:
    records = [lane.open_record(station, clock, stack) for station in stations]
    jobs = Jobs(len(records))
    lanes = tuple(
        lane.build(record, functools.partial(jobs.put, number), clock, keeps_stop, starter, stack)
        for number, (record, starter) in enumerate(zip(records, starters or repeat(None), strict=False))
    )
    sights = _by_camera(lanes)
    bounds = dict.fromkeys(sights, camera_watch.BOUND_NS) | {inference.SOURCE: inference.BOUND_NS}
    progress = Progress(clock, bounds)
    watches = tuple(
        CameraWatch(find(CAMERAS, of[0].options.kind, "camera")(of[0].options, clock), of, clock, progress)
        for of in sights.values()
    )
    return Eye(lanes, watches, jobs, progress, clock)


def _by_camera(lanes: Sequence[Lane]) -> dict[str, list[Sight]]:
    """A camera is opened once, whatever number of stations has it."""
    found: dict[str, list[Sight]] = {}
    for each in lanes:
        for sight in each.sights:
            found.setdefault(source_of(sight.options), []).append(sight)
    return found


def _start(eye: Eye) -> Crew:
    crew = Crew(eye.clock)
    for watch in eye.watches:
        crew.start(watch.source, watch.run)
    for each in eye.lanes:
        lane.start(each, crew, eye.prefix(each))
    return crew


def _begin_to_judge(eye: Eye, crew: Crew, stack: ExitStack) -> None:
    """Load the students, which the stack closes. Raises ConfigError, BundleError, EngineError."""
    students = students_of([each.station for each in eye.lanes], eye.clock)
    for student in dict.fromkeys(student for known in students for student in known.values()):
        stack.callback(student.engine.close)
    for each, known in zip(eye.lanes, students, strict=True):
        lane.take_students(each, known, eye.clock)
    eye.progress.beat(inference.SOURCE)
    judging = Inference([each.client for each in eye.lanes], eye.jobs, eye.clock, eye.progress)
    crew.start(inference.SOURCE, judging.run)


def _watch_over(
    eye: Eye, crew: Crew, until: Until, asked: threading.Event, notifier: Notifier, watch: Watch | None
) -> None:
    """Until there is a reason to end."""
    began_ns = eye.clock.now_ns()
    shown: list[Standing] = []
    while not asked.wait(_TICK_S) and not crew.stop.is_set():
        elapsed_ns = eye.clock.now_ns() - began_ns
        standings = [each.desk.standing() for each in eye.lanes]
        if standings != shown:
            _tell(eye, standings, shown, notifier)
            shown = standings
        _feed_watchdog(eye, notifier)
        _settle_bundles(eye)
        if watch is not None:
            for each, standing in zip(eye.lanes, standings, strict=True):
                watch(Live(standing, each.desk.permit, each.counts, each.timing, elapsed_ns))
        if _is_over(eye, until, elapsed_ns):
            break


def _tell(eye: Eye, standings: Sequence[Standing], before: Sequence[Standing], notifier: Notifier) -> None:
    """The log hears of what changed, systemd of all."""
    words = []
    for number, (each, now) in enumerate(zip(eye.lanes, standings, strict=True)):
        hint = '; look at the line, then: edge ack STATION.TOML --why "..."' if each.desk.stopped_by else ""
        said = f"{eye.prefix(each)}{now.level.name}{f': {now.cause}' if now.cause else ''}"
        words.append(said)
        if number >= len(before) or before[number] != now:
            log.info("%s%s", said, hint)
    notifier.status("; ".join(words))


def _stop_words(of: Lane) -> str:
    """The words of a limit that holds the line at the end of the run, "" otherwise."""
    if not of.desk.stopped_by:
        return ""
    words = f"a limit stopped the station: {of.desk.stopped_by}; look at the line, start it again, then: edge ack"
    of.desk.note("stopped", words)
    return words


def _is_over(eye: Eye, until: Until, elapsed_ns: int) -> bool:
    if until.stop_ends and any(each.desk.stopped_by for each in eye.lanes):
        return True
    if until.duration_ns is not None and elapsed_ns >= until.duration_ns:
        return True
    if until.parts is not None and sum(each.counts.parts for each in eye.lanes) >= until.parts:
        return True
    return _starts_again(eye) or all(watch.has_ended for watch in eye.watches)


def _starts_again(eye: Eye) -> bool:
    """Whether a person has asked for that, at one of the stations."""
    return any(each.changes.starts_again for each in eye.lanes)


def _feed_watchdog(eye: Eye, notifier: Notifier) -> None:
    """One thread that stands still keeps its station from inspecting, a shared one all; systemd restarts all."""
    shared, is_well = eye.progress.stalled(), True
    for each in eye.lanes:
        stalled = each.progress.stalled() + shared
        if not stalled:
            each.health.clear("progress")
            continue
        is_well = False
        each.health.report("progress", Level.NOT_READY, f"no sign of life from: {', '.join(stalled)}")
    if is_well:
        notifier.alive(eye.clock.now_ns())


def _settle_bundles(eye: Eye) -> None:
    """Keep new bundles that have proven themselves. Raises EngineError when a station has left one by itself."""
    for each in eye.lanes:
        try:
            for words in each.new_bundles.settle():
                each.desk.note("bundle", words)
        except EngineError as error:
            each.desk.note("bundle", str(error))
            raise


def _finish(eye: Eye, crew: Crew) -> list[bool]:
    """The lines finish the parts in their zones while the threads still serve them; then all end. Whether each line
    ended by itself, where it should."""
    began_ns = eye.clock.now_ns()
    until_ns = {each.name: began_ns + patience_ns(each.station) for each in eye.lanes}
    waited_for = [each for each in eye.lanes if each.link.stop()]
    try:
        while not crew.stop.is_set() and any(
            eye.clock.now_ns() < until_ns[each.name] and not lane.is_done(each) for each in waited_for
        ):
            crew.stop.wait(0.01)
    except (
        KeyboardInterrupt
    ):  # who asks twice does not wait for the parts, but the threads end before what they hold
        crew.join(_THREADS_END_NS)
        raise
    ended = []
    for each in eye.lanes:
        ended.append(each.link.end_line(max(0, until_ns[each.name] - eye.clock.now_ns())))
        if not ended[-1]:
            each.desk.note("line", _LINE_KILLED)
    for words in crew.join(_THREADS_END_NS):
        log.error("%s", words)
    for each in eye.lanes:
        lane.finish(each)
    return ended


def _report(eye: Eye, standings: Sequence[Standing], stops: Sequence[str], ended: Sequence[bool]) -> Report:
    reports = [
        _report_of(each, standing, stop, line_ended)
        for each, standing, stop, line_ended in zip(eye.lanes, standings, stops, ended, strict=True)
    ]
    if len(reports) == 1:
        return reports[0]
    counts, timing = Counts.sum([each.counts for each in eye.lanes]), Timing.of([each.timing for each in eye.lanes])
    return together({each.name: one for each, one in zip(eye.lanes, reports, strict=True)}, counts, timing)


def _report_of(of: Lane, standing: Standing, stop_words: str, line_ended: bool) -> Report:
    ready_ns = of.desk.ready_ns
    startup_ns = None if ready_ns is None else ready_ns - process_started_ns()
    code = JournalError.exit_code if of.desk.recorder.lost else 0
    cause = standing.cause
    if not line_ended:
        code, cause = DeviceError.exit_code, _LINE_KILLED
    if stop_words:
        code, cause = StationStop.exit_code, stop_words
    return report(of.counts, of.timing, startup_ns, standing.level.name, cause, code)
