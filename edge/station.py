"""station.toml -> a frozen Station; unknown key = error, every mistake in one report with its key path."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from edge.credentials import FOLDER, with_credentials
from edge.errors import ConfigError
from edge.mistakes import of_toml, sentences
from edge.options import (
    MAX_AT_PLC,
    Camera,
    CameraTrigger,
    Encoder,
    Engine,
    GateOutput,
    LineInput,
    Milliseconds,
    NewBundle,
    OpcUaPlc,
    Options,
    OrtEngine,
    Output,
    Plc,
    PlcGate,
    PresenceTrigger,
    Trigger,
    TrtEngine,
)
from edge.outbox.options import Mqtt
from edge.panel.options import LOCAL, Panel
from edge.section import PlainName, of_letters
from edge.travel import Counts, EncoderTravel, TimeTravel, Travel

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_OF_OTHERS = ("metrics", "mqtt", "panel")  # sections that neither line nor eye reads


class Identity(Options):
    """[station]: who this station is, what it does, and where it keeps its files."""

    name: Annotated[
        str,
        Field(min_length=1, max_length=40),
        of_letters("[A-Za-z0-9_.-]*", "letters, digits, - _ and ., without spaces: it names files and services"),
    ]
    mode: Literal["inspect", "shadow", "collect"] = "inspect"
    product: str | None = None
    state_dir: Path = Path("/var/lib/kenpin")
    run_dir: Path = Path("/run/kenpin")
    keys_dir: Path = Path("/etc/kenpin/keys")


class Gate(Options):
    """[gate]: what all gates share; the device's own keys stand in the same section. Pulse and tolerance are times on a
    belt of constant speed, counts where an encoder measures its travel."""

    pulse_ms: Milliseconds | None = None
    pulse_counts: Counts | None = None
    rest: Literal["reject", "pass"]
    late_tolerance_ms: Milliseconds = 5.0
    late_tolerance_counts: Counts | None = None
    output: GateOutput


class SecondEye(Options):
    """[second_eye]: a second photo-eye right before the gate, `trigger_to_eye` behind the trigger. It takes up slip of
    the belt to `max_drift` (a part that slipped further stops the line), misses parts that were taken off, and stops
    the line for parts that were put on. A part is looked for within `window` of its place. The device's own keys stand
    in the same section. Times or counts as in [travel]."""

    trigger_to_eye_ms: Milliseconds | None = None
    window_ms: Milliseconds | None = None
    max_drift_ms: Milliseconds | None = None
    trigger_to_eye_counts: Counts | None = None
    window_counts: Counts | None = None
    max_drift_counts: Counts | None = None
    input: LineInput


class Confirm(Options):
    """[confirm]: a sensor that sees every rejected part `after_ms` behind the gate's planned edge, give or take
    `window_ms`. The device's own keys stand in the same section."""

    after_ms: float = Field(ge=0, le=60_000)
    window_ms: Milliseconds
    input: LineInput


class Interlock(Options):
    """[[interlock]]: the line goes on while this input is at `well`. Else it is held (`hold`: the station's own matter,
    as air pressure or the gate's home switch) or suspended (`suspend`: the plant's, as a full reject bin): the permit
    drops, nothing is released, and the zone is purged when it is well again."""

    name: PlainName
    well: Literal["high", "low"] = "high"
    effect: Literal["hold", "suspend"] = "hold"
    input: LineInput


class Motor(Options):
    """[motor]: an input that is high while the belt's motor runs."""

    input: LineInput


class Journal(Options):
    """[journal]: where records and pictures go and for how long.

    Sealed days go, oldest first, beyond `keep_days` or `records_max_mb`. Pictures go beyond `pictures_max_mb` and while
    the disk has less than `free_min_mb` free, good ones first. `reserve_mb` are held back for the last records of a
    full disk.
    """

    dir: Path = Path("/var/lib/kenpin/journal")
    keep_days: int = Field(default=30, ge=1, le=3_650)
    records_max_mb: int = Field(default=4_000, ge=1)
    reserve_mb: int = Field(default=16, ge=0)
    pictures_max_mb: int = Field(default=8_000, ge=0)
    free_min_mb: int = Field(default=200, ge=0)
    keep_every_nth_pass: int = Field(default=100, ge=0)
    on_disk_full: Literal["stop", "reject"] = "stop"


