"""station.toml -> a frozen Station; unknown key = error, every mistake in one report with its key path."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from edge.errors import ConfigError
from edge.options import (
    Camera,
    CameraTrigger,
    Engine,
    Milliseconds,
    Options,
    OrtEngine,
    Output,
    PresenceTrigger,
    Trigger,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Identity(Options):
    """[station]: who this station is, what it does, and where it keeps its files."""

    name: str = Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_.-]+$")
    mode: Literal["inspect", "shadow", "collect"] = "inspect"
    product: str | None = None
    state_dir: Path = Path("/var/lib/kenpin")
    run_dir: Path = Path("/run/kenpin")
    keys_dir: Path = Path("/etc/kenpin/keys")


class Travel(Options):
    """[travel]: from trigger to gate. The verdict must exist `decide_before_ms` before the part is at the gate;
    the gate is written `lead_ms` before it, for valve and wire; parts are at least `pitch_ms` apart."""

    mode: Literal["time"] = "time"
    trigger_to_gate_ms: Milliseconds
    decide_before_ms: Milliseconds
    lead_ms: float = Field(default=0.0, ge=0)
    pitch_ms: Milliseconds


class Gate(Options):
    """[gate]: what all gates share; the device's own keys stand in the same section."""

    pulse_ms: Milliseconds
    rest: Literal["reject", "pass"]
    late_tolerance_ms: Milliseconds = 5.0
    output: Output


class Journal(Options):
    """[journal]: where records and pictures go and for how long."""

    dir: Path = Path("/var/lib/kenpin/journal")
    keep_days: int = Field(default=30, ge=1, le=3_650)
    pictures_max_mb: int = Field(default=8_000, ge=0)
    keep_every_nth_pass: int = Field(default=100, ge=0)
    on_disk_full: Literal["stop", "reject"] = "stop"


class Limits(Options):
    """[limits]: counts in a row that drop the line permit; 0 turns one off. `bypass_max_min` is how long a person
    may let parts pass uninspected; 0 allows no bypass."""

    consecutive_rejects: int = Field(default=10, ge=0)
    unconfirmed_rejects: int = Field(default=1, ge=0)
    unknown_in_a_row: int = Field(default=3, ge=0)
    missed_deadlines: int = Field(default=3, ge=0)
    bypass_max_min: float = Field(default=0, ge=0, le=480)


