"""What each kind of output does when we die, hang or lose it, and which stations must not run because of it.

The reasoning stands in docs/outputs.md; the claims that can be tried are tried in tests/line_devices.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.errors import ConfigError
from edge.line.wiring import conflicts, devices
from edge.options import AnyOutput, CoilOptions, PlcGate
from edge.station import Gate, Station


@dataclass(frozen=True, slots=True)
class Survival:
    """What the wire does by itself. `rests_without_us`: with nothing outside to help it goes to rest when the line
    process is killed, hangs or is cut off."""

    eye_death: str
    line_death: str
    line_hang: str
    cable: str
    boot: str
    rests_without_us: bool


_EYE = "the line goes on: every part is rejected, the permit drops after limits.unknown_in_a_row"

_SURVIVAL = {
    "memory": Survival(
        eye_death=_EYE,
        line_death="nothing is wired: the level is forgotten",
        line_hang="nothing is wired",
        cable="nothing is wired",
        boot="nothing is wired",
        rests_without_us=True,
    ),
    "modbus": Survival(
        eye_death=_EYE,
        line_death="the coil keeps its level until the device's watchdog trips",
        line_hang="the coil keeps its level until the device's watchdog trips",
        cable="the coil keeps its level until the device's watchdog trips",
        boot="as the device starts, off for most; the line puts it to rest when it arms",
        rests_without_us=False,
    ),
    "modbus_rtu": Survival(
        eye_death=_EYE,
        line_death="the coil keeps its level until the device's watchdog trips",
        line_hang="the coil keeps its level until the device's watchdog trips",
        cable="the coil keeps its level until the device's watchdog trips",
        boot="as the device starts, off for most; the line puts it to rest when it arms",
        rests_without_us=False,
    ),
    "gpio": Survival(
        eye_death=_EYE,
        line_death="as the chip's driver likes: the pin keeps its level, or floats and follows its pull resistor",
        line_hang="the pin keeps its level",
        cable="a cut wire follows its pull resistor, a chip behind USB or I2C keeps its pins",
        boot="as the firmware left the pin, mostly an input that follows its pull resistor; the line takes it at rest",
        rests_without_us=False,
    ),
    "serial_bytes": Survival(
        eye_death=_EYE,
        line_death="the relay keeps its level; only a board with a watchdog lets it fall",
        line_hang="the relay keeps its level; only a board with a watchdog lets it fall",
        cable="a board powered by the cable lets its relays fall, another keeps them",
        boot="relays start open; a board that stays powered keeps its relays until the line arms",
        rests_without_us=False,
    ),
    "plc": Survival(
        eye_death=_EYE,
        line_death="the PLC gets no word and rejects; without a heartbeat it also forgets the words that it has",
        line_hang="the PLC gets no word and rejects; without a heartbeat it also forgets the words that it has",
        cable="the PLC gets no word and rejects; without a heartbeat it also forgets the words that it has",
        boot="the PLC rejects until a conversation has begun",
        rests_without_us=True,
    ),
    "serial_line": Survival(
        eye_death=_EYE,
        line_death="the kernel drops the line (HUPCL): rest, unless inverted, then it stays as it was",
        line_hang="the line keeps its level",
        cable="an adapter without power drops its lines; a cut wire follows its pull resistor",
        boot="low until a program opens the port; each opening raises the line for a moment",
        rests_without_us=False,
    ),
}

# A watchdog that counts our writes can watch these; a line or pin that keeps its level shows it nothing.
_WRITES_SHOW = ("modbus", "modbus_rtu", "serial_bytes")


def survives(kind: str) -> Survival:
    """What an output of this kind does without us; raises ConfigError for an unknown kind."""
    if kind not in _SURVIVAL:
        raise ConfigError(f"unknown output kind {kind!r}: use one of {', '.join(sorted(_SURVIVAL))}")
    return _SURVIVAL[kind]


def goes_to_rest(output: AnyOutput | PlcGate) -> bool:
    """Whether this output goes to rest when we stop: by itself, by a watchdog it declares, or by a PLC's program."""
    return isinstance(output, PlcGate) or output.external_watchdog or survives(output.kind).rests_without_us


def refusals(station: Station) -> list[str]:
    """Why the outputs of this station must not be trusted with its line, as sentences; empty when they may be.

    Shadow and collect drive no output, so nothing is asked of them.
    """
    if station.gate is None or station.station.mode != "inspect":
        return []
    permit = station.line_permit
    found = _unsafe_gate(station.gate, permit) + (_unsafe_permit(station.gate, permit) if permit else [])
    for name, output in (("gate", station.gate.output), ("line_permit", permit)):
        if output is not None and not isinstance(output, PlcGate):
            found += _never_fed(name, output)
        if isinstance(output, CoilOptions):
            found += _half_guarded(name, output)
    return found + conflicts(devices(station))


def _unsafe_gate(gate: Gate, permit: AnyOutput | None) -> list[str]:
    """A gate that rests at reject must close without us, or the belt must stop without us."""
    if gate.rest == "pass" or goes_to_rest(gate.output) or (permit is not None and goes_to_rest(permit)):
        return []
    kind = gate.output.kind
    return [
        f"gate.kind = {kind!r} can stay open when the line process dies, hangs or is cut off "
        f"({survives(kind).line_hang}), and parts would pass uninspected: let a watchdog of the device, a PLC or a "
        f"relay close it and declare gate.external_watchdog = true, or add a line_permit that has one"
    ]


def _unsafe_permit(gate: Gate, permit: AnyOutput) -> list[str]:
    """A permit is a dead man's switch: it must drop without us, whatever the gate does."""
    if goes_to_rest(permit):
        return []
    harm = "parts would run by the open gate uninspected" if gate.rest == "pass" else "the belt would run on"
    return [
        f"line_permit.kind = {permit.kind!r} can stay on when the line process dies, hangs or is cut off "
        f"({survives(permit.kind).line_hang}), and {harm}: let a watchdog of the device, a PLC or a relay drop it "
        f"and declare line_permit.external_watchdog = true"
    ]


def _never_fed(name: str, output: AnyOutput) -> list[str]:
    """A watchdog needs something to watch."""
    if not output.external_watchdog or output.heartbeat_ms is not None or output.kind not in _WRITES_SHOW:
        return []
    return [
        f"{name}.external_watchdog = true, but nothing feeds it between changes: set {name}.heartbeat_ms to a "
        f"third of the watchdog's time or less"
    ]


def _half_guarded(name: str, coil: CoilOptions) -> list[str]:
    """What would look like a guard and be none."""
    found = []
    if (coil.watchdog_value is None) != (coil.watchdog_register is None and coil.watchdog_check_register is None):
        found.append(
            f"{name}: watchdog_value belongs to a watchdog_register (written and read back) or a "
            f"watchdog_check_register (only read): set both, or remove them"
        )
    if coil.watchdog_value is not None and not coil.external_watchdog:
        found.append(
            f"{name}.watchdog_value arms a watchdog that {name}.external_watchdog does not declare: set it to true"
        )
    if coil.owner_register is not None and coil.heartbeat_ms is None:
        found.append(f"{name}.owner_register is looked at with every heartbeat: set {name}.heartbeat_ms")
    return found
