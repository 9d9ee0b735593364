"""One station in the eye: its link to its line, its desk, its journal; camera and engine it shares with others."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.capture.presence import PresenceLine
from edge.clock import MS, SECOND, Clock
from edge.device_key import load_or_create
from edge.eye import bundle_changes, plc_watch, reception, recorder
from edge.eye.acts import Acts
from edge.eye.archive import Archive
from edge.eye.bundle_changes import BundleChanges
from edge.eye.crew import Crew
from edge.eye.current_lot import CurrentLot
from edge.eye.desk import SOURCE as LINE
from edge.eye.desk import Desk
from edge.eye.held import Held
from edge.eye.inference import SOURCE as INFERENCE
from edge.eye.inference import Client
from edge.eye.jobs import PutJob
from edge.eye.likeness import Likeness
from edge.eye.new_bundles import NewBundles
from edge.eye.plc_watch import PlcWatch, plc_of
from edge.eye.reception import Reception
from edge.eye.shown import Shown
from edge.eye.sight import Births, Sight
from edge.eye.slots import Slots
from edge.eye.student import Student
from edge.eye.supervision import Supervision
from edge.health import Health, Level, Progress
from edge.journal import files
from edge.journal.events import Journal
from edge.journal.heads import OUTSIDE, Heads
from edge.journal.lots import lots_in
from edge.journal.reading import left_open, newest_part
from edge.journal.retention import Keep
from edge.line_link import LineLink
from edge.line_starter import Starter
from edge.options import Camera as CameraOptions
from edge.options import CameraTrigger, PresenceTrigger
from edge.pairing import View
from edge.report import Counts
from edge.station import Station
from edge.timing import Timing

_WATCHED_NS = 5 * SECOND
_STUDENTS = "students"


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """What a station has on the disk before anything of it runs; no other eye has it then."""

    station: Station
    key: Ed25519PrivateKey
    journal: Journal


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """The rooms of one station of the eye. `progress` is that of its own threads."""

    station: Station
    counts: Counts
    timing: Timing
    health: Health
    progress: Progress
    link: LineLink
    desk: Desk
    archive: Archive
    sights: tuple[Sight, ...]
    client: Client
    reception: Reception
    plc: PlcWatch | None
    new_bundles: NewBundles
    changes: BundleChanges

    @property
    def name(self) -> str:
        return self.station.station.name


def open_record(station: Station, clock: Clock, stack: ExitStack) -> Record:
    """The station's key and journal; closed by the stack. Raises JournalError, also when another eye has it."""
    key = load_or_create(station.station.state_dir)
    heads, settings = Heads(key, station.station.state_dir / OUTSIDE), station.journal
    keep = Keep(settings.keep_days, settings.records_max_mb, settings.reserve_mb)
    journal = Journal(settings.dir, clock, heads, keep)
    stack.callback(journal.close)
    return Record(station, key, journal)


def build(
    record: Record,
    put_job: PutJob,
    clock: Clock,
    keeps_stop: bool,
    starter: Starter | None,
    stack: ExitStack,
) -> Lane:
    """The station's rooms, not ready before `take_students`; link and reception are closed by the stack.
    `keeps_stop`: a stop outlives this eye.

    Raises ConfigError, DeviceError.
    """
    station, journal = record.station, record.journal
    students: dict[int, Student] = {}
    counts, timing, health = Counts(), Timing(), Health()
    held = Held(station.station.state_dir if keeps_stop else None)
    slots = tuple(Slots(2 * camera.queue + 2) for camera in station.camera)
    progress = Progress(clock, _bounds(station))
    link = LineLink(station, clock, journal.newest_outcome, starter)
    stack.callback(link.close)
    desk = Desk(
        link,
        journal,
        students,
        [_view_of(station, camera) for camera in station.camera],
        slots,
        put_job,
        clock,
        counts,
        timing,
        health,
        progress,
        station.journal.on_disk_full == "stop",
        held,
        left_open(station.journal.dir),
        newest_part(station.journal.dir),
    )
    plc = plc_of(station, desk, link, clock, counts, health, progress)
    shown = Shown(station.station.run_dir, [camera.name for camera in station.camera], clock)
    archive = Archive(station, slots, shown)
    numbers = itertools.count(1)
    sights = tuple(
        _sight(station, index, desk, slots[index], numbers, clock, counts, health, link, plc)
        for index in range(len(station.camera))
    )
    health.report(_STUDENTS, Level.NOT_READY, "the network is being loaded")
    client = Client(students, desk.parts, slots, timing, health, archive.offer, {})
    new_bundles = NewBundles(station, health, INFERENCE, clock)
    desk.tell(new_bundles.ended)
    changes = BundleChanges(station, clock, desk.note)
    acts = Acts(
        station, clock, link, desk, counts, held, record.key,
        Supervision(station, desk, client.likeness, new_bundles.limits, clock), timing, new_bundles.words,
        client.students, changes, shown, CurrentLot(lots_in(files.day_files(station.journal.dir)).now),
    )  # fmt: skip
    return Lane(
        station, counts, timing, health, progress, link, desk, archive, sights, client,
        _open_door(acts, station, desk, clock, progress, stack), plc, new_bundles, changes,
    )  # fmt: skip


