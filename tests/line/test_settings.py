"""What the core is told of a station's devices."""

from __future__ import annotations

import pytest

from edge.clock import MS
from edge.line.settings import Settings
from edge.options import ModbusRtuOutput
from tests.line_devices.test_survival import COIL, GUARDED, UNIT, station

OWNED = "owner_register = 9\n"


def unit(baud: int, owner: int | None = None, heartbeat_ms: float | None = None) -> ModbusRtuOutput:
    return ModbusRtuOutput(
        kind="modbus_rtu", port="/dev/ttyX", coil=0, baud=baud, owner_register=owner, heartbeat_ms=heartbeat_ms
    )


def test_a_heartbeat_on_a_slow_bus_takes_as_long_as_its_exchanges() -> None:
    slow = unit(9_600)
    assert slow.exchange_ms > 20
    assert slow.heartbeat_takes_ms == slow.exchange_ms
    assert unit(9_600, owner=9).heartbeat_takes_ms == 2 * slow.exchange_ms
    assert unit(1_000_000).heartbeat_takes_ms == 5


def test_a_bus_is_asked_for_the_time_of_every_exchange_of_a_heartbeat() -> None:
    plain, owned = unit(9_600, heartbeat_ms=100), unit(9_600, owner=9, heartbeat_ms=100)
    assert owned.bus_share == 2 * plain.bus_share == 2 * plain.exchange_ms / 100
    assert unit(9_600).bus_share == 0


@pytest.mark.parametrize(("gate", "least_ms"), [(COIL.format(0), 5), (UNIT.format(0) + OWNED, 50)])
def test_the_line_knows_how_long_a_heartbeat_of_each_output_keeps_it_busy(gate: str, least_ms: float) -> None:
    settings = Settings.of(station(gate + GUARDED, UNIT.format(1) + GUARDED))
    assert settings.gate_heartbeat_takes_ns >= least_ms * MS
    assert settings.permit_heartbeat_takes_ns > 20 * MS
