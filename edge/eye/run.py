"""Runs the eye: builds its rooms from a station, starts its threads, and ends them in order."""

from __future__ import annotations

import gc
import itertools
import logging
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge import check
from edge.capture import TABLE as CAMERAS
from edge.capture import Camera
from edge.capture.presence import PresenceLine
from edge.clock import MS, SECOND, Clock, process_started_ns
from edge.device_key import load_or_create
from edge.errors import DeviceError, JournalError, StationStop
from edge.eye import camera_watch, inference, plc_watch, reception, recorder
from edge.eye.acts import Acts
from edge.eye.archive import Archive
from edge.eye.camera_watch import Births, CameraWatch
from edge.eye.crew import Crew
from edge.eye.desk import SOURCE as LINE
from edge.eye.desk import Desk
from edge.eye.held import Held
from edge.eye.inference import Inference
from edge.eye.plc_watch import PlcWatch, plc_of
from edge.eye.reception import Reception
from edge.eye.slots import Slots
from edge.eye.student import Student, load
from edge.health import Health, Level, Notifier, Progress, Standing
from edge.install import open_active
from edge.journal.events import Journal
from edge.journal.heads import OUTSIDE, Heads
from edge.journal.reading import left_open
from edge.journal.retention import Keep
from edge.kinds import find
from edge.line_link import LineLink
from edge.options import Camera as CameraOptions
from edge.options import CameraTrigger, PresenceTrigger
from edge.pairing import View
from edge.report import Counts, Report, report
from edge.station import Station
from edge.timing import Timing

log = logging.getLogger(__name__)

_TICK_S = 0.05
_THREADS_END_NS = 3 * SECOND
_LINE_ENDS_NS = 5 * SECOND  # beyond the time a part takes through the zone
_WATCHED_NS = 5 * SECOND
_SWITCH_INTERVAL_S = 0.0005
_LINE_KILLED = "the line process hung at the end and was killed: look at what its outputs do, then start again"


@dataclass(frozen=True, slots=True)
class Until:
    """When a run ends by itself; None: only when asked, or when a finite camera has no more pictures.

    A limit that stops the line ends the run with `stop_ends` only; else it waits for an acknowledgement.
    """

    duration_ns: int | None = None
    parts: int | None = None
    stop_ends: bool = False


@dataclass(frozen=True, slots=True)
class Live:
    """What a person may watch while the station runs."""

    standing: Standing
    permit: bool
    counts: Counts
    timing: Timing
    elapsed_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class Eye:
    """The rooms of a running eye."""

    station: Station
    clock: Clock
    counts: Counts
    timing: Timing
    health: Health
    progress: Progress
    link: LineLink
    desk: Desk
    inference: Inference
    archive: Archive
    watches: tuple[CameraWatch, ...]
    reception: Reception
    plc: PlcWatch | None


def students_of(station: Station, clock: Clock) -> dict[int, Student]:
    """The station's students by recipe number, loaded and warm. Raises ConfigError, BundleError, EngineError."""
    return {
        recipe: load(open_active(station, product), station.engine, clock)
        for recipe, product in station.products().items()
    }


def view_of(station: Station, camera: CameraOptions) -> View:
    """How frames of this camera find their parts."""
    trigger = station.trigger
    births = isinstance(trigger, CameraTrigger) and trigger.camera == camera.name
    return View(
        camera.name,
        round(camera.trigger_to_frame_ms * MS),
        round(camera.window_ms * MS),
        camera.triggered and not isinstance(trigger, PresenceTrigger),
        births,
    )


def run(
    station: Station,
    until: Until,
    clock: Clock,
    asked: threading.Event,
    watch: Callable[[Live], None] | None = None,
    starts_line: bool = True,
) -> Report:
    """Inspect (or shadow) until told to stop by `asked`, by `until` or by the end of the pictures.

    Devices that are away are tried again for ever. Raises KenpinError for what a person must mend first.
    """
    check.refuse(station)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    with ExitStack() as stack:
        notifier = stack.enter_context(Notifier.from_environment())
        key = load_or_create(station.station.state_dir)
        journal = _journal(station, clock, key)
        stack.callback(journal.close)
        students = students_of(station, clock)
        for student in students.values():
            stack.callback(student.engine.close)
        held = Held(None if until.stop_ends else station.station.state_dir)
        eye = _build(station, clock, journal, students, held, key, starts_line)
        stack.callback(eye.link.close)
        stack.callback(eye.reception.close)
        crew = _start(eye, clock)
        gc.collect()
        gc.freeze()
        notifier.ready()
        standing, stop_words = Standing(Level.READY, ""), ""
        try:
            stop_words = _watch_over(eye, crew, until, asked, notifier, watch)
            standing = eye.desk.standing()
        finally:
            notifier.stopping()
            line_ended = _finish(eye, crew)
        if isinstance(crew.failure, Exception):
            raise crew.failure
        return _report(eye, standing, stop_words, line_ended)


