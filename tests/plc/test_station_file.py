"""What a station file may say of its PLC and its recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.options import ModbusServerPlc, OpcUaPlc
from edge.station import Station, parse

EXAMPLE = Path(__file__).parents[2] / "examples" / "recipes.toml"


def station(old: str = "", new: str = "") -> Station:
    text = EXAMPLE.read_text()
    assert old in text
    return parse(text.replace(old, new, 1).encode(), EXAMPLE)


def mistakes(old: str, new: str) -> str:
    with pytest.raises(ConfigError) as refused:
        station(old, new)
    return str(refused.value)


def test_recipes_come_with_a_plc() -> None:
    plc = station().plc
    assert isinstance(plc, ModbusServerPlc) and [str(peer) for peer in plc.peers] == ["192.0.2.1/32"]
    assert station().products() == {1: "cap-a", 2: "cap-b"}


def test_recipes_without_a_plc_are_refused() -> None:
    section = EXAMPLE.read_text().partition("[plc]")
    assert "plc: missing; a PLC selects one of [recipes]" in mistakes(section[1] + section[2], "")


def test_recipes_need_a_plc_that_may_write() -> None:
    opcua = 'kind = "opcua"\ncertificate = "a"\nprivate_key = "b"\ntrusted_dir = "c"\nusers = "d"\n'
    begin = EXAMPLE.read_text().partition("[plc]\n")[2]
    assert "plc.heartbeat_timeout_ms: missing" in mistakes(begin, opcua)
    plc = station(begin, opcua + "heartbeat_timeout_ms = 2000\n").plc
    assert isinstance(plc, OpcUaPlc) and plc.trusted_dir == EXAMPLE.resolve().parent / "c"


@pytest.mark.parametrize("number", [0, 65_536])
def test_a_recipe_s_number_fits_into_a_word_and_is_not_none(number: int) -> None:
    assert f"recipes.{number}: must be 1 to 65535" in mistakes('1 = "cap-a"', f'{number} = "cap-a"')


def test_a_heartbeat_is_looked_at_often_enough() -> None:
    assert "must be at least twice plc.poll_ms" in mistakes(
        'kind = "modbus_server"', 'kind = "modbus_server"\npoll_ms = 200\nheartbeat_timeout_ms = 300'
    )


def test_an_unknown_kind_and_an_unknown_key_are_told() -> None:
    assert "plc.kind: 'profinet' is not one of" in mistakes('kind = "modbus_server"', 'kind = "profinet"')
    assert "plc.slave: unknown key" in mistakes('kind = "modbus_server"', 'kind = "modbus_server"\nslave = 1')
    assert "plc.peers.0" in mistakes('["192.0.2.1/32"]', '["the plc"]')
