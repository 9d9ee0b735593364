"""Tries a station's outputs while no line runs: they answer and rest, and on a person's word the gate moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge.clock import MS, Clock
from edge.errors import ConfigError, DeviceError, InputError, OutputError
from edge.kinds import find
from edge.line import plc_gate
from edge.line.outputs import TABLE, Output
from edge.line.plc_gate.conversation import Conversation
from edge.options import PlcGate
from edge.station import Station


@dataclass(frozen=True, slots=True)
class Moved:
    """One change of the gate's level: how long the write took, and after how long the wire confirmed it (0: it is
    mute)."""

    active: bool
    took_ns: int
    confirmed_after_ns: int


def pulses(station: Station, times: int, clock: Clock) -> Iterator[Moved]:
    """Actuate the gate so often, each time for its pulse and with a pulse's rest after it; it ends at rest.

    Raises ConfigError where this station drives no gate itself, OutputError when the gate does not obey.
    """
    gate = station.gate
    if gate is None or station.station.mode != "inspect" or isinstance(gate.output, PlcGate):
        raise ConfigError(
            f"{station.source} drives no gate itself: it takes a [gate] of the station's own and inspect as mode; "
            f"a PLC's gate is moved at the PLC"
        )
    output: Output = find(TABLE, gate.output.kind, "gate")(gate.output, clock)
    pulse_ns = round(_pulse_ms(station) * MS)
    try:
        output.arm()
        for _ in range(times):
            for active in (True, False):
                yield _moved(output, active, clock)
                clock.sleep_until(clock.now_ns() + pulse_ns)
        output.rest()
    finally:
        output.close()


def _pulse_ms(station: Station) -> float:
    assert station.gate is not None and station.travel is not None
    if station.gate.pulse_ms is not None:
        return station.gate.pulse_ms
    assert station.travel.mode == "encoder" and station.gate.pulse_counts is not None
    return station.travel.in_ms(station.gate.pulse_counts)


def _moved(output: Output, active: bool, clock: Clock) -> Moved:
    issued_ns = clock.now_ns()
    confirmed_ns = output.write(active)
    return Moved(active, clock.now_ns() - issued_ns, confirmed_ns and confirmed_ns - issued_ns)


def read_back(station: Station, clock: Clock) -> Iterator[tuple[str, DeviceError | None]]:
    """For gate and line permit: what it answered, and the error if it did not."""
    assert station.gate is not None
    for name, options in (("gate", station.gate.output), ("line_permit", station.line_permit)):
        if isinstance(options, PlcGate):
            yield _greeted(options, clock)
            continue
        if options is None:
            continue
        output: Output = find(TABLE, options.kind, name)(options, clock)
        try:
            output.arm()
            yield f"{name}: {options.kind} answers and stands at rest", None
        except OutputError as error:
            yield f"{name}: {error}", error
        finally:
            output.close()


def _greeted(options: PlcGate, clock: Clock) -> tuple[str, DeviceError | None]:
    """Begin a conversation with the PLC that owns the gate, and end it without a word for any part."""
    talk = Conversation(options, find(plc_gate.TABLE, options.link, "gate")(options, clock), clock, 0)
    try:
        talk.open()
    except InputError as error:
        return f"gate: {error}", error
    finally:
        talk.close()
    return "gate: the PLC's program runs and takes up the conversation", None