def _journal(station: Station, clock: Clock, key: Ed25519PrivateKey) -> Journal:
    heads, settings = Heads(key, station.station.state_dir / OUTSIDE), station.journal
    return Journal(
        settings.dir, clock, heads, Keep(settings.keep_days, settings.records_max_mb, settings.reserve_mb)
    )


def _build(
    station: Station,
    clock: Clock,
    journal: Journal,
    students: dict[int, Student],
    held: Held,
    key: Ed25519PrivateKey,
    starts_line: bool,
) -> Eye:
    counts, timing, health = Counts(), Timing(), Health()
    slots = tuple(Slots(2 * camera.queue + 2) for camera in station.camera)
    bounds = dict.fromkeys((LINE, reception.SOURCE), _WATCHED_NS)
    bounds |= {recorder.SOURCE: recorder.BOUND_NS, inference.SOURCE: inference.BOUND_NS}
    bounds |= {camera_watch.source_of(camera): camera_watch.BOUND_NS for camera in station.camera}
    bounds |= {plc_watch.SOURCE: plc_watch.BOUND_NS} if station.plc else {}
    progress = Progress(clock, bounds)
    link = LineLink(station, clock, journal.newest_outcome, starts_line)
    desk = Desk(
        link,
        journal,
        students,
        [view_of(station, camera) for camera in station.camera],
        slots,
        clock,
        counts,
        timing,
        health,
        progress,
        station.journal.on_disk_full == "stop",
        held,
        left_open(station.journal.dir),
    )
    plc = plc_of(station, desk, link, clock, counts, health, progress)
    archive = Archive(station, slots)
    judging = Inference(students, desk.parts, slots, clock, timing, health, progress, archive.offer)
    numbers = itertools.count(1)
    watches = tuple(
        CameraWatch(
            index,
            camera,
            _camera(camera, clock),
            desk.parts,
            slots[index],
            numbers,
            clock,
            counts,
            health,
            progress,
            _births(station, camera, link, plc),
            _start_signal(station, camera, desk),
        )
        for index, camera in enumerate(station.camera)
    )
    acts = Acts(station, clock, link, desk, counts, held, key)
    door = Reception(station.station.run_dir, clock, progress, acts.ask, lambda words: desk.note("control", words))
    acts.door = door
    return Eye(station, clock, counts, timing, health, progress, link, desk, judging, archive, watches, door, plc)


def _camera(options: CameraOptions, clock: Clock) -> Camera:
    camera: Camera = find(CAMERAS, options.kind, "camera")(options, clock)
    return camera


def _births(station: Station, camera: CameraOptions, link: LineLink, plc: PlcWatch | None) -> Births | None:
    trigger = station.trigger
    if not isinstance(trigger, CameraTrigger | PresenceTrigger) or trigger.camera != camera.name:
        return None
    first = min(station.products())

    def ask(token: int, born_ns: int, born_err_ns: int) -> object:
        return link.ask_birth(token, born_ns, born_err_ns, plc.recipe or first if plc else first)

    if isinstance(trigger, CameraTrigger):
        return Births(ask)
    return Births(ask, lambda: PresenceLine(trigger.axis, trigger.line, trigger.contrast, trigger.debounce_frames))


def _start_signal(station: Station, camera: CameraOptions, desk: Desk) -> threading.Event:
    """A replayed folder is a belt that runs when the line is ready; a real camera delivers from the start."""
    if camera.kind == "folder" and isinstance(station.trigger, CameraTrigger):
        return desk.may_start
    started = threading.Event()
    started.set()
    return started


