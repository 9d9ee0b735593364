"""Tries the line's inputs by hand: shows their edges, and measures the time from a part's edge to its picture."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from queue import Empty, SimpleQueue

from edge.capture import TABLE as CAMERAS
from edge.capture import Camera, EndOfPictures
from edge.capture.region import cut
from edge.check import input_error_ms
from edge.clock import MS, SECOND, Clock
from edge.errors import ConfigError, InputError
from edge.kinds import find
from edge.line.events import Counted
from edge.odometer import Odometer
from edge.options import Camera as CameraOptions
from edge.passing import Delay, Glance, Sample, delay_of, glance, middle_of, only_frame, stretched, window_ms
from edge.photo_eye import counting, device_of, inputs_of, watching
from edge.records import Edge, Frame
from edge.section import Axis
from edge.station import Station
from edge.travel import EncoderTravel

TRIGGER, SECOND_EYE, CONFIRM = "trigger", "second_eye", "confirm"
_WAIT_S = 0.2
_READ_S = 0.02
_BEFORE_NS = SECOND  # so long before an edge frames are kept: they show the empty belt
_LATE_NS = SECOND // 2  # frames and edges may be told so late


@dataclass(frozen=True, slots=True)
class Distances:
    """What a tape measure says, in mm from the photo-eye to the middle of the picture and to the gate (0: nothing)."""

    camera_mm: float = 0.0
    gate_mm: float = 0.0


@dataclass(slots=True)
class _Passing:
    """One part: its edge, since when no other was there, the edges of other inputs after it; did it come alone?"""

    edge: Edge
    since_ns: int
    others: dict[str, Edge] = field(default_factory=dict)
    is_alone: bool = True


@dataclass(slots=True)
class Measured:
    """What the passings gave: to the picture, and to other inputs by name. `crowded` were not alone; the others have
    samples or showed no part. `frame_ms` is the time between two frames, `encoder` why it was not read, if ever."""

    passings: int = 0
    crowded: int = 0
    frame_ms: float = 0.0
    encoder: str = ""
    picture: list[Sample] = field(default_factory=list)
    others: dict[str, list[Sample]] = field(default_factory=dict)


def chosen_input(station: Station, name: str) -> str:
    """The name of an input that the station has. Raises ConfigError."""
    known = inputs_of(station)
    if not known:
        raise ConfigError(
            f"trigger.kind = {station.trigger.kind!r} is no input, and there is no other: look at the camera instead, "
            "with edge io camera"
        )
    if (name or next(iter(known))) not in known:
        raise ConfigError(f"--name {name!r} is not one of {', '.join(known)}")
    return name or next(iter(known))


def show(
    station: Station, name: str, duration_ns: int | None, clock: Clock, asked: threading.Event
) -> Iterator[str]:
    """An input's edges as sentences, as they come. Raises InputError when none came in all the time."""
    chosen = inputs_of(station)[name]
    seen: SimpleQueue[Edge | str] = SimpleQueue()
    yield f"{name}: {chosen.kind}, its times are stated to be good to {input_error_ms(chosen):g} ms"
    began_ns, count, before = clock.now_ns(), 0, None
    with watching(device_of(chosen, clock), seen.put, seen.put):
        while not asked.is_set() and (duration_ns is None or clock.now_ns() - began_ns < duration_ns):
            try:
                news = seen.get(timeout=_WAIT_S)
            except Empty:
                continue
            if isinstance(news, str):
                yield f"{name}: {news or 'is read'}"
                continue
            yield f"{name} {_edge_words(news, began_ns, before)}"
            count, before = count + 1, news
    if not count:
        raise InputError(f"{name} saw no edge: hold something before it, and check its wiring and invert")


def _edge_words(edge: Edge, began_ns: int, before: Edge | None) -> str:
    after = "" if before is None else f", {(edge.at_ns - before.at_ns) / MS:.1f} ms after the last"
    return (
        f"{'rises' if edge.level else 'falls'} at {(edge.at_ns - began_ns) / SECOND:.4f} s, known to "
        f"{edge.err_ns / MS:.2f} ms ({edge.source.name.lower()}){after}, number {edge.counter}"
    )


