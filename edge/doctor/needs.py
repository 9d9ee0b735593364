"""Examines what a station needs of the machine: libraries, bundles, devices, the journal's disk."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from edge import check
from edge.capture import TABLE as CAMERAS
from edge.clock import MS, Clock
from edge.doctor import jetson, links, services, wear
from edge.doctor.finding import Finding, Here, graded
from edge.errors import BundleError, ConfigError, KenpinError
from edge.infer import TABLE as ENGINES
from edge.install import open_active
from edge.kinds import EXTRAS, find
from edge.line import inputs, outputs
from edge.line.wiring import devices
from edge.manifest import Manifest
from edge.options import GpioLine
from edge.outbox import TABLE as OUTBOX
from edge.panel import TABLE as PANEL
from edge.report import installed
from edge.station import Station

_ENGINE_LIBRARIES = {"ort": "onnxruntime", "ov": "openvino", "trt": "tensorrt"}
_PLC_LIBRARIES = {"s7": "snap7", "enip": "pycomm3", "opcua": "asyncua"}
_FORGETFUL = ("tmpfs", "ramfs", "overlay", "nfs", "nfs4", "cifs", "vfat", "exfat")
_FLUSHES = 20
_SLOW_MS = 50.0


def examine(station: Station, here: Here, clock: Clock, endurance_tb: float = 0) -> Iterator[Finding]:
    """Everything that can be said of a station on this machine without opening a device. `endurance_tb` is what may be
    written to the journal's disk in its life; 0: not known."""
    yield _file(station)
    yield from services.examine(station)
    yield from _libraries(station)
    yield from _bundles(station)
    yield from _nodes(station, here)
    yield from jetson.pins(station, here)
    yield from _cameras(station, here)
    yield from _disk(station.journal.dir, station, here, clock, endurance_tb)


def _file(station: Station) -> Finding:
    try:
        check.refuse(station)
    except ConfigError as error:
        return Finding("station", "wrong", str(error), f"edge check {station.source}")
    return Finding("station", "well", f"{station.source} may run")


def _libraries(station: Station) -> Iterator[Finding]:
    """Each chosen kind must be importable; importing says which extra is missing."""
    chosen: list[tuple[dict[str, str], str, str]] = [(CAMERAS, camera.kind, "camera") for camera in station.camera]
    chosen.append((ENGINES, station.engine.kind, "engine"))
    tables = (inputs.TABLE, inputs.ENCODERS, outputs.TABLE)
    for name, device in devices(station).items():
        kind = getattr(device, "kind", "")
        table = inputs.ENCODERS if name == "encoder" else next((one for one in tables if kind in one), None)
        if table is not None:
            chosen.append((outputs.TABLE if name in ("gate", "line_permit") else table, kind, name))
    if station.mqtt is not None:
        chosen.append((OUTBOX, "mqtt", "outbox"))
    if station.panel is not None:
        chosen.append((PANEL, "page", "panel"))
    for table, kind, room in chosen:
        try:
            find(table, kind, room)
        except KenpinError as error:
            yield Finding("library", "wrong", f"{room} kind {kind!r} cannot be used", str(error))
    library = _PLC_LIBRARIES.get(station.plc.kind, "") if station.plc else ""
    if library and find_spec(library) is None:
        yield Finding("library", "wrong", f"[plc] needs {library}", EXTRAS[library])


def _bundles(station: Station) -> Iterator[Finding]:
    """Opening verifies the signature and that this Kenpin is new enough; other versions are compared."""
    for product in station.products().values():
        try:
            manifest = open_active(station, product).manifest
        except (BundleError, ConfigError) as error:
            yield Finding("bundle", "wrong", f"{product} cannot be used", str(error))
            continue
        yield Finding(
            "bundle", "well", f"{product} {manifest.version}, needs kenpin {manifest.min_runtime} or newer"
        )
        yield from _made_with(product, manifest, station.engine.kind)
        yield from _other_engine(manifest, station)


