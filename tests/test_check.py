"""A station whose stated errors or outputs cannot keep the promise is refused before it runs."""

from pathlib import Path

import pytest

from edge import check
from edge.errors import ConfigError
from edge.screen import print_check
from edge.station import Station, parse

STATION = """
[station]
name = "line-3"
product = "cap-a"
[[camera]]
name = "top"
kind = "{camera}"
{camera_keys}
[trigger]
kind = "{trigger}"
{trigger_keys}
[travel]
trigger_to_gate_ms = 420
decide_before_ms = 30
lead_ms = 12
pitch_ms = {pitch}
[gate]
{gate}
coil = 0
pulse_ms = 20
late_tolerance_ms = {tolerance}
rest = "pass"
external_watchdog = true
heartbeat_ms = 100
[line_permit]
kind = "modbus"
host = "192.0.2.10"
coil = 1
external_watchdog = true
heartbeat_ms = 100
"""


def _station(**changes: object) -> Station:
    values = {
        "camera": "belt",
        "camera_keys": "window_ms = 10",
        "trigger": "simulated",
        "trigger_keys": "",
        "pitch": 90,
        "tolerance": 5,
        "gate": 'kind = "modbus"\nhost = "192.0.2.10"',
    }
    return parse(STATION.format(**(values | changes)).encode(), Path("station.toml"))


def test_a_station_within_its_budget_may_run() -> None:
    assert check.mistakes(_station()) == []
    check.refuse(_station())


def test_errors_over_half_the_pitch_are_refused_and_itemised() -> None:
    station = _station(trigger="modbus", trigger_keys='host = "h"\ninput = 3\npoll_ms = 40\ndebounce_ms = 3')
    with pytest.raises(ConfigError, match=r"add up to 48 ms, over half the part pitch \(45 ms\)") as refusal:
        check.refuse(station)
    assert "trigger (modbus) 43 ms" in str(refusal.value)


def test_a_pairing_window_that_reaches_the_neighbour_is_refused() -> None:
    assert any("camera top" in text for text in check.mistakes(_station(camera_keys="window_ms = 46")))


def test_a_presence_line_states_one_frame_of_error() -> None:
    station = _station(camera_keys="fps = 50", trigger="presence", trigger_keys='camera = "top"')
    assert check.trigger_error_ms(station) == pytest.approx(20.0)


def test_every_device_that_tells_times_states_how_well_it_knows_them(capsys: pytest.CaptureFixture[str]) -> None:
    more = (
        '[confirm]\nafter_ms = 50\nwindow_ms = 20\nkind = "gpio"\nline = 4\n'
        '[[interlock]]\nname = "air"\nkind = "modbus"\nhost = "h"\ninput = 7\npoll_ms = 20\n'
    )
    text = STATION.replace("[line_permit]", f"{more}[line_permit]")
    keys = {"camera": "cv", "camera_keys": "source = 0\ncaptured_err_ms = 12", "trigger": "serial_line"}
    values = {"trigger_keys": 'port = "/dev/a"\nlate_ms = 2', "pitch": 90, "tolerance": 5}
    station = parse(
        text.format(gate='kind = "modbus"\nhost = "192.0.2.10"', **keys, **values).encode(), Path("station.toml")
    )
    print_check(station)
    said = capsys.readouterr().out
    for words in (
        "trigger (serial_line): times are known to 7 ms",
        "confirm (gpio): times are known to 3.1 ms",
        "interlock air (modbus): times are known to 23 ms",
        "camera top (cv): times are known to 12 ms",
    ):
        assert words in said


def test_a_slow_camera_clock_counts_in_the_pairing_budget() -> None:
    station = _station(camera="cv", camera_keys="source = 0\nwindow_ms = 20\ncaptured_err_ms = 30")
    assert sum(item.error_ms for item in check.pairing_budget(station, station.camera[0])) == pytest.approx(50.0)
    assert check.mistakes(station)


def test_a_collecting_station_has_no_gate_to_check() -> None:
    text = '[station]\nname = "a"\nmode = "collect"\n[[camera]]\nname = "top"\nkind = "belt"\n'
    text += '[trigger]\nkind = "camera"\ncamera = "top"\n'
    assert check.mistakes(parse(text.encode(), Path("s.toml"))) == []


def test_a_port_whose_name_moves_is_advised_against_and_refuses_nothing() -> None:
    moving = _station(trigger="serial_line", trigger_keys='port = "/dev/ttyUSB0"')
    (words,) = check.advice(moving)
    assert "trigger.port = '/dev/ttyUSB0'" in words and "/dev/serial/by-id" in words
    assert check.mistakes(moving) == []
    lasting = _station(trigger="serial_line", trigger_keys='port = "/dev/serial/by-id/usb-eye"')
    assert check.advice(lasting) == []


def test_polls_that_a_bus_cannot_keep_up_with_are_refused() -> None:
    slow = _station(trigger="modbus_rtu", trigger_keys='port = "/dev/a"\ninput = 1\npoll_ms = 20')
    assert any("asked for 132% of its time at 9600 baud" in text for text in check.mistakes(slow))


@pytest.mark.parametrize(
    ("kind", "keys", "error_ms"),
    [
        ("modbus_rtu", 'port = "/dev/a"\ninput = 1\nbaud = 176000\npoll_ms = 6', 6 + 4.5 + 3),
        ("gpio", "line = 4\ndebounce_ms = 2", 2.1),
        ("gpio", "line = 4\ndebounce_ms = 0\nkernel_debounce_ms = 3", 10),
        ("serial_line", 'port = "/dev/a"\nlate_ms = 6\ndebounce_ms = 8', 14),
    ],
)
def test_each_trigger_states_its_error(kind: str, keys: str, error_ms: float) -> None:
    assert check.trigger_error_ms(_station(trigger=kind, trigger_keys=keys)) == pytest.approx(error_ms)


def test_a_gate_on_a_bus_that_confirms_after_the_tolerance_is_refused() -> None:
    bus = 'kind = "modbus_rtu"\nport = "/dev/a"\nbaud = {}'
    (slow,) = check.mistakes(_station(gate=bus.format(9_600)))
    assert (
        "take 26.4 ms at 9600 baud, longer than the gate write tolerance (gate.late_tolerance_ms) of 5 ms" in slow
    )
    assert check.mistakes(_station(gate=bus.format(9_600), tolerance=28)) == []
    assert check.mistakes(_station(gate=bus.format(250_000))) == []