def measure(
    station: Station,
    camera: CameraOptions,
    parts: int,
    axis: Axis,
    within_ns: int,
    duration_ns: int | None,
    clock: Clock,
    asked: threading.Event,
) -> Measured:
    """Follow one marked part after another past the photo-eye and the camera, until `parts` have passed.

    Parts must come alone: a passing that another edge follows within `within_ns` is left out. Blocks for up to
    `duration_ns` (None: until asked to stop). Raises ConfigError without a photo-eye, CameraError and InputError when a
    device is lost.
    """
    known = inputs_of(station)
    if TRIGGER not in known:
        raise ConfigError(
            f"trigger.kind = {station.trigger.kind!r} sees the part in the picture: nothing to measure"
        )
    lost: SimpleQueue[str] = SimpleQueue()
    edges: SimpleQueue[tuple[str, Edge]] = SimpleQueue()
    samples: SimpleQueue[Counted | str] = SimpleQueue()
    device: Camera = find(CAMERAS, camera.kind, "camera")(camera, clock)
    follower = _Follower(axis, camera.triggered, within_ns, odometer_of(station))
    with ExitStack() as stack:
        stack.callback(device.close)
        device.open()  # first: a part that comes before it would get no picture
        for name in [each for each in (TRIGGER, SECOND_EYE, CONFIRM) if each in known]:
            told = partial(_note, edges, name)
            stack.enter_context(watching(device_of(known[name], clock), told, lost.put))
        if station.encoder is not None and isinstance(station.travel, EncoderTravel):
            stack.enter_context(counting(station.encoder, clock, samples.put, samples.put))
        began_ns = clock.now_ns()
        while follower.found.passings < parts and not asked.is_set():
            if duration_ns is not None and clock.now_ns() - began_ns >= duration_ns:
                break
            follower.see(_next_frame(device, camera))
            while not edges.empty():
                follower.hear(*edges.get())
            while not samples.empty():
                follower.count(samples.get())
            while not lost.empty():
                if words := lost.get():
                    raise InputError(words)
            follower.settle(clock.now_ns())
    return follower.found


def odometer_of(station: Station) -> Odometer | None:
    """What measures the belt's travel; None on a belt of constant speed."""
    if station.encoder is None or not isinstance(station.travel, EncoderTravel):
        return None
    return Odometer(station.encoder.bits, station.travel.max_counts_per_s)


def _next_frame(device: Camera, options: CameraOptions) -> Frame | None:
    try:
        frame = device.read(_READ_S)
    except EndOfPictures as error:
        raise ConfigError(f"{error}: measure with a camera, a replay knows nothing of this belt") from error
    return frame if frame is None else replace(frame, image=cut(frame.image, options))


def _note(edges: SimpleQueue[tuple[str, Edge]], name: str, edge: Edge) -> None:
    if edge.level:
        edges.put((name, edge))


class _Follower:
    """Brings edges and frames together; a passing is over a while after its edge, when late frames have come too."""

    def __init__(self, axis: Axis, triggered: bool, within_ns: int, odometer: Odometer | None = None) -> None:
        self._axis = axis
        self._triggered = triggered
        self._within_ns = within_ns
        self._odometer = odometer
        self._frames: list[Glance] = []
        self._open: list[_Passing] = []
        self._last_ns = 0
        self.found = Measured()

    def see(self, frame: Frame | None) -> None:
        if frame is not None:
            self._frames.append(glance(frame.image, frame.captured_ns, frame.captured_err_ns))

    def count(self, news: Counted | str) -> None:
        """A sample of the encoder, or why there is none ("": there is again): then passings lack their counts."""
        if self._odometer is None:
            return
        if isinstance(news, Counted):
            self._odometer.see(news.counter, news.at_ns)
            return
        self._odometer.lose()
        self.found.encoder = news or self.found.encoder

    def hear(self, name: str, edge: Edge) -> None:
        if name != TRIGGER:
            if self._open:
                self._open[-1].others.setdefault(name, edge)
            return
        is_alone = not self._last_ns or edge.at_ns - self._last_ns >= self._within_ns
        if self._open and not is_alone:
            self._open[-1].is_alone = False
        since_ns = max(edge.at_ns - _BEFORE_NS, self._last_ns + self._within_ns)
        self._last_ns = edge.at_ns
        self._open.append(_Passing(edge, since_ns, is_alone=is_alone))

    def settle(self, now_ns: int) -> None:
        """End what is over, and forget frames that nobody needs."""
        while self._open and now_ns >= self._open[0].edge.at_ns + self._within_ns + _LATE_NS:
            self._end(self._open.pop(0))
        since_ns = self._open[0].edge.at_ns if self._open else now_ns
        while self._frames and self._frames[0].at_ns < since_ns - _BEFORE_NS:
            self._frames.pop(0)
        if self._odometer is not None:
            self._odometer.forget(since_ns - _BEFORE_NS)

    def _end(self, passing: _Passing) -> None:
        found, edge = self.found, passing.edge
        if not passing.is_alone:
            found.crowded += 1
            return
        found.passings += 1
        until_ns = edge.at_ns + self._within_ns
        frames = [frame for frame in self._frames if passing.since_ns <= frame.at_ns <= until_ns]
        if self._triggered:
            after = [frame for frame in frames if frame.at_ns >= edge.at_ns - edge.err_ns]
            sample = only_frame(edge.at_ns, edge.err_ns, after)
        else:
            found.frame_ms = (
                (frames[-1].at_ns - frames[0].at_ns) / (len(frames) - 1) / MS if len(frames) > 1 else 0.0
            )
            sample = middle_of(edge.at_ns, edge.err_ns, frames, self._axis)
        found.picture += [self._travelled(edge, sample)] if sample else []
        for name, other in passing.others.items():
            later = Sample(other.at_ns - edge.at_ns, other.err_ns + edge.err_ns)
            found.others.setdefault(name, []).append(self._travelled(edge, later))

    def _travelled(self, edge: Edge, sample: Sample) -> Sample:
        if self._odometer is None:
            return sample
        return replace(sample, counts=self._odometer.between(edge.at_ns, edge.at_ns + sample.delay_ns))


