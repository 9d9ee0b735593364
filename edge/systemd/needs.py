"""What the processes of a station must touch: devices, hosts, folders, secrets. Their units allow this and no more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from edge.camera_options import Camera, CvCamera, GigeCamera, GstCamera
from edge.credentials import secrets
from edge.line.wiring import devices
from edge.options import GpioLine, ModbusServerPlc, OpcUaPlc, Options, OutputOptions
from edge.station import Station

ANY = "any"  # host, as systemd writes it
_PRIVILEGED_PORTS = 1_024
_USB_SERIAL = ("char-ttyUSB", "char-ttyACM")  # an adapter that is plugged in again may get another number
_PLUGGED = ("/dev/serial/", "/dev/ttyUSB", "/dev/ttyACM")
_VIDEO, _USB = "char-video4linux", "char-usb_device"
# What a pipeline's text shows of what it opens.
_VIDEO_SOURCES, _NETWORK_SOURCES = ("v4l2src",), ("rtsp", "udpsrc", "tcp", "http", "srt", "aravissrc")
_JETSON_SOURCES = ("nvarguscamerasrc", "csi://")

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Needs:
    """Of one process. `hosts`: addresses, networks or `ANY`; a process without any has no network. `makes_code`: a
    library writes machine code at run time. `jetson`: the camera stack of a Jetson, whose devices differ by board."""

    devices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    searches: bool = False  # looks at network interfaces
    low_ports: bool = False
    makes_code: bool = False
    jetson: bool = False
    writes: tuple[Path, ...] = ()
    secrets: tuple[tuple[str, Path], ...] = ()


def line_needs(station: Station) -> Needs:
    """Of the line: its inputs and outputs. In shadow mode no output is opened."""
    shadow = station.station.mode == "shadow"
    used = [each for each in devices(station).values() if not (shadow and isinstance(each, OutputOptions))]
    return Needs(
        devices=_distinct(name for device in used for name in _nodes(device)),
        hosts=_distinct(address(device.host) for device in used if hasattr(device, "host")),
        writes=_distinct((station.station.state_dir, station.station.run_dir)),
    )


def eye_needs(stations: Iterable[Station]) -> Needs:
    """Of the eye of these stations: cameras, engine, PLC links, journals."""
    stations = tuple(stations)
    cameras = [camera for station in stations for camera in station.camera]
    plcs = [station.plc for station in stations if station.plc is not None]
    names = _distinct(name for camera in cameras for name in _camera_nodes(camera))
    return Needs(
        devices=names,
        groups=("video",) if _VIDEO in names else (),
        hosts=_distinct([*(host for camera in cameras for host in _camera_hosts(camera)), *_plc_hosts(plcs)]),
        searches=any(isinstance(camera, GigeCamera) for camera in cameras),
        low_ports=any(isinstance(plc, ModbusServerPlc | OpcUaPlc) and plc.port < _PRIVILEGED_PORTS for plc in plcs),
        makes_code=any(isinstance(camera, GstCamera | GigeCamera) for camera in cameras)
        or any(station.engine.kind in ("ov", "trt") for station in stations),
        jetson=any(_mentions(camera, _JETSON_SOURCES) for camera in cameras)
        or any(station.engine.kind == "trt" for station in stations),
        writes=_distinct(path for station in stations for path in _records(station)),
        secrets=tuple(item for station in stations if station.plc for item in secrets(station, "plc").items()),
    )


def outbox_needs(station: Station) -> Needs:
    """Of the outbox: the broker, and the journal's folder, where SQLite's readers write beside the records."""
    assert station.mqtt is not None
    return Needs(
        hosts=(address(station.mqtt.host),),
        writes=_records(station),
        secrets=tuple(secrets(station, "mqtt").items()),
    )


def panel_needs(station: Station) -> Needs:
    """Of the panel: who may reach it, the journal's folder, where SQLite's readers write beside the records, and the
    set that gets people's labels. Users and sockets it only reads."""
    panel = station.panel
    assert panel is not None
    hosts = ("localhost",) if panel.is_local else tuple(map(str, panel.reached_from)) or (ANY,)
    return Needs(
        hosts=hosts,
        low_ports=panel.address[1] < _PRIVILEGED_PORTS,
        writes=_distinct(path for path in (station.journal.dir, panel.labels_dir) if path is not None),
        secrets=tuple(secrets(station, "panel").items()),
    )


