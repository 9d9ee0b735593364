"""What outputs do without us: the written table is the code's, unsafe stations are refused, each with what to do."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.line.outputs import TABLE
from edge.line.outputs.survival import Survival, goes_to_rest, refusals, survives
from edge.options import MemoryOutput, ModbusOutput, SerialLineOutput
from edge.station import Station, parse

PAGE = Path(__file__).parents[2] / "docs" / "outputs.md"

STATION = """
[station]
name = "line-3"
product = "cap-a"
mode = "{mode}"
[[camera]]
name = "top"
kind = "belt"
[trigger]
{trigger}
[travel]
trigger_to_gate_ms = 420
decide_before_ms = 30
lead_ms = 12
pitch_ms = 90
[gate]
{gate}
pulse_ms = 20
rest = "{rest}"
{permit}
"""
COIL = 'kind = "modbus"\nhost = "h"\ncoil = {}\n'
RELAY = 'kind = "serial_bytes"\nport = "/dev/ttyX"\nchannel = {}\n'
UNIT = 'kind = "modbus_rtu"\nport = "/dev/ttyX"\ncoil = {}\n'
PIN = 'kind = "gpio"\nline = {}\n'
WATCHDOG = "watchdog_register = 5\nwatchdog_value = 300\n"
GUARDED = "external_watchdog = true\nheartbeat_ms = 100\n"
MEMORY = 'kind = "memory"\n'
KINDS = sorted([*TABLE, "plc"])  # a gate that a PLC owns is no level


def station(gate: str, permit: str = "", trigger: str = 'kind = "simulated"', **keys: str) -> Station:
    section = f"[line_permit]\n{permit}" if permit else ""
    values = {"rest": "reject", "mode": "inspect"} | keys
    text = STATION.format(gate=gate, permit=section, trigger=trigger, **values)
    return parse(text.encode(), Path("station.toml"))


def row(kind: str) -> str:
    """One line of the table in docs/outputs.md."""
    said = survives(kind)
    words = [getattr(said, field.name) for field in fields(Survival)]
    cells = ["yes" if word is True else "**no**" if word is False else word for word in words]
    return f"| `{kind}` | {' | '.join(cells)} |"


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_says_of_each_kind_what_the_code_says(kind: str) -> None:
    assert row(kind) in PAGE.read_text(encoding="utf-8").splitlines()


def test_the_page_has_no_row_for_a_kind_that_is_gone() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("| kind | eye death"))
    kinds = [line.split("`")[1] for line in lines[begin + 2 : begin + 2 + len(KINDS)]]
    assert sorted(kinds) == KINDS
    assert not lines[begin + 2 + len(KINDS)].startswith("|")


def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="gpio, memory, modbus, modbus_rtu, plc, serial_bytes, serial_line"):
        survives("relais")


def test_a_declared_watchdog_brings_any_output_to_rest() -> None:
    assert not goes_to_rest(SerialLineOutput(kind="serial_line", port="p"))
    assert goes_to_rest(SerialLineOutput(kind="serial_line", port="p", external_watchdog=True))
    assert goes_to_rest(MemoryOutput(kind="memory"))
    assert not goes_to_rest(ModbusOutput(kind="modbus", host="h", coil=1))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (station(COIL.format(0)), ["gate.kind = 'modbus' can stay open"]),
        (station(MEMORY, COIL.format(0), rest="pass"), ["parts would run by the open gate uninspected"]),
        (station(MEMORY, RELAY.format(1)), ["the belt would run on"]),
        (station(COIL.format(0) + "external_watchdog = true"), ["set gate.heartbeat_ms"]),
        (station(COIL.format(0) + GUARDED, COIL.format(0) + GUARDED), ["the same wire"]),
        (station(UNIT.format(0) + GUARDED, UNIT.format(0) + GUARDED), ["the same wire"]),
        (station(PIN.format(1), PIN.format(2)), ["gate.kind = 'gpio' can stay open", "the belt would run on"]),
        (station(PIN.format(1) + GUARDED, PIN.format(1) + GUARDED), ["the same wire"]),
        (
            station(UNIT.format(0) + GUARDED, UNIT.format(1) + GUARDED + "baud = 19200"),
            ["in two ways"],
        ),
        (
            station(UNIT.format(0) + GUARDED, trigger='kind = "serial_line"\nport = "/dev/ttyX"'),
            ["trigger and gate use serial port"],
        ),
        (
            station(PIN.format(1) + GUARDED, trigger='kind = "gpio"\nline = 1'),
            ["trigger and gate are the same wire"],
        ),
        (station(COIL.format(0) + GUARDED + "watchdog_register = 5"), ["watchdog_value belongs to"]),
        (station(COIL.format(0) + GUARDED + "watchdog_value = 5"), ["watchdog_value belongs to"]),
        (
            station(COIL.format(0) + WATCHDOG, COIL.format(1) + GUARDED),
            ["gate.external_watchdog does not declare"],
        ),
        (
            station(COIL.format(0) + "external_watchdog = true\nowner_register = 5"),
            ["set gate.heartbeat_ms", "set gate.heartbeat_ms"],
        ),
        (
            station(
                RELAY.format(1) + GUARDED,
                'kind = "serial_line"\nport = "/dev/ttyX"\nexternal_watchdog = true',
            ),
            ["in two ways"],
        ),
    ],
)
def test_an_unsafe_station_is_refused_with_what_to_do(made: Station, words: list[str]) -> None:
    found = refusals(made)
    assert len(found) == len(words)
    for text, expected in zip(found, words, strict=True):
        assert expected in text and ": " in text


@pytest.mark.parametrize(
    "made",
    [
        station(COIL.format(0) + GUARDED),
        station(COIL.format(0), COIL.format(1) + GUARDED),  # the belt stops in front of an open gate
        station(RELAY.format(1), RELAY.format(2) + GUARDED, rest="pass"),
        station(COIL.format(0), COIL.format(1) + GUARDED + WATCHDOG + "owner_register = 9"),
        station(
            UNIT.format(0), UNIT.format(1) + GUARDED, trigger='kind = "modbus_rtu"\nport = "/dev/ttyX"\ninput = 0'
        ),
        station(COIL.format(0), mode="shadow"),
    ],
)
def test_a_station_that_survives_or_drives_nothing_may_run(made: Station) -> None:
    assert refusals(made) == []
