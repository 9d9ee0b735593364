"""What a station file says about its line, as the core wants it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.clock import MS
from edge.errors import ConfigError
from edge.line.axis import EncoderScale
from edge.line.events import CONFIRM, ENCODER, INTERLOCK, MOTOR, PLC_GATE, SECOND_EYE, TRIGGER
from edge.line.limits import Bounds
from edge.line.messages import LineState
from edge.line.plc_gate.told import PlcTerms
from edge.line.senses import Interlock, SecondEye, Sensors
from edge.line.zone import Zone
from edge.options import AnyOutput, PlcGate

if TYPE_CHECKING:
    from edge.station import Station
    from edge.travel import EncoderTravel, TimeTravel


@dataclass(frozen=True, slots=True)
class Settings:
    """What a station file says about its line.

    `permits`: a line permit is driven. `eye_births`: the eye sees the parts come. `child`: Stop ends the process.
    `digest` names what its eye must have read alike, `note` is told while there is no fault. Heartbeats in ns, None
    for an output that is written on change only; `..._takes_ns` is how long one keeps the line busy. A bypass lasts
    `bypass_max_ns` at most; 0 allows none. `encoder` is None where the belt's travel is not measured. `confirm`:
    after the gate's planned edge, give or take, a part comes by the sensor.
    `plc`: a PLC owns the gate; the line tells it a word for each part and writes no level.
    """

    zone: Zone
    bounds: Bounds
    permits: bool
    shadow: bool = False
    eye_births: bool = False
    child: bool = False
    digest: bytes = bytes(8)
    pid: int = 0
    gate_heartbeat_ns: int | None = None
    permit_heartbeat_ns: int | None = None
    gate_heartbeat_takes_ns: int = 0
    permit_heartbeat_takes_ns: int = 0
    note: str = ""
    bypass_max_ns: int = 0
    encoder: EncoderScale | None = None
    sensors: Sensors = field(default_factory=Sensors)
    confirm: tuple[int, int] | None = None
    plc: PlcTerms | None = None

    @property
    def inputs(self) -> frozenset[str]:
        """The inputs that must be read before the line begins."""
        sensors = self.sensors
        names = {INTERLOCK + each.name for each in sensors.interlocks}
        names |= set() if self.eye_births else {TRIGGER}
        names |= {SECOND_EYE} if sensors.second_eye else set()
        names |= {CONFIRM} if self.confirm else set()
        names |= {MOTOR} if sensors.motor else set()
        names |= {ENCODER} if self.encoder else set()
        names |= {PLC_GATE} if self.plc else set()
        return frozenset(names)

    @classmethod
    def of(cls, station: Station, child: bool = False, note: str = "") -> Settings:
        """The settings of a station that inspects or shadows. Raises ConfigError for one that has no line."""
        gate, travel = station.gate, station.travel
        if station.station.mode == "collect" or gate is None or travel is None:
            raise ConfigError(f"{station.source} describes no gate to drive: the line needs [travel] and [gate]")
        shadow = station.station.mode == "shadow"
        permit = None if shadow else station.line_permit
        level = None if shadow or isinstance(gate.output, PlcGate) else gate.output
        limits = station.limits
        return cls(
            zone=Zone.of(travel, gate),
            bounds=Bounds(
                consecutive_rejects=limits.consecutive_rejects,
                unknown_in_a_row=limits.unknown_in_a_row,
                missed_deadlines=limits.missed_deadlines,
                escapes=gate.rest == "pass",
                unconfirmed_rejects=limits.unconfirmed_rejects,
                window_rejects=limits.window_rejects,
                window_parts=limits.window_parts,
                warns=frozenset(limits.warn),
            ),
            permits=permit is not None,
            shadow=shadow,
            eye_births=station.trigger.kind in ("camera", "presence"),
            child=child,
            digest=station.agreed,
            pid=os.getpid(),
            gate_heartbeat_ns=None if level is None else _ns(level.heartbeat_ms),
            permit_heartbeat_ns=None if permit is None else _ns(permit.heartbeat_ms),
            gate_heartbeat_takes_ns=0 if level is None else round(level.heartbeat_takes_ms * MS),
            permit_heartbeat_takes_ns=0 if permit is None else round(permit.heartbeat_takes_ms * MS),
            note=note,
            bypass_max_ns=round(limits.bypass_max_min * 60_000 * MS),
            encoder=_encoder(station, travel),
            sensors=_sensors(station, travel),
            confirm=_confirm(station, shadow),
            plc=None if shadow else _plc(gate.output, travel),
        )


def _plc(output: AnyOutput | PlcGate, travel: TimeTravel | EncoderTravel) -> PlcTerms | None:
    """The lead is a time on an encoder's axis; on the other one the slots begin by it. A PLC that stands still is lost
    before anything of it is missed."""
    if not isinstance(output, PlcGate):
        return None
    lead_ms = travel.lead_ms if travel.mode == "encoder" else 0.0
    return PlcTerms(round(1.5 * output.silence_ms * MS), round(output.heartbeat_ms * MS), round(lead_ms * MS))


def _encoder(station: Station, travel: TimeTravel | EncoderTravel) -> EncoderScale | None:
    if travel.mode != "encoder":
        return None
    assert station.encoder is not None
    return EncoderScale(
        bits=station.encoder.bits,
        max_per_s=travel.max_counts_per_s,
        lead_ns=round(travel.lead_ms * MS),
        reverse=station.encoder.reverse_counts,
        stale_ns=round(station.encoder.stale_ms * MS),
    )


def _sensors(station: Station, travel: TimeTravel | EncoderTravel) -> Sensors:
    """Lengths in the units of the line's axis."""
    counts = travel.mode == "encoder"
    unit, scale = ("counts", 1) if counts else ("ms", MS)

    def places(section: object, key: str) -> int:
        value: float = getattr(section, f"{key}_{unit}")
        return round(value * scale)

    second = station.second_eye
    return Sensors(
        length_min=places(travel, "length_min"),
        length_max=places(travel, "length_max"),
        second_eye=None
        if second is None
        else SecondEye(places(second, "trigger_to_eye"), places(second, "window"), places(second, "max_drift")),
        interlocks=tuple(
            Interlock(
                each.name,
                each.well == "high",
                LineState.HELD if each.effect == "hold" else LineState.SUSPENDED,
            )
            for each in station.interlock
        ),
        motor=station.motor is not None,
        dead_ns=0 if station.encoder is None else round(station.encoder.dead_after_ms * MS),
    )


def _confirm(station: Station, shadow: bool) -> tuple[int, int] | None:
    """In shadow mode nothing is rejected, so nothing comes by the sensor."""
    if station.confirm is None or shadow:
        return None
    return round(station.confirm.after_ms * MS), round(station.confirm.window_ms * MS)


def _ns(milliseconds: float | None) -> int | None:
    return None if milliseconds is None else round(milliseconds * MS)