def metrics_needs() -> Needs:
    """Of who tells Prometheus: this machine alone asks it. The eye's socket it only reads."""
    return Needs(hosts=("localhost",))


def folders(station: Station) -> tuple[Path, ...]:
    """Where the processes of the station write."""
    labels = station.panel.labels_dir if station.panel is not None else None
    return _distinct([*_records(station), *([labels] if labels is not None else [])])


def _records(station: Station) -> tuple[Path, ...]:
    return _distinct((station.station.state_dir, station.station.run_dir, station.journal.dir))


def own_nodes(stations: Iterable[Station]) -> tuple[str, ...]:
    """The paths of the serial ports and GPIO chips that these stations have for themselves."""
    used = [device for station in stations for device in devices(station).values()]
    paths = [getattr(device, "port", None) for device in used]
    ports = [path for path in paths if isinstance(path, str)]
    return _distinct([*ports, *(device.chip for device in used if isinstance(device, GpioLine))])


def has_usb_cameras(stations: Iterable[Station]) -> bool:
    """Whether a camera may be a USB3 Vision one."""
    return any(_USB in _camera_nodes(camera) for station in stations for camera in station.camera)


def address(host: str) -> str:
    """What an address filter can be told of a host: itself where it is an address, else `ANY`."""
    if host == "localhost":
        return host
    try:
        return str(ip_address(host))
    except ValueError:
        return ANY


def _distinct(items: Iterable[_Item]) -> tuple[_Item, ...]:
    return tuple(dict.fromkeys(items))


def _nodes(device: Options) -> tuple[str, ...]:
    if isinstance(device, GpioLine):
        return (device.chip,)
    port = getattr(device, "port", None)
    if not isinstance(port, str):
        return ()
    return _USB_SERIAL if port.startswith(_PLUGGED) else (port,)


def _camera_nodes(camera: Camera) -> tuple[str, ...]:
    if isinstance(camera, GigeCamera):
        return () if camera.address else (_USB,)
    video = isinstance(camera, CvCamera) and _is_video(str(camera.source))
    return (_VIDEO,) if video or _mentions(camera, ("v4l2://", *_VIDEO_SOURCES)) else ()


def _is_video(source: str) -> bool:
    return source.isdigit() or source.startswith("/dev/")


def _camera_hosts(camera: Camera) -> Iterator[str]:
    if isinstance(camera, GigeCamera):
        yield address(camera.address) if camera.address else ANY
    for url in _urls(camera):
        if url.hostname:
            yield address(url.hostname)
    if isinstance(camera, GstCamera) and any(word in camera.pipeline for word in _NETWORK_SOURCES):
        yield ANY


def _urls(camera: Camera) -> Iterator[SplitResult]:
    texts = [camera.uri] if isinstance(camera, GstCamera) else []
    texts += [str(camera.source)] if isinstance(camera, CvCamera) else []
    for text in texts:
        if re.match(r"[a-z][a-z0-9+]*://", text) and not text.startswith(("v4l2:", "file:", "csi:")):
            yield urlsplit(text)


def _mentions(camera: Camera, words: tuple[str, ...]) -> bool:
    return isinstance(camera, GstCamera) and any(word in camera.uri + camera.pipeline for word in words)


def _plc_hosts(plcs: Iterable[Options]) -> Iterator[str]:
    for plc in plcs:
        if isinstance(plc, ModbusServerPlc | OpcUaPlc):
            yield from map(str, plc.peers)
        elif hasattr(plc, "host"):
            yield address(plc.host)
