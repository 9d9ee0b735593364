"""Looks at the pictures of one camera for a person: what they are worth, and whether the student would know them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2

from edge.capture import TABLE, About, Camera, EndOfPictures
from edge.capture import appraisal as see
from edge.capture.appraisal import Look, Motion
from edge.capture.region import cut
from edge.capture.sheet import Image, draw_sheet
from edge.clock import SECOND, Clock
from edge.errors import BundleError, CameraError
from edge.install import open_active
from edge.kinds import find
from edge.options import Camera as CameraOptions
from edge.picture_set import read_image, read_set
from edge.pixels import InputSpec, to_input
from edge.records import Frame
from edge.station import Station

PATIENCE_S = 10.0
COMPARED = 40  # so many of the pictures are compared with those that the student learned from


@dataclass(frozen=True, slots=True)
class Learned:
    """What a student learned from, as it sees it: the geometry of its input (None: as the camera sends them)."""

    spec: InputSpec | None
    looks: tuple[Look, ...]


@dataclass(slots=True)
class Seen:
    """What is kept of the pictures: figures of all, motion between each two, and some to show."""

    about: About = field(default_factory=About)
    size: str = ""
    looks: list[Look] = field(default_factory=list)
    moved: list[Motion] = field(default_factory=list)
    shown: dict[str, tuple[float, Image]] = field(default_factory=dict)
    as_input: dict[str, list[Look]] = field(default_factory=dict)


def learned(station: Station) -> tuple[dict[str, Learned], list[str]]:
    """What the station's products learned from, and in words which of them have no bundle here."""
    known, words = {}, []
    for product in station.products().values():
        try:
            bundle = open_active(station, product)
            pictures = [picture.image for picture in bundle.acceptance()]
        except BundleError as error:
            words.append(f"{product}: nothing to compare with; {error}")
            continue
        spec = bundle.manifest.input
        known[product] = Learned(spec, tuple(_as_input(image, spec) for image in pictures))
    return known, words


def like(folder: Path) -> dict[str, Learned]:
    """What a picture set looks like, of which up to COMPARED pictures are read. Raises ConfigError."""
    pictures = read_set(folder)
    some = pictures[:: max(1, len(pictures) // COMPARED)]
    return {str(folder): Learned(None, tuple(_as_input(read_image(each.path), None) for each in some))}


def look(options: CameraOptions, frames: int, known: Mapping[str, Learned], clock: Clock) -> Seen:
    """Take so many pictures, or as many as come. Raises CameraError, also when none comes within 10 s."""
    camera: Camera = find(TABLE, options.kind, "camera")(options, clock)
    every = max(1, frames // COMPARED)
    try:
        camera.open()
        seen, before = Seen(), None
        for number, frame in enumerate(_frames(camera, options, frames, clock)):
            before = _keep(seen, frame, before)
            for product in known if number % every == 0 else ():
                seen.as_input.setdefault(product, []).append(_as_input(frame.image, known[product].spec))
        seen.about = camera.about()
    finally:
        camera.close()
    if not seen.looks:
        raise CameraError(f"camera {options.name} sent no picture within {PATIENCE_S:g} s: trigger it meanwhile")
    return seen


def appraised(seen: Seen, known: Mapping[str, Learned], exposure_us: float | None) -> list[str]:
    """What the pictures are worth, as sentences that say what to do."""
    looks, exposure_us = seen.looks, exposure_us or seen.about.exposure_us
    passed_s = (looks[-1].captured_ns - looks[0].captured_ns) / SECOND
    rate = f", {(len(looks) - 1) / passed_s:.1f} a second" if passed_s > 0 else ""
    return [
        *seen.about.words,
        f"{len(looks)} pictures of {seen.size}{rate}",
        see.focus_words(looks),
        see.light_words(looks),
        see.flicker_words(see.flicker(looks)),
        see.blur_words(seen.moved, exposure_us),
        *(
            f"{product}: {see.likeness_words(live, known[product].looks)}"
            for product, live in seen.as_input.items()
        ),
    ]


def png(seen: Seen, words: Sequence[str]) -> bytes:
    """A sheet of the pictures to show, the curve of brightness and these words."""
    sheet = draw_sheet([(name, image) for name, (_, image) in seen.shown.items()], seen.looks, words)
    written, data = cv2.imencode(".png", sheet)
    assert written, "a BGR picture can be a PNG"
    return data.tobytes()


def _frames(camera: Camera, options: CameraOptions, frames: int, clock: Clock) -> Iterator[Frame]:
    heard_ns = clock.now_ns()
    while frames and clock.now_ns() - heard_ns < PATIENCE_S * SECOND:
        try:
            frame = camera.read(0.5)
        except EndOfPictures:
            return
        if frame is not None:
            heard_ns, frames = clock.now_ns(), frames - 1
            yield replace(frame, image=cut(frame.image, options))


def _keep(seen: Seen, frame: Frame, before: see.Small | None) -> see.Small:
    """Look at a frame; returns what the next one is compared with."""
    here, little = see.look_at(frame.image, frame.captured_ns), see.small(frame.image, frame.captured_ns)
    moved = None if before is None else see.motion(before, little)
    seen.moved += [moved] if moved is not None else []
    seen.looks.append(here)
    seen.size = f"{frame.image.shape[1]} x {frame.image.shape[0]}"
    for name, value in (
        ("the sharpest", here.focus),
        ("the least sharp", -here.focus),
        ("the brightest", here.mean),
        ("the darkest", -here.mean),
    ):
        if name not in seen.shown or value > seen.shown[name][0]:
            seen.shown[name] = (value, frame.image.copy())
    return little


def _as_input(image: Image, spec: InputSpec | None) -> Look:
    """A picture's figures as the network sees it."""
    if spec is None:
        return see.look_at(image, 0)
    return see.look_as_seen(to_input(image, spec))