class Limits(Options):
    """[limits]: counts that stop the line until a person acknowledged; 0 turns one off. `window_rejects` counts among
    the last `window_parts`, the others count in a row; `unconfirmed_rejects` needs [confirm]. Those named in `warn` do
    not stop the line, they are told. `bypass_max_min` is how long a person may let parts pass uninspected; 0 allows no
    bypass."""

    consecutive_rejects: int = Field(default=10, ge=0)
    unconfirmed_rejects: int = Field(default=1, ge=0)
    unknown_in_a_row: int = Field(default=3, ge=0)
    missed_deadlines: int = Field(default=3, ge=0)
    window_rejects: int = Field(default=0, ge=0)
    window_parts: int = Field(default=100, ge=1, le=10_000)
    warn: tuple[
        Literal[
            "consecutive_rejects", "unconfirmed_rejects", "unknown_in_a_row", "missed_deadlines", "window_rejects"
        ],
        ...,
    ] = ()
    bypass_max_min: float = Field(default=0, ge=0, le=480)


class Metrics(Options):
    """[metrics]: a service tells Prometheus this station's figures (`edge metrics`). There is no password, so `listen`
    is an address of the machine itself."""

    listen: str = "127.0.0.1:9317"

    @field_validator("listen")
    @classmethod
    def _local(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if host not in LOCAL or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ValueError("write this machine's own address and a port, such as 127.0.0.1:9317")
        return value


class Station(Options):
    """A whole station file. `source` is its path, `digest` the first 8 bytes of its SHA-256. `agreed` are 8 bytes that
    stand for what line and eye must have read alike: comments, and sections of other processes, do not change them.
    """

    station: Identity
    camera: tuple[Camera, ...] = Field(min_length=1, max_length=8)
    trigger: Trigger
    travel: Travel | None = None
    encoder: Encoder | None = None
    second_eye: SecondEye | None = None
    confirm: Confirm | None = None
    interlock: tuple[Interlock, ...] = Field(default=(), max_length=16)
    motor: Motor | None = None
    engine: Engine = OrtEngine(kind="ort")
    recipes: dict[int, str] = Field(default={})
    gate: Gate | None = None
    line_permit: Output | None = None
    plc: Plc | None = None
    journal: Journal = Journal()
    mqtt: Mqtt | None = None
    panel: Panel | None = None
    metrics: Metrics | None = None
    limits: Limits = Limits()
    new_bundle: NewBundle = NewBundle()
    source: Path
    digest: bytes
    agreed: bytes

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

    @property
    def longest_stop_ms(self) -> float:
        """How long a line that is told to stop may take until its outputs rest: what is in the zone is finished, and a
        gate that rests open then rejects for as long again, while the belt coasts. On an encoder the transit is that of
        a very slow belt, beside which the pulse is nothing."""
        if self.travel is None or self.gate is None:
            return 0.0
        transit_ms = self.travel.longest_transit_ms + (self.gate.pulse_ms or 0.0)
        return self.gate.late_tolerance_ms + transit_ms * (2 if self.gate.rest == "pass" else 1)


# Sections in which a device's own keys stand beside those of its place: the device's go one level down.
_PLACES: dict[str, tuple[type[Options], str]] = {
    "gate": (Gate, "output"),
    "second_eye": (SecondEye, "input"),
    "confirm": (Confirm, "input"),
    "interlock": (Interlock, "input"),
    "motor": (Motor, "input"),
}


def load(path: Path) -> Station:
    """Read and check a station file; relative paths in it are relative to its folder. Secrets that systemd has handed
    over take the place of the files that it names.

    Raises ConfigError with one line for each mistake.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; give the path of a station.toml") from error
    return with_credentials(parse(data, path), os.environ.get(FOLDER, ""))


def parse(data: bytes, path: Path) -> Station:
    """The station that the bytes of `path` describe; see `load`."""
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} {of_toml(error, data)}") from error
    for key in ("source", "digest", "agreed"):
        if key in table:
            raise ConfigError(f"{path}: unknown key {key!r}; remove it")
    told = {"source": path, "digest": hashlib.sha256(data).digest()[:8], "agreed": _agreed(table)}
    _nest_devices(table)
    if isinstance(table.get("travel"), dict):
        table["travel"].setdefault("mode", "time")
    table |= told
    mistakes: list[str] = []
    station: Station | None = None
    try:
        station = Station.model_validate(table)
    except ValidationError as error:
        devices = {section: device for section, (_, device) in _PLACES.items()}
        mistakes += sentences([dict(item) for item in error.errors()], Station, devices)
    if station is not None:
        mistakes += cross_checks(station)
    if station is None or mistakes:
        listed = "\n".join(f"  {number}. {text}" for number, text in enumerate(mistakes, 1))
        plural = "s" if len(mistakes) > 1 else ""
        raise ConfigError(f"{path} has {len(mistakes)} mistake{plural}; fix the file:\n{listed}")
    return _with_paths(station, path.resolve().parent)


def _agreed(table: dict[str, Any]) -> bytes:
    shared = {key: value for key, value in table.items() if key not in _OF_OTHERS}
    return hashlib.sha256(json.dumps(shared, sort_keys=True, default=str).encode()).digest()[:8]


def _nest_devices(table: dict[str, Any]) -> None:
    """Split each flat section into what its place states and the device's own keys."""
    for section, (model, device) in _PLACES.items():
        shared = frozenset(model.model_fields) - {device}
        given = table.get(section)
        if isinstance(given, dict):
            table[section] = _split(given, shared, device)
        elif isinstance(given, list):
            table[section] = [_split(each, shared, device) if isinstance(each, dict) else each for each in given]


def _split(section: dict[str, Any], shared: frozenset[str], device: str) -> dict[str, Any]:
    own = {key: value for key, value in section.items() if key not in shared}
    return {key: value for key, value in section.items() if key in shared} | {device: own}


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
    for section in (station.mqtt, station.panel):
        mistakes += section.mistakes() if section is not None else []
    return mistakes + _recipes(station)


def _recipes(station: Station) -> list[str]:
    """Recipes are selected by a PLC, which has words of 16 bits for their numbers; 0 is its "none"."""
    plc = station.plc
    mistakes = [f"recipes.{number}: must be 1 to 65535" for number in station.recipes if not 1 <= number <= 65_535]
    if station.recipes and plc is None:
        mistakes.append("plc: missing; a PLC selects one of [recipes]. Without a PLC name one station.product")
    elif station.recipes and plc and plc.heartbeat_timeout_ms is None:
        mistakes.append("plc.heartbeat_timeout_ms: missing; without it the PLC cannot select one of [recipes]")
    if plc and plc.heartbeat_timeout_ms and plc.heartbeat_timeout_ms < 2 * plc.poll_ms:
        mistakes.append("plc.heartbeat_timeout_ms: must be at least twice plc.poll_ms")
    return mistakes


def _needs_of_inspection(station: Station) -> list[str]:
    mistakes: list[str] = []
    if not station.products():
        mistakes.append("station.product: missing; name the installed product, or add [recipes]")
    if station.travel is None:
        mistakes.append('travel: missing; add it (only mode = "collect" needs none)')
    if station.gate is None:
        mistakes.append('gate: missing; add it (only mode = "collect" needs none)')
    if station.travel and station.gate:
        mistakes += _geometry(station, station.travel, station.gate)
    if station.gate and station.gate.rest == "pass" and station.line_permit is None:
        mistakes.append('line_permit: missing; gate.rest = "pass" lets parts by when nobody commands the gate')
    if station.gate and isinstance(station.gate.output, PlcGate):
        mistakes += station.gate.output.mistakes(station.gate.rest, station.trigger)
    names = [each.name for each in station.interlock]
    if len(set(names)) != len(names):
        mistakes.append(f"interlock: names must differ, got {', '.join(names)}")
    return mistakes


def _geometry(station: Station, travel: TimeTravel | EncoderTravel, gate: Gate) -> list[str]:
    """What does not fit on the belt, in the units that it is measured in."""
    unit = "counts" if travel.mode == "encoder" else "ms"
    mistakes = _wanted(gate, "gate", ("pulse", "late_tolerance"), unit)
    if station.second_eye is not None:
        mistakes += _wanted(station.second_eye, "second_eye", ("trigger_to_eye", "window", "max_drift"), unit)
    if travel.mode == "encoder" and station.encoder is None:
        mistakes.append('encoder: missing; travel.mode = "encoder" counts the belt\'s travel')
    if travel.mode != "encoder" and station.encoder is not None:
        mistakes.append('encoder: remove it, or set travel.mode = "encoder" and give the travel in counts')
    return mistakes or _distances(station, travel, gate, unit)


def _wanted(section: Options, name: str, keys: Sequence[str], unit: str) -> list[str]:
    """The keys that this section must have in this unit, and must not have in the other."""
    other = "ms" if unit == "counts" else "counts"
    mistakes = [
        f"{name}.{key}_{unit}: missing; add it" for key in keys if getattr(section, f"{key}_{unit}") is None
    ]
    foreign = [f"{key}_{other}" for key in keys if f"{key}_{other}" in section.model_fields_set]
    return mistakes + [f"{name}.{key}: remove it, the belt is measured in {unit}" for key in foreign]


def _distances(station: Station, travel: TimeTravel | EncoderTravel, gate: Gate, unit: str) -> list[str]:
    to_gate, before, pitch, longest, shortest = (
        getattr(travel, f"{key}_{unit}")
        for key in ("trigger_to_gate", "decide_before", "pitch", "length_max", "length_min")
    )
    pulse, tolerance = getattr(gate, f"pulse_{unit}"), getattr(gate, f"late_tolerance_{unit}")
    lead = travel.lead_ms if unit == "ms" else travel.lead_ms * getattr(travel, "max_counts_per_s", 0) / 1_000
    mistakes: list[str] = []
    if before >= to_gate:
        mistakes.append(f"travel.decide_before_{unit}: must be less than travel.trigger_to_gate_{unit}")
    if before <= lead:
        mistakes.append(f"travel.decide_before_{unit}: must be more than travel.lead_ms, the gate acts that early")
    if pulse > pitch:
        mistakes.append(
            f"gate.pulse_{unit}: must not exceed travel.pitch_{unit}, the pulse would hit the neighbour"
        )
    if tolerance >= pitch / 2:
        mistakes.append(f"gate.late_tolerance_{unit}: must be less than half of travel.pitch_{unit}")
    if isinstance(gate.output, PlcGate) and to_gate + pulse + tolerance > (MAX_AT_PLC - 1) * pitch:
        mistakes.append(
            f"gate.kind: a PLC keeps {MAX_AT_PLC} parts between photo-eye and gate; move them nearer to each other"
        )
    if longest and longest < shortest:
        mistakes.append(f"travel.length_max_{unit}: must not be less than travel.length_min_{unit}")
    return mistakes + _second_look(station.second_eye, to_gate - max(before, lead), pitch, unit)


def _second_look(second: SecondEye | None, latest: float, pitch: float, unit: str) -> list[str]:
    """A part must be seen again before its verdict is due, and not be mistaken for its neighbour."""
    if second is None:
        return []
    at, window, drift = (getattr(second, f"{key}_{unit}") for key in ("trigger_to_eye", "window", "max_drift"))
    mistakes = []
    if at + window >= latest:
        mistakes.append(
            f"second_eye.trigger_to_eye_{unit}: with window_{unit} it must be less than {latest:g}, where the "
            "verdict is due and the gate acts"
        )
    if window > pitch / 2:
        mistakes.append(f"second_eye.window_{unit}: must not exceed half of travel.pitch_{unit}")
    if drift > window:
        mistakes.append(f"second_eye.max_drift_{unit}: must not exceed second_eye.window_{unit}")
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
    update: dict[str, Any] = {"station": identity, "journal": journal, "camera": cameras}
    if isinstance(station.engine, TrtEngine):
        engines = folder / (station.engine.engines_dir or identity.state_dir / "engines")
        update["engine"] = station.engine.model_copy(update={"engines_dir": engines})
    if isinstance(station.plc, OpcUaPlc):
        update["plc"] = _in_folder(station.plc, folder, "certificate", "private_key", "trusted_dir", "users")
    if station.mqtt is not None:
        update["mqtt"] = _in_folder(station.mqtt, folder, "ca", "certificate", "private_key", "password_file")
    if station.panel is not None:
        update["panel"] = _in_folder(station.panel, folder, "certificate", "private_key", "labels_dir")
    return station.model_copy(update=update)


def _in_folder(section: Options, folder: Path, *keys: str) -> Options:
    """The section with the paths of these keys, where they are given, made absolute."""
    given = [key for key in keys if getattr(section, key) is not None]
    return section.model_copy(update={key: folder / getattr(section, key) for key in given})