class Station(Options):
    """A whole station file. `source` is its path, `digest` the first 8 bytes of its SHA-256."""

    station: Identity
    camera: tuple[Camera, ...] = Field(min_length=1, max_length=8)
    trigger: Trigger
    travel: Travel | None = None
    engine: Engine = OrtEngine(kind="ort")
    recipes: dict[int, str] = Field(default={})
    gate: Gate | None = None
    line_permit: Output | None = None
    journal: Journal = Journal()
    limits: Limits = Limits()
    source: Path
    digest: bytes

    @field_validator("recipes", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {int(key) if str(key).isdigit() else key: name for key, name in value.items()}

    def products(self) -> dict[int, str]:
        """Recipe number -> product name; without recipes the one product has number 0."""
        if self.recipes:
            return dict(self.recipes)
        return {0: self.station.product} if self.station.product else {}


_GATE_KEYS = frozenset(Gate.model_fields) - {"output"}


def load(path: Path) -> Station:
    """Read and check a station file; relative paths in it are relative to its folder.

    Raises ConfigError with one line for each mistake.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; give the path of a station.toml") from error
    return parse(data, path)


def parse(data: bytes, path: Path) -> Station:
    """The station that the bytes of `path` describe; see `load`."""
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}; fix that line") from error
    for key in ("source", "digest"):
        if key in table:
            raise ConfigError(f"{path}: unknown key {key!r}; remove it")
    _nest_gate(table)
    table |= {"source": path, "digest": hashlib.sha256(data).digest()[:8]}
    mistakes: list[str] = []
    station: Station | None = None
    try:
        station = Station.model_validate(table)
    except ValidationError as error:
        mistakes += [_sentence(item) for item in _told_once([dict(item) for item in error.errors()])]
    if station is not None:
        mistakes += cross_checks(station)
    if station is None or mistakes:
        listed = "\n".join(f"  {number}. {text}" for number, text in enumerate(mistakes, 1))
        plural = "s" if len(mistakes) > 1 else ""
        raise ConfigError(f"{path} has {len(mistakes)} mistake{plural}; fix the file:\n{listed}")
    return _with_paths(station, path.resolve().parent)


def _told_once(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without "too short" for a list whose entries are wrong themselves."""
    places = [error["loc"] for error in errors]

    def has_wrong_entry(error: dict[str, Any]) -> bool:
        here = error["loc"]
        return any(len(place) > len(here) and place[: len(here)] == here for place in places)

    return [error for error in errors if error["type"] != "too_short" or not has_wrong_entry(error)]


def _nest_gate(table: dict[str, Any]) -> None:
    """Split the flat [gate] section into what all gates share and the device's own keys."""
    gate = table.get("gate")
    if isinstance(gate, dict):
        shared = {key: gate[key] for key in gate if key in _GATE_KEYS}
        device = {key: gate[key] for key in gate if key not in _GATE_KEYS}
        table["gate"] = shared | {"output": device}


def _sentence(error: dict[str, Any]) -> str:
    """One mistake as: key path: what is wrong (what it may be), got what."""
    steps = [str(step) for step in error["loc"] if step != "output"]
    # pydantic puts the chosen kind of a union into the path; the reader's file has no such level
    kinds = {"folder", "belt", "cv", "gst", "simulated", "modbus", "camera", "presence", "memory", "serial_bytes"}
    kinds |= {"serial_line", "ort"}
    path = ".".join(step for index, step in enumerate(steps) if index == 0 or step not in kinds)
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"{path}: unknown key; remove it or correct its name"
    if kind == "missing":
        return f"{path}: missing; add it"
    if kind == "union_tag_invalid":
        context = error["ctx"]
        return f"{path}.kind: {context['tag']!r} is not one of {context['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"{path}.kind: missing; add it"
    message = error["msg"].removeprefix("Value error, ")
    return f"{path}: {message[0].lower()}{message[1:]}, got {error['input']!r}"


def cross_checks(station: Station) -> list[str]:
    """What single keys cannot show: every contradiction between sections, as sentences."""
    mistakes: list[str] = []
    names = [camera.name for camera in station.camera]
    if len(set(names)) != len(names):
        mistakes.append(f"camera: names must differ, got {', '.join(names)}")
    trigger = station.trigger
    if isinstance(trigger, CameraTrigger | PresenceTrigger) and trigger.camera not in names:
        mistakes.append(f"trigger.camera: {trigger.camera!r} is not one of {', '.join(names)}")
    if station.station.product and station.recipes:
        mistakes.append("station.product: remove it, or remove [recipes]; not both")
    if station.station.mode != "collect":
        mistakes += _needs_of_inspection(station)
    return mistakes


def _needs_of_inspection(station: Station) -> list[str]:
    mistakes: list[str] = []
    if not station.products():
        mistakes.append("station.product: missing; name the installed product, or add [recipes]")
    if station.travel is None:
        mistakes.append("travel: missing; add it")
    if station.gate is None:
        mistakes.append("gate: missing; add it")
    if station.travel and station.gate:
        mistakes += _timing(station.travel, station.gate)
    if station.gate and station.gate.rest == "pass" and station.line_permit is None:
        mistakes.append('line_permit: missing; gate.rest = "pass" lets parts by when nobody commands the gate')
    return mistakes


def _timing(travel: Travel, gate: Gate) -> list[str]:
    mistakes: list[str] = []
    if travel.decide_before_ms >= travel.trigger_to_gate_ms:
        mistakes.append("travel.decide_before_ms: must be less than travel.trigger_to_gate_ms")
    if travel.decide_before_ms <= travel.lead_ms:
        mistakes.append("travel.decide_before_ms: must be more than travel.lead_ms, the gate acts that early")
    if gate.pulse_ms > travel.pitch_ms:
        mistakes.append("gate.pulse_ms: must not exceed travel.pitch_ms, the pulse would hit the neighbour")
    if gate.late_tolerance_ms >= travel.pitch_ms / 2:
        mistakes.append("gate.late_tolerance_ms: must be less than half of travel.pitch_ms")
    return mistakes


def _with_paths(station: Station, folder: Path) -> Station:
    """The station with its relative paths made absolute from the file's folder."""
    identity = station.station.model_copy(
        update={name: folder / getattr(station.station, name) for name in ("state_dir", "run_dir", "keys_dir")}
    )
    journal = station.journal.model_copy(update={"dir": folder / station.journal.dir})
    cameras = tuple(
        camera.model_copy(update={"dir": folder / camera.dir}) if camera.kind == "folder" else camera
        for camera in station.camera
    )
    return station.model_copy(update={"station": identity, "journal": journal, "camera": cameras})
