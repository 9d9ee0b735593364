"""What a station file may say of a gate that a PLC owns, and what `edge check` makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import check
from edge.clock import MS
from edge.errors import ConfigError
from edge.line.events import PLC_GATE
from edge.line.outputs.survival import goes_to_rest, refusals
from edge.line.settings import Settings
from edge.options import PlcGate
from edge.station import Station, parse
from tests.contracts.source_tree import ROOT

TEXT = """
[station]
name = "test"
product = "p"
[[camera]]
name = "top"
kind = "belt"
[trigger]
{trigger}
[travel]
{travel}
[gate]
kind = "plc"
host = "192.0.2.10"
{gate}
"""
BELT = "trigger_to_gate_ms = 300\ndecide_before_ms = 60\nlead_ms = 10\npitch_ms = 100"
COUNTS = """mode = "encoder"
trigger_to_gate_counts = 3000
decide_before_counts = 600
lead_ms = 10
pitch_counts = 1000
max_counts_per_s = 10000"""
EYE = 'kind = "modbus"\nhost = "192.0.2.11"\ninput = 0'


def station(gate: str = "", travel: str = BELT, trigger: str = EYE) -> Station:
    gate = f'rest = "reject"\npulse_ms = 80\n{gate}' if "rest" not in gate else gate
    return parse(TEXT.format(gate=gate, travel=travel, trigger=trigger).encode(), Path("station.toml"))


def test_it_needs_no_permit_and_no_watchdog_because_silence_rejects() -> None:
    made = station()
    assert made.gate is not None and isinstance(made.gate.output, PlcGate)
    assert goes_to_rest(made.gate.output) and refusals(made) == []
    assert check.mistakes(made) == []


def test_the_core_hears_of_it_as_an_input_and_as_terms() -> None:
    settings = Settings.of(station("silence_ms = 200\nheartbeat_ms = 50"))
    assert settings.plc is not None and PLC_GATE in settings.inputs
    assert (settings.plc.patience_ns, settings.plc.beat_ns, settings.plc.lead_ns) == (300 * MS, 50 * MS, 0)
    assert settings.gate_heartbeat_ns is None


def test_on_an_encoder_s_belt_the_lead_is_looked_ahead() -> None:
    made = station(
        'rest = "reject"\npulse_counts = 800\nlate_tolerance_counts = 50\n[encoder]\nkind = "simulated"', COUNTS
    )
    terms = Settings.of(made).plc
    assert terms is not None and terms.lead_ns == 10 * MS


def test_every_mistake_is_in_one_report() -> None:
    wrong = 'rest = "pass"\npulse_ms = 80\nwindow_ms = 5\nsilence_ms = 30\nheartbeat_ms = 40\ncoil = 1'
    with pytest.raises(ConfigError) as caught:
        station(wrong)
    assert "gate.coil: unknown key" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        station(wrong.replace("coil = 1", ""), trigger='kind = "camera"\ncamera = "top"')
    for words in (
        'gate.rest: must be "reject"',
        "line_permit: missing",
        "trigger.kind: gate.kind",
        "gate.window_ms: must be at least gate.scan_ms + 2",
        "gate.silence_ms: must be at least twice",
        "gate.heartbeat_ms: must not exceed",
    ):
        assert words in str(caught.value)


def test_a_zone_for_more_parts_than_there_are_slots_is_refused() -> None:
    with pytest.raises(ConfigError, match="a PLC keeps 14 parts"):
        station(travel=BELT.replace("= 300", "= 1300"))
    station(travel=BELT.replace("= 300", "= 1200"))


def test_a_line_permit_cannot_be_one() -> None:
    with pytest.raises(ConfigError, match="line_permit"):
        station('rest = "reject"\npulse_ms = 80\n[line_permit]\nkind = "plc"\nhost = "192.0.2.10"')


def test_the_window_is_in_the_error_budget() -> None:
    made = station()
    budget = {item.what: item.error_ms for item in check.time_budget(made)}
    assert budget["the PLC's photo-eye and clock (gate.window_ms)"] == 20
    found = check.mistakes(station("window_ms = 45"))
    assert len(found) == 1 and "could meet the neighbour" in found[0]


def test_the_example_may_run() -> None:
    path = ROOT / "examples" / "plc-gate.toml"
    assert check.mistakes(parse(path.read_bytes(), path)) == []