def _open_door(
    acts: Acts, station: Station, desk: Desk, clock: Clock, progress: Progress, stack: ExitStack
) -> Reception:
    """Where people reach the acts; closed by the stack. Raises DeviceError."""
    note_control = functools.partial(desk.note, "control")
    acts.door = door = Reception(station.station.run_dir, clock, progress, acts.ask, note_control)
    stack.callback(door.close)
    return door


def _bounds(station: Station) -> dict[str, int]:
    bounds = dict.fromkeys((LINE, reception.SOURCE), _WATCHED_NS) | {recorder.SOURCE: recorder.BOUND_NS}
    return bounds | ({plc_watch.SOURCE: plc_watch.BOUND_NS} if station.plc else {})


def _view_of(station: Station, camera: CameraOptions) -> View:
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


def _sight(
    station: Station,
    index: int,
    desk: Desk,
    slots: Slots,
    numbers: Iterator[int],
    clock: Clock,
    counts: Counts,
    health: Health,
    link: LineLink,
    plc: PlcWatch | None,
) -> Sight:
    camera = station.camera[index]
    births, may_start = _births(station, camera, link, plc), _start_signal(station, camera, desk)
    return Sight(index, camera, desk.parts, slots, numbers, clock, counts, health, births, may_start)


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


def start(lane: Lane, crew: Crew, prefix: str = "") -> None:
    """Start the threads of the station, the one that speaks with the line last; `prefix` tells them from another's."""
    crew.start(prefix + recorder.SOURCE, lane.desk.recorder.run)
    crew.start(prefix + "pictures", lane.archive.run)
    crew.start(prefix + reception.SOURCE, lane.reception.run)
    crew.start(prefix + bundle_changes.SOURCE, lane.changes.run)
    if lane.plc is not None:
        crew.start(prefix + plc_watch.SOURCE, lane.plc.run)
    lane.desk.note("start", f"station {lane.name}, mode {lane.station.station.mode}")
    crew.start(prefix + LINE, lane.desk.run)


def take_students(lane: Lane, students: Mapping[int, Student], clock: Clock) -> None:
    """From now on parts are judged, by these students by recipe."""
    for recipe, student in students.items():
        for view, camera in enumerate(lane.station.camera):
            name = f"{student.product}, camera {camera.name}"
            lane.client.likeness[recipe, view] = Likeness(
                name, student.learned, clock, lane.desk.note, student.outside
            )
    lane.client.students.update(students)
    lane.new_bundles.begin()
    for words in lane.new_bundles.notes:
        lane.desk.note("bundle", words)
    for moved in dict.fromkeys(student.moved for student in students.values() if student.moved is not None):
        lane.desk.note("threshold", moved.sentence())  # in the journal's queue before any verdict by it
    lane.health.clear(_STUDENTS)


def is_done(lane: Lane) -> bool:
    """After Stop: a child line has ended and its last words are read; a line of a unit waits for the next eye."""
    if not lane.link.is_connected:
        return lane.link.finish(0)
    return lane.desk.has_finished and not lane.link.is_child


def finish(lane: Lane) -> None:
    """Bring to the disk what is left, after the threads have ended."""
    lane.reception.close()
    lane.desk.parts.close()
    lane.desk.note("stop", f"{lane.counts.parts} parts")
    lane.desk.recorder.finish()
    lane.counts.record(committed=False, count=lane.desk.recorder.lost)
    lane.archive.finish()