def _start(eye: Eye, clock: Clock) -> Crew:
    crew = Crew(clock)
    crew.start(recorder.SOURCE, eye.desk.recorder.run)
    crew.start("pictures", eye.archive.run)
    crew.start(reception.SOURCE, eye.reception.run)
    crew.start(inference.SOURCE, eye.inference.run)
    for watch, camera in zip(eye.watches, eye.station.camera, strict=True):
        crew.start(camera_watch.source_of(camera), watch.run)
    if eye.plc is not None:
        crew.start(plc_watch.SOURCE, eye.plc.run)
    eye.desk.note("start", f"station {eye.station.station.name}, mode {eye.station.station.mode}")
    crew.start(LINE, eye.desk.run)
    return crew


def _watch_over(
    eye: Eye,
    crew: Crew,
    until: Until,
    asked: threading.Event,
    notifier: Notifier,
    watch: Callable[[Live], None] | None,
) -> str:
    """Until there is a reason to end; returns the words of a limit that holds the line then, "" otherwise."""
    began_ns = eye.clock.now_ns()
    shown: Standing | None = None
    while not asked.wait(_TICK_S) and not crew.stop.is_set():
        elapsed_ns = eye.clock.now_ns() - began_ns
        standing = eye.desk.standing()
        if standing != shown:
            shown = standing
            hint = '; look at the line, then: edge ack STATION.TOML --why "..."' if eye.desk.stopped_by else ""
            log.info("%s%s%s", standing.level.name, f": {standing.cause}" if standing.cause else "", hint)
            notifier.status(f"{standing.level.name} {standing.cause}")
        _feed_watchdog(eye, notifier)
        if watch is not None:
            watch(Live(standing, eye.desk.permit, eye.counts, eye.timing, elapsed_ns))
        if _is_over(eye, until, elapsed_ns):
            break
    stopped_by = eye.desk.stopped_by
    if not stopped_by:
        return ""
    words = f"a limit stopped the station: {stopped_by}; look at the line, start it again, then: edge ack"
    eye.desk.note("stopped", words)
    return words


def _is_over(eye: Eye, until: Until, elapsed_ns: int) -> bool:
    if until.stop_ends and eye.desk.stopped_by:
        return True
    if until.duration_ns is not None and elapsed_ns >= until.duration_ns:
        return True
    if until.parts is not None and eye.counts.parts >= until.parts:
        return True
    return all(watch.has_ended for watch in eye.watches)


def _feed_watchdog(eye: Eye, notifier: Notifier) -> None:
    stalled = eye.progress.stalled()
    if not stalled:
        eye.health.clear("progress")
        notifier.alive()
    else:
        eye.health.report("progress", Level.NOT_READY, f"no sign of life from: {', '.join(stalled)}")


def _finish(eye: Eye, crew: Crew) -> bool:
    """The line finishes the parts in its zone while the threads still serve it; then all end. Whether the line ended
    by itself, where it should."""
    travel = eye.station.travel
    assert travel is not None
    patience_ns = round(travel.longest_transit_ms * MS) + _LINE_ENDS_NS
    until_ns = eye.clock.now_ns() + patience_ns
    if eye.link.stop() and not crew.stop.is_set():
        while eye.clock.now_ns() < until_ns and not _line_is_done(eye):
            crew.stop.wait(0.01)
    line_ended = eye.link.end_line(max(0, until_ns - eye.clock.now_ns()))
    if not line_ended:
        eye.desk.note("line", _LINE_KILLED)
    for words in crew.join(_THREADS_END_NS):
        log.error("%s", words)
    eye.reception.close()
    eye.desk.parts.close()
    eye.desk.note("stop", f"{eye.counts.parts} parts")
    eye.desk.recorder.finish()
    eye.counts.record(committed=False, count=eye.desk.recorder.lost)
    eye.archive.finish()
    return line_ended


def _line_is_done(eye: Eye) -> bool:
    """A child line has ended and its last words are read; a line of a unit waits for the next eye."""
    if not eye.link.is_connected:
        return eye.link.finish(0)
    return eye.desk.has_finished and not eye.link.is_child


def _report(eye: Eye, standing: Standing, stop_words: str, line_ended: bool) -> Report:
    ready_ns = eye.desk.ready_ns
    startup_ns = None if ready_ns is None else ready_ns - process_started_ns()
    code = JournalError.exit_code if eye.desk.recorder.lost else 0
    cause = standing.cause
    if not line_ended:
        code, cause = DeviceError.exit_code, _LINE_KILLED
    if stop_words:
        code, cause = StationStop.exit_code, stop_words
    return report(eye.counts, eye.timing, startup_ns, standing.level.name, cause, code)