def _made_with(product: str, manifest: Manifest, kind: str) -> Iterator[Finding]:
    """The library that the evidence was made with beside the one that judges here. All evidence is ONNX Runtime's so
    far; of another engine the bundle says no version, and `edge install` has held its scores against the host's."""
    library = _ENGINE_LIBRARIES.get(kind, "")
    host, here = manifest.provenance.get(library, ""), installed(library)
    if host and here:
        yield graded(
            "bundle",
            _minor(host) == _minor(here),
            f"{product}: its evidence was made with {library} {host}, {here} is installed",
            "no error: edge install judged it by its acceptance pictures, and does so again; after an update of the "
            "library run edge replay, or install the bundle again",
        )
    elif here:
        made = manifest.provenance.get("onnxruntime", "of a version that is not told")
        words = f"{product}: its evidence was made with onnxruntime {made}; here {library} {here} judges"
        yield Finding("bundle", "well", f"{words}, whose scores edge install has compared")


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def _other_engine(manifest: Manifest, station: Station) -> Iterator[Finding]:
    """On x86 OpenVINO may be the faster one; that can be measured only where the bundle has a model for it."""
    targets = {model.target for model in manifest.models}
    if platform.machine() != "x86_64" or station.engine.kind != "ort" or "ov" in targets:
        return
    words = f"{manifest.product}: its bundle has no model for OpenVINO, which may be faster on this processor"
    there = "" if find_spec("openvino") else f"{EXTRAS['openvino']}; "
    compiled = "edge-compile ... --target ort --target ov puts both into the bundle"
    yield Finding(
        "engine", "advice", words, f"{there}{compiled}; then edge doctor {station.source} --engines times them here"
    )


def _nodes(station: Station, here: Here) -> Iterator[Finding]:
    for name, device in devices(station).items():
        path = device.chip if isinstance(device, GpioLine) else getattr(device, "port", None)
        if isinstance(path, str):
            yield _node(name, path)
            yield from _latency(path, here)
    for words in check.advice(station):
        yield Finding("device", "advice", words, "name it by its path under /dev/serial/by-id")


def _node(name: str, path: str) -> Finding:
    if not Path(path).exists():
        return Finding("device", "wrong", f"{name}: {path} is not there", "plug it in, or correct the path")
    may = os.access(path, os.R_OK | os.W_OK)
    words = f"{name}: {path} {'may be opened' if may else 'may not be opened by you'}"
    return graded("device", may, words, "edge setup gives it to the service; by hand: sudo")


def _latency(path: str, here: Here) -> Iterator[Finding]:
    held = here.text(f"sys/bus/usb-serial/devices/{Path(os.path.realpath(path)).name}/latency_timer")
    if held:
        remedy = "edge setup writes a rule; the line also asks for it when it opens the port"
        yield graded("device", held == "1", f"{path} holds received bytes back for {held} ms", remedy)


def _cameras(station: Station, here: Here) -> Iterator[Finding]:
    for camera in station.camera:
        path = links.video_node(camera)
        if path:
            yield _node(f"camera {camera.name}", path)
    yield from links.examine(station, here)


# --- the journal's disk -------------------------------------------------------------------------------------------


def _disk(folder: Path, station: Station, here: Here, clock: Clock, endurance_tb: float) -> Iterator[Finding]:
    place = next(path for path in (folder, *folder.parents) if _is_seen(path))
    kind = _file_system(place, here)
    yield graded(
        "disk",
        kind not in _FORGETFUL,
        f"{folder} is on {kind or 'an unknown file system'}",
        "put journal.dir on a local disk with ext4 or xfs: records must outlive a power cut",
    )
    state, keeps = os.statvfs(place), station.journal
    free_mb = state.f_bavail * state.f_frsize // 1_000_000
    wanted_mb = keeps.pictures_max_mb + keeps.records_max_mb + keeps.free_min_mb
    words = f"{free_mb} MB are free, the journal may take {wanted_mb} MB"
    yield graded("disk", free_mb >= wanted_mb, words, "lower journal.pictures_max_mb, or take a larger disk")
    yield _flushes(place, clock)
    yield from wear.examine(place, station, here, endurance_tb)


def _is_seen(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:  # somebody else's folder: the one that holds it is looked at
        return False


def _file_system(place: Path, here: Here) -> str:
    """Of the mount with the longest path above this place."""
    mounts = [line.split()[1:3] for line in here.text("proc/mounts").splitlines()]
    fitting = [(len(point), kind) for point, kind in mounts if place.resolve().is_relative_to(point)]
    return max(fitting, default=(0, ""))[1]


def _flushes(place: Path, clock: Clock) -> Finding:
    """Every release waits for one of these."""
    path, took_ms = place / f".doctor.{os.getpid()}", []
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(_FLUSHES):
                began_ns = clock.now_ns()
                file.write(b"x" * 4_096)
                os.fdatasync(file.fileno())
                took_ms.append((clock.now_ns() - began_ns) / MS)
    except OSError as error:
        return Finding("disk", "advice", f"cannot write into {place} ({error.strerror})", "run edge doctor as root")
    finally:
        with suppress(OSError):
            path.unlink()
    worst_ms = max(took_ms)
    words = f"a flush takes {sorted(took_ms)[_FLUSHES // 2]:.1f} ms, at worst {worst_ms:.1f} ms of {_FLUSHES}"
    return graded("disk", worst_ms < _SLOW_MS, words, "a PASS waits for a flush: allow for it in decide_before_ms")
