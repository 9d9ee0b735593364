"""Which devices of a station would fight for one wire or one serial port, and which ports change their names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import combinations, product

from edge import options
from edge.options import Options
from edge.station import Station

# What station.toml calls a device -> its options.
Devices = Mapping[str, Options]

_ON_A_PORT = (options.RtuUnit, options.SerialBytesOutput, options.SerialLineInput, options.SerialLineOutput)
_MOVING = ("/dev/ttyUSB", "/dev/ttyACM")


def devices(station: Station) -> Devices:
    """The line's devices of this station."""
    gate = None if station.gate is None else station.gate.output
    named: dict[str, Options | None] = {
        "gate": gate,
        "line_permit": station.line_permit,
        "encoder": station.encoder,
    }
    if not isinstance(station.trigger, options.CameraTrigger | options.PresenceTrigger):
        named = {"trigger": station.trigger, **named}
    for name in ("second_eye", "confirm", "motor"):
        section = getattr(station, name)
        named[name] = None if section is None else section.input
    for interlock in station.interlock:
        named[f"interlock {interlock.name}"] = interlock.input
    return {name: device for name, device in named.items() if device is not None}


def conflicts(devices: Devices) -> list[str]:
    """Why these devices cannot work beside each other, as sentences."""
    found = []
    for (name, one), (other_name, other) in combinations(devices.items(), 2):
        if _wire(one) is not None and _wire(one) == _wire(other):
            found.append(f"{name} and {other_name} are the same wire: give {other_name} one of its own")
        elif _port(one) is not None and _port(one) == _port(other) and _way(one) != _way(other):
            found.append(
                f"{name} and {other_name} use serial port {_port(one)} in two ways: use one kind with the same "
                f"settings, or two ports"
            )
    return found


def between(one: Devices, other: Devices) -> list[str]:
    """Why these devices of two line processes cannot work beside each other, as sentences. Each process opens its
    serial ports for itself alone, so not even different relays of one board will do; a TCP device serves both."""
    found = []
    for (name, mine), (other_name, theirs) in product(one.items(), other.items()):
        if _port(mine) is not None and _port(mine) == _port(theirs):
            found.append(
                f"{name} and {other_name} are both at serial port {_port(mine)}, which one line has for itself: "
                f"give {other_name} a port of its own"
            )
        elif _wire(mine) is not None and _wire(mine) == _wire(theirs):
            found.append(f"{name} and {other_name} are the same wire: give {other_name} one of its own")
        elif _mark(mine) is not None and _mark(mine) == _mark(theirs):
            found.append(
                f"{name} and {other_name} have the same owner_register, so each would take the other for a second "
                f"master: give each a register of its own"
            )
        elif _two_times(mine, theirs):
            found.append(
                f"{name} and {other_name} set one watchdog to two times: give both the same watchdog_value"
            )
    return found


def overloads(devices: Devices) -> list[str]:
    """Buses that are asked for more time than there is, as sentences."""
    shares: dict[tuple[str, int], float] = {}
    for device in devices.values():
        if isinstance(device, options.RtuUnit):
            bus = (device.port, device.baud)
            shares[bus] = shares.get(bus, 0.0) + device.bus_share
    return [
        f"the bus at {port} is asked for {share:.0%} of its time at {baud} baud: poll less often, write fewer "
        f"heartbeats, or set a higher baud"
        for (port, baud), share in shares.items()
        if share > 1
    ]


def unsteady(devices: Devices) -> Iterator[str]:
    """A sentence for each port whose name belongs to whichever adapter was plugged in first."""
    for name, device in devices.items():
        if isinstance(device, _ON_A_PORT) and device.port.startswith(_MOVING):
            yield (
                f"{name}.port = {device.port!r} may be another adapter after the next start: name it by its path under "
                f"/dev/serial/by-id"
            )


def _port(device: Options) -> str | None:
    return os.path.realpath(device.port) if isinstance(device, _ON_A_PORT) else None


def _way(device: Options) -> tuple[object, ...]:
    """What devices on one port must agree in."""
    if isinstance(device, options.RtuUnit):
        return ("modbus_rtu", device.baud, device.parity, device.stop_bits)
    if isinstance(device, options.SerialBytesOutput):
        return ("serial_bytes", device.baud)
    return (type(device),)


def _wire(device: Options) -> tuple[object, ...] | None:
    """What only one device may have; an input that is polled may be read twice."""
    if isinstance(device, options.PlcGate):
        return (device.host, device.port, device.device_id, "gate", device.address)
    if isinstance(device, options.ModbusOutput):
        return (device.host, device.port, device.device_id, device.coil)
    if isinstance(device, options.ModbusRtuOutput):
        return (_port(device), device.device_id, device.coil)
    if isinstance(device, options.GpioLine):
        return (os.path.realpath(device.chip), device.line)
    if isinstance(device, options.SerialBytesOutput):
        return (_port(device), device.on_hex if device.board == "custom" else device.channel)
    if isinstance(device, options.SerialLineInput | options.SerialLineOutput):
        return (_port(device), device.line)
    return None


def _mark(device: Options) -> tuple[object, ...] | None:
    """Where a coil over TCP holds its owner's mark."""
    if not isinstance(device, options.ModbusOutput) or device.owner_register is None:
        return None
    return (device.host, device.port, device.device_id, device.owner_register)


def _two_times(one: Options, other: Options) -> bool:
    """Whether two coils over TCP would set the watchdog of one device to different times."""
    if not isinstance(one, options.ModbusOutput) or not isinstance(other, options.ModbusOutput):
        return False
    places = [(each.host, each.port, each.device_id, each.watchdog_register) for each in (one, other)]
    return (
        one.watchdog_register is not None and places[0] == places[1] and one.watchdog_value != other.watchdog_value
    )
