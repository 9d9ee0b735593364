"""What the stations of one eye must agree in, and what each must have for itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from edge import check
from edge.errors import ConfigError
from edge.line.wiring import between, devices
from edge.options import (
    Camera,
    EnipPlc,
    ModbusClientPlc,
    ModbusServerPlc,
    OpcUaPlc,
    S7Plc,
)
from edge.options import Plc as PlcOptions
from edge.station import Station

MOST = 8
PLC_REGISTERS = 80  # that one station's words take in a PLC
# What a station says of its own part stream, not of the camera.
_OWN = frozenset({"region", "focus_min", "trigger_to_frame_ms", "window_ms"})
_DEVICE = ("source", "uri", "pipeline", "address", "serial", "id")


def refuse(stations: Sequence[Station]) -> None:
    """Raises ConfigError with every reason why these stations must not run, each by itself and together."""
    for station in stations:
        check.refuse(station)
    found = mistakes(stations)
    if found:
        listed = "\n".join(f"  {number}. {text}" for number, text in enumerate(found, 1))
        raise ConfigError(f"these stations must not run together:\n{listed}")


def mistakes(stations: Sequence[Station]) -> list[str]:
    """Why these stations cannot share an eye, as sentences that say what to do; empty when they can."""
    if len(stations) > MOST:
        return [f"{len(stations)} stations in one eye: give up to {MOST}, and the others an eye of their own"]
    return [words for one, other in combinations(stations, 2) for words in _between(one, other)]


def advice(stations: Sequence[Station]) -> list[str]:
    """What is allowed and rarely meant."""
    return [
        f"camera {camera.name}: the regions of {_name(one)} and {_name(other)} overlap, so a part may be in both"
        for one, other in combinations(stations, 2)
        for camera, same in _shared_cameras(one, other)
        if _overlap(camera, same)
    ]


def _between(one: Station, other: Station) -> list[str]:
    if one.source.resolve() == other.source.resolve():
        return [f"{one.source} is given twice: give each station once"]
    return [*_cameras(one, other), *beside(one, other)]


def beside(one: Station, other: Station) -> list[str]:
    """Why these stations cannot be on one machine, whoever runs them, as sentences that say what to do."""
    found = [*_folders(one, other), *between(_named_devices(one), _named_devices(other))]
    return [*found, *_plcs(one, other), *_panels(one, other)]


def _folders(one: Station, other: Station) -> Iterator[str]:
    if _name(one) == _name(other):
        yield f"station.name: {one.source} and {other.source} are both {_name(one)!r}; give each its own name"
    for key, mine, theirs in (
        ("station.state_dir", one.station.state_dir, other.station.state_dir),
        ("station.run_dir", one.station.run_dir, other.station.run_dir),
        ("journal.dir", one.journal.dir, other.journal.dir),
    ):
        if mine.resolve() == theirs.resolve():
            yield f"{key}: {one.source} and {other.source} have the same, {mine}; give each station its own"


def _cameras(one: Station, other: Station) -> Iterator[str]:
    """A camera that both name is opened once, so it must be one and the same; another name means another device."""
    for camera, same in _shared_cameras(one, other):
        differing = sorted(_differing(camera, same))
        if differing:
            yield (
                f"camera {camera.name}: {one.source} and {other.source} differ in {', '.join(differing)}; write the "
                "same in both, or give another camera another name"
            )
        elif camera.region == same.region:
            yield (
                f"camera {camera.name}: {one.source} and {other.source} have the same region "
                f"({list(camera.region) if camera.region else 'the whole frame'}), so both would judge the same parts; "
                "give each the region of its own lane"
            )
    for camera in one.camera:
        for another in other.camera:
            if camera.name != another.name and _device(camera) and _device(camera) == _device(another):
                yield (
                    f"camera {camera.name} of {one.source} and camera {another.name} of {other.source} are the same "
                    "device; give both the same name, and it is opened once"
                )


def _shared_cameras(one: Station, other: Station) -> Iterator[tuple[Camera, Camera]]:
    theirs = {camera.name: camera for camera in other.camera}
    for camera in one.camera:
        if camera.name in theirs:
            yield camera, theirs[camera.name]


def _differing(camera: Camera, same: Camera) -> set[str]:
    mine, theirs = _plain(camera), _plain(same)
    return {key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)} - _OWN


def _plain(camera: Camera) -> dict[str, Any]:
    """The settings, with one name for each folder."""
    settings = camera.model_dump()
    return {key: value.resolve() if isinstance(value, Path) else value for key, value in settings.items()}


def _device(camera: Camera) -> tuple[Any, ...]:
    """What names the device behind a camera; empty for replayed and simulated ones."""
    named = [(key, value) for key in _DEVICE if (value := getattr(camera, key, "")) != ""]
    return (camera.kind, *named) if named else ()


def _overlap(camera: Camera, same: Camera) -> bool:
    if camera.region is None or same.region is None:
        return True
    x, y, width, height = camera.region
    other_x, other_y, other_width, other_height = same.region
    return x < other_x + other_width and other_x < x + width and y < other_y + other_height and other_y < y + height


def _named_devices(station: Station) -> dict[str, Any]:
    return {f"{name} of {station.source}": device for name, device in devices(station).items()}


def _plcs(one: Station, other: Station) -> list[str]:
    mine, theirs = one.plc, other.plc
    if mine is None or theirs is None or not _same_place(mine, theirs):
        return []
    return [f"plc: {one.source} and {other.source} use the same place in one PLC; give each station its own"]


def _panels(one: Station, other: Station) -> Iterator[str]:
    if one.panel and other.panel and one.panel.address[1] == other.panel.address[1]:
        yield f"panel.listen: {one.source} and {other.source} have the same port; give each panel its own"


def _same_place(mine: PlcOptions, theirs: PlcOptions) -> bool:
    """Whether the words of two stations would lie on each other, or two servers listen at one port."""
    if isinstance(mine, ModbusServerPlc | OpcUaPlc) and isinstance(theirs, ModbusServerPlc | OpcUaPlc):
        return mine.port == theirs.port
    if isinstance(mine, ModbusClientPlc) and isinstance(theirs, ModbusClientPlc):
        at_one = (mine.host, mine.port, mine.device_id) == (theirs.host, theirs.port, theirs.device_id)
        return at_one and abs(mine.address - theirs.address) < PLC_REGISTERS
    if isinstance(mine, S7Plc) and isinstance(theirs, S7Plc):
        at_one = (mine.host, mine.rack, mine.slot, mine.db) == (theirs.host, theirs.rack, theirs.slot, theirs.db)
        return at_one and abs(mine.start - theirs.start) < 2 * PLC_REGISTERS
    if isinstance(mine, EnipPlc) and isinstance(theirs, EnipPlc):
        return (mine.host, mine.slot, mine.prefix) == (theirs.host, theirs.slot, theirs.prefix)
    return False


def _name(station: Station) -> str:
    return station.station.name
