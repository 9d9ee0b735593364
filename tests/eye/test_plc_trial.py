"""`edge check --devices` says whether a PLC lives at the other end of the link."""

from __future__ import annotations

import pytest

from edge.clock import SystemClock
from edge.errors import PlcError
from edge.eye.plc_trial import plc_answers
from edge.options import ModbusServerPlc, S7Plc
from edge.plc.table import Flag
from tests.peers.plcs import free_port
from tests.plc.raw_modbus import FieldPlc


def test_a_plc_that_runs_is_told_from_one_that_stands() -> None:
    options = ModbusServerPlc(kind="modbus_server", port=free_port())
    with FieldPlc(options.port) as plc:
        plc.program.recipe = 7
        assert plc_answers(options, SystemClock()).endswith("the PLC's heartbeat counts, it asks for recipe 7")
        assert plc.seen and not any(status.flags & Flag.READY for status in plc.seen)
        plc.in_run = False
        assert "stands still" in plc_answers(options, SystemClock())


def test_a_plc_that_is_away_is_an_error() -> None:
    with pytest.raises(PlcError, match="check power, cable"):
        plc_answers(S7Plc(kind="s7", host="127.0.0.1", port=free_port(), db=1), SystemClock())
