"""`edge io gate` moves a gate for its pulse when a person says that the belt stands, and leaves it at rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.errors import ConfigError, DeviceError, OutputError
from edge.line.__main__ import lock
from tests.line.lines import level_at, modbus_bench, relay_bench, station_file
from tests.test_cli import edge


def levels(log: list[tuple[int, bool]]) -> list[bool]:
    return [on for _, on in log]


def test_each_write_is_timed_and_confirmed_and_the_gate_rests_after(tmp_path: Path) -> None:
    with modbus_bench(tmp_path) as bench:
        code, said = edge("io", "gate", bench.station.source, "--times", "2", "--belt-stands")
        assert code == 0, said
        assert levels(bench.gate()) == [True, False, True, False]
        pulse_ns = bench.gate()[1][0] - bench.gate()[0][0]
        assert pulse_ns >= bench.zone.pulse
        assert bench.permit() == []
    assert said.count("gate on : written in") == 2 and said.count("confirmed after") == 4


def test_a_mute_board_confirms_nothing_and_it_is_said(tmp_path: Path) -> None:
    with relay_bench(tmp_path) as bench:
        code, said = edge("io", "gate", bench.station.source, "--belt-stands")
        assert code == 0, said
        assert True in levels(bench.gate()) and not level_at(bench.gate(), bench.gate()[-1][0])
    assert said.count("not confirmed") == 2


def test_without_a_person_s_word_nothing_moves(tmp_path: Path) -> None:
    with modbus_bench(tmp_path) as bench:
        result = CliRunner().invoke(app, ["io", "gate", str(bench.station.source)], input="n\n")
        assert result.exit_code == 1 and "Does the belt stand" in result.output
        assert bench.gate() == []
        assert CliRunner().invoke(app, ["io", "gate", str(bench.station.source)], input="y\n").exit_code == 0
        assert levels(bench.gate()) == [True, False]


def test_where_nobody_can_answer_it_is_said_how_to_go_on(tmp_path: Path) -> None:
    with modbus_bench(tmp_path) as bench:
        code, said = edge("io", "gate", bench.station.source)
        assert code == ConfigError.exit_code and "Aborted" not in said
        assert "the gate was not moved: nobody answered" in said and "--belt-stands" in said
        assert bench.gate() == []


def test_a_gate_of_a_running_line_is_left_alone(tmp_path: Path) -> None:
    with modbus_bench(tmp_path) as bench:
        state_dir = bench.station.station.state_dir
        state_dir.mkdir()
        held = lock(state_dir / "line.lock")
        code, said = edge("io", "gate", bench.station.source, "--belt-stands")
        os.close(held)
        assert code == DeviceError.exit_code and "another line process" in said
        assert bench.gate() == []


def test_a_gate_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    with modbus_bench(tmp_path) as bench:
        assert bench.modbus is not None
        bench.modbus.misbehave("silent")
        code, said = edge("io", "gate", bench.station.source, "--belt-stands")
    assert code == OutputError.exit_code and "no valid answer" in said


@pytest.mark.parametrize(
    "keys",
    [
        {"gate": 'kind = "memory"', "mode": "shadow"},
        {"gate": 'kind = "plc"\nhost = "127.0.0.1"'},
    ],
    ids=["shadow", "plc"],
)
def test_a_station_that_drives_no_gate_itself_says_so(tmp_path: Path, keys: dict[str, str]) -> None:
    station = station_file(tmp_path, permit='kind = "memory"', **keys)
    code, said = edge("io", "gate", station.source, "--belt-stands")
    assert code == ConfigError.exit_code and "drives no gate itself" in said
