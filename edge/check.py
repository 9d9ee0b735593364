"""What must not run: stated time errors above the pitch, outputs that would not go to rest without us."""

from __future__ import annotations

from dataclasses import dataclass

from edge.errors import ConfigError
from edge.line.outputs.survival import refusals
from edge.line.wiring import devices, overloads, unsteady
from edge.options import (
    AnyInput,
    AnyOutput,
    Camera,
    CameraTrigger,
    CvCamera,
    GigeCamera,
    GstCamera,
    ModbusCounterInput,
    ModbusInput,
    ModbusRtuInput,
    ModbusRtuOutput,
    PlcGate,
    PresenceTrigger,
    SerialLineInput,
    SimulatedInput,
)
from edge.station import Station
from edge.travel import EncoderTravel


@dataclass(frozen=True, slots=True)
class TimeError:
    """One stated error of the station's time budget: what it is and how much, in milliseconds."""

    what: str
    error_ms: float


def camera_error_ms(camera: Camera) -> float:
    """The stated error of a camera's capture time; simulated and replayed frames are exact."""
    return camera.captured_err_ms if isinstance(camera, CvCamera | GstCamera | GigeCamera) else 0.0


def input_error_ms(device: AnyInput) -> float:
    """The stated error of an edge's time: how it is noticed, and what its contact may bounce."""
    if isinstance(device, SimulatedInput):
        return 0.0
    if isinstance(device, ModbusCounterInput):
        return device.poll_ms
    if isinstance(device, ModbusInput):
        noticed = device.poll_ms
    elif isinstance(device, ModbusRtuInput):
        noticed = max(device.poll_ms, device.exchange_ms) + device.exchange_ms
    elif isinstance(device, SerialLineInput):
        noticed = device.late_ms
    else:
        noticed = 10.0 if device.kernel_debounce_ms else 0.1
    return noticed + device.debounce_ms


def trigger_error_ms(station: Station) -> float:
    """The stated error of a part's birth time."""
    trigger = station.trigger
    if not isinstance(trigger, CameraTrigger | PresenceTrigger):
        return input_error_ms(trigger)
    camera = next(camera for camera in station.camera if camera.name == trigger.camera)
    if isinstance(trigger, PresenceTrigger):
        fps = getattr(camera, "fps", None) or getattr(camera, "rate_hz", None) or 30.0
        return camera_error_ms(camera) + 1_000.0 / fps
    assert isinstance(trigger, CameraTrigger)
    return camera_error_ms(camera)


def stated_errors(station: Station) -> list[TimeError]:
    """How well each device that tells times knows them: the trigger, the other inputs, the cameras."""
    told = [TimeError(f"trigger ({station.trigger.kind})", trigger_error_ms(station))]
    told += [
        TimeError(f"{name} ({device.kind})", input_error_ms(device))
        for name, device in devices(station).items()
        if isinstance(device, AnyInput) and name != "trigger"
    ]
    return told + [TimeError(f"camera {each.name} ({each.kind})", camera_error_ms(each)) for each in station.camera]


def time_budget(station: Station) -> list[TimeError]:
    """Every stated time error between a part's birth and its gate, for a station that inspects."""
    gate, travel = station.gate, station.travel
    assert gate is not None
    born = [TimeError(f"trigger ({station.trigger.kind})", trigger_error_ms(station))]
    if isinstance(gate.output, PlcGate):
        born.append(TimeError("the PLC's photo-eye and clock (gate.window_ms)", gate.output.window_ms))
    if not isinstance(travel, EncoderTravel) or station.encoder is None:
        return [*born, TimeError("gate write tolerance (gate.late_tolerance_ms)", gate.late_tolerance_ms)]
    tolerance_ms = travel.in_ms(gate.late_tolerance_counts or 0)
    return [
        *born,
        TimeError(f"encoder ({station.encoder.kind}), between two samples", station.encoder.poll_ms),
        TimeError("gate write tolerance (gate.late_tolerance_counts)", tolerance_ms),
    ]


def pairing_budget(station: Station, camera: Camera) -> list[TimeError]:
    """Every stated time error between a part's birth and its frame."""
    return [
        TimeError(f"trigger ({station.trigger.kind})", trigger_error_ms(station)),
        TimeError(f"camera {camera.name} ({camera.kind}) capture time", camera_error_ms(camera)),
        TimeError(f"camera {camera.name} window_ms", camera.window_ms),
    ]


def mistakes(station: Station) -> list[str]:
    """Why this station must not run, as sentences that say what to do; empty when it may."""
    if station.station.mode == "collect" or station.gate is None or station.travel is None:
        return []
    half = station.travel.shortest_pitch_ms / 2
    found = [*_over_budget("gate", time_budget(station), half)]
    if not isinstance(station.trigger, CameraTrigger | PresenceTrigger):
        for camera in station.camera:
            found += _over_budget(f"camera {camera.name}", pairing_budget(station, camera), half)
    found += _never_in_time(station.gate.output, time_budget(station)[-1]) + overloads(devices(station))
    if isinstance(station.trigger, CameraTrigger | PresenceTrigger) and len(station.camera) > 1:
        found.append(f"trigger.kind = {station.trigger.kind!r} takes one camera; use a photo-eye for several views")
    return found + _counters(station) + refusals(station)


def _counters(station: Station) -> list[str]:
    """A counter tells neither whether something is there nor how long it is."""
    levels = [(f"interlock {each.name}", each.input) for each in station.interlock]
    levels += [] if station.motor is None else [("motor", station.motor.input)]
    found = [
        f'{name}: a counter has no level; use kind = "modbus" with its input'
        for name, device in levels
        if isinstance(device, ModbusCounterInput)
    ]
    unit = "counts" if isinstance(station.travel, EncoderTravel) else "ms"
    lengths = [f"length_{which}_{unit}" for which in ("min", "max")]
    if isinstance(station.trigger, ModbusCounterInput):
        found += [
            f"travel.{key}: a counter does not say how long a part is; remove it, or use an input as trigger"
            for key in lengths
            if getattr(station.travel, key)
        ]
    return found


def _over_budget(name: str, budget: list[TimeError], half_ms: float) -> list[str]:
    total = sum(item.error_ms for item in budget)
    if total <= half_ms:
        return []
    listed = ", ".join(f"{item.what} {item.error_ms:g} ms" for item in budget)
    return [
        f"{name}: stated time errors add up to {total:g} ms, over half the part pitch ({half_ms:g} ms), so a "
        f"verdict could meet the neighbour ({listed}); reduce them or set a larger travel.pitch_ms"
    ]


def _never_in_time(output: AnyOutput | PlcGate, tolerance: TimeError) -> list[str]:
    """A gate on a slow bus is confirmed after its tolerance, however punctual the line is."""
    if not isinstance(output, ModbusRtuOutput) or output.exchange_ms <= tolerance.error_ms:
        return []
    return [
        f"gate: a write and its echo take {output.exchange_ms:.1f} ms at {output.baud} baud, longer than the "
        f"{tolerance.what} of {tolerance.error_ms:g} ms, so no action would be on time: set a higher baud or a larger "
        f"tolerance, and count the bus in travel's lead"
    ]


def advice(station: Station) -> list[str]:
    """What should be better, though the station may run with it."""
    return [] if station.station.mode == "collect" else list(unsteady(devices(station)))


def refuse(station: Station) -> None:
    """Raises ConfigError with every reason why this station must not run."""
    found = mistakes(station)
    if found:
        listed = "\n".join(f"  {number}. {text}" for number, text in enumerate(found, 1))
        raise ConfigError(f"{station.source} describes a station that must not run:\n{listed}")
