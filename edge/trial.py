"""Tries a station's devices one by one without a line: opens the cameras, infers once, reads back the gate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from edge.capture import TABLE as CAMERAS
from edge.capture import About, Camera, EndOfPictures
from edge.capture.quality import FrameCheck
from edge.capture.region import cut
from edge.clock import MS, SECOND, Clock
from edge.errors import BundleError, CameraError, ConfigError, EngineError, KenpinError, PlcError
from edge.eye.plc_trial import plc_answers
from edge.eye.student import Student, load
from edge.install import open_active
from edge.kinds import find
from edge.line.outputs.trial import read_back
from edge.manifest import Manifest
from edge.options import Camera as CameraOptions
from edge.options import GstCamera
from edge.records import Frame, Kind, Reason
from edge.station import Station
from edge.timing import Stamps


def bundles_of(station: Station) -> dict[int, Manifest]:
    """The manifests of the station's installed products by recipe number. Raises BundleError."""
    return {recipe: open_active(station, product).manifest for recipe, product in station.products().items()}


def pipelines(station: Station) -> Iterator[str]:
    """The pipelines that are written for cameras given by a URI, as sentences."""
    for camera in station.camera:
        if not isinstance(camera, GstCamera) or not camera.uri:
            continue
        try:
            text = find({"gst": "edge.capture.gst:pipeline_of"}, "gst", "camera")(camera)
        except ConfigError as error:
            text = f"cannot be written on this machine: {error}"
        yield f"camera {camera.name}, pipeline: {text}"


def try_devices(station: Station, clock: Clock) -> Iterator[str]:
    """What each device answers, as sentences, as they come; outputs are only brought to rest.

    Raises the first error of a device after all have been tried, or the first BundleError where the devices are well.
    """
    failed: list[KenpinError] = []
    lacking: list[KenpinError] = []
    students: list[Student] = []
    try:
        for product in station.products().values():
            try:
                students.append(load(open_active(station, product), station.engine, clock))
            except BundleError as error:
                lacking.append(error)
        for camera in station.camera:
            try:
                yield _camera_answers(camera, students, clock, _parts_per_s(station))
            except (CameraError, ConfigError, EngineError) as error:  # a library that is not there, too
                failed.append(error)
                yield str(error)
    finally:
        for student in students:
            student.engine.close()
    if station.plc is not None:
        try:
            yield plc_answers(station.plc, clock)
        except PlcError as error:
            failed.append(error)
            yield str(error)
    if station.station.mode == "inspect":
        for words, failure in read_back(station, clock):
            failed += [failure] if failure else []
            yield words
    if failed:
        yield from map(str, lacking)
        raise failed[0]
    if lacking:
        raise lacking[0]


def _parts_per_s(station: Station) -> float:
    """The most parts that can come in a second; 0 where the station does not say."""
    return 0.0 if station.travel is None else 1_000.0 / station.travel.shortest_pitch_ms


def _camera_answers(options: CameraOptions, students: list[Student], clock: Clock, parts_per_s: float) -> str:
    camera: Camera = find(CAMERAS, options.kind, "camera")(options, clock)
    try:
        camera.open()
        frame = _first_frame(camera, options, clock)
        about = camera.about()
        if options.triggered:
            _refuse_slow(options.name, about, parts_per_s)
        if frame is None:
            words = f"open; no frame within {options.timeout_ms:g} ms (it waits for a trigger)"
            return f"camera {options.name}: {'; '.join([words, *about.words])}"
        size = f"{frame.image.shape[1]} x {frame.image.shape[0]}"
        words = f"camera {options.name}: {size}, {_quality(frame, options.focus_min)}"
        return "; ".join([words, *about.words, *(_judged(student, frame, clock) for student in students)])
    finally:
        camera.close()


def _refuse_slow(name: str, about: About, parts_per_s: float) -> None:
    if about.triggers_per_s is not None and about.triggers_per_s < parts_per_s:
        raise CameraError(
            f"camera {name} can be triggered {about.triggers_per_s:.1f} times a second and parts may come "
            f"{parts_per_s:.1f} times ({'; '.join(about.words)}): shorten its exposure, reduce its height, or use a "
            "camera with a global shutter"
        )


def _first_frame(camera: Camera, options: CameraOptions, clock: Clock) -> Frame | None:
    until_ns = clock.now_ns() + round(options.timeout_ms * MS)
    while clock.now_ns() < until_ns:
        try:
            frame = camera.read((until_ns - clock.now_ns()) / SECOND)
        except EndOfPictures:
            return None
        if frame is not None:
            return replace(frame, image=cut(frame.image, options))
    if options.triggered:
        return None
    raise CameraError(
        f"camera {options.name} is open but sent no frame within {options.timeout_ms:g} ms: check cable and settings"
    )


def _quality(frame: Frame, focus_min: float) -> str:
    reason = FrameCheck(focus_min=focus_min).check(frame.image)
    return "frame looks sound" if reason is Reason.NONE else f"frame refused ({reason.name}): check light and lens"


def _judged(student: Student, frame: Frame, clock: Clock) -> str:
    stamps = Stamps(taken_ns=clock.now_ns())
    try:
        scores = student.look(frame.image, stamps, clock)
    except ConfigError as error:
        return f"{student.product}: {error}"
    kind, _ = student.judge(scores)
    took_ms = (stamps.engine_ns - stamps.taken_ns) / MS
    words = {Kind.PASS: "would pass", Kind.REJECT: "would be rejected", Kind.UNKNOWN: "cannot be judged"}[kind]
    return f"{student.product}: score {scores.score:.3f}, {words}, {took_ms:.1f} ms"