def words_of(found: Measured, station: Station, camera: CameraOptions, distances: Distances) -> list[str]:
    """What was measured, and the lines that belong into the station file. Raises InputError when nothing was."""
    crowded = f", {found.crowded} more came too close to another" if found.crowded else ""
    words = [f"{found.passings} parts passed alone{crowded}; {len(found.picture)} gave a picture"]
    lines: list[str] = []
    if found.picture:
        delay = delay_of(found.picture)
        words.append(f"from the edge to the picture {_told(delay)}")
        lines += [
            f'[[camera]] of name = "{camera.name}"',
            f"trigger_to_frame_ms = {delay.median_ms:.1f}",
            f"window_ms = {window_ms(delay, found.frame_ms):g}",
        ]
        lines += _travel(delay, station, camera, found, distances)
    for name, samples in found.others.items():
        delay = delay_of(samples)
        words.append(f"from the edge to {name} {_told(delay)}")
        if name == SECOND_EYE:
            lines += ["[second_eye]", f"trigger_to_eye_{_measure(delay, station, found, '.1f')}"]
    if not lines:
        raise InputError(f"{words[0]}: {_ADVICE_TRIGGERED if camera.triggered else _ADVICE_FREE}")
    return [*words, "for the station file:", *(f"    {line}" for line in lines)]


_ADVICE_TRIGGERED = "the camera must answer each edge with one picture; see edge check --devices"
_ADVICE_FREE = (
    "let one marked part after another cross the middle of the picture, on an empty belt, seen in three frames or "
    "more; give --axis y where parts go up or down in it, a longer --within where they take longer"
)


def _travel(
    delay: Delay, station: Station, camera: CameraOptions, found: Measured, distances: Distances
) -> list[str]:
    """How long a part takes to the gate at the speed at which it came to the camera."""
    if not distances.gate_mm or not distances.camera_mm:
        return []
    if camera.triggered:
        raise ConfigError(
            f"--camera-mm: camera {camera.name} is triggered, so its pictures do not show how fast the belt is; leave "
            "it out, or measure with a second eye"
        )
    travel = stretched(delay, distances.gate_mm / distances.camera_mm)
    return ["[travel]", f"trigger_to_gate_{_measure(travel, station, found, '.0f')}    # {_told(travel)}"]


def _measure(delay: Delay, station: Station, found: Measured, digits: str) -> str:
    """The end of a line of the station file: in counts where an encoder measures the belt. Raises InputError."""
    if odometer_of(station) is None:
        return f"ms = {delay.median_ms:{digits}}"
    if delay.median_counts is None:
        cause = f" ({found.encoder})" if found.encoder else ""
        raise InputError(f"the encoder was not read during any passing{cause}: look at it, then measure again")
    return f"counts = {delay.median_counts:.0f}"


def _told(delay: Delay) -> str:
    words = (
        f"{delay.median_ms:.1f} ms, at most {delay.spread_ms:.1f} ms from it in {delay.count} passings; the times are "
        f"stated to be good to {delay.err_ms:.1f} ms"
    )
    if delay.median_counts is None or not delay.median_ms:
        return words
    per_ms = delay.median_counts / delay.median_ms
    return (
        f"{words}; {delay.median_counts:.0f} counts of the encoder, at most {delay.spread_counts:.0f} from it, at "
        f"about {1_000 * per_ms:.0f} counts/s"
    )
