"""Stations that would disturb each other in one eye are refused, each with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import lanes
from edge.errors import ConfigError
from edge.options import Camera
from edge.plc.table import SPAN
from edge.station import Station, parse

STATION = """
[station]
name = "{name}"
product = "cap-a"
state_dir = "{name}/state"
run_dir = "{name}/run"
[[camera]]
name = "over"
kind = "gst"
uri = "v4l2:///dev/video0"
width = 1280
height = 720
region = {region}
[trigger]
kind = "modbus"
host = "192.0.2.10"
input = 3
[travel]
trigger_to_gate_ms = 420
decide_before_ms = 30
lead_ms = 12
pitch_ms = 120
[gate]
kind = "modbus"
host = "192.0.2.10"
coil = {coil}
pulse_ms = 60
rest = "reject"
external_watchdog = true
heartbeat_ms = 100
[journal]
dir = "{name}/journal"
"""
REGIONS = {"left": [0, 0, 640, 720], "right": [640, 0, 640, 720]}


def station(name: str, *changes: tuple[str, str]) -> Station:
    text = STATION.format(name=name, region=REGIONS[name], coil=0 if name == "left" else 1)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse(text.encode(), Path(f"{name}.toml"))


def test_two_lanes_may_have_one_camera_one_photo_eye_and_one_remote_io_device() -> None:
    pair = station("left"), station("right")
    lanes.refuse(pair)
    assert lanes.advice(pair) == []


BOARD = (
    "[journal]",
    '[line_permit]\nkind = "serial_bytes"\nport = "/dev/null"\nchannel = CHANNEL\n'
    "external_watchdog = true\nheartbeat_ms = 100\n[journal]",
)
OWNED = ("coil = ", "owner_register = 9\ncoil = ")


def board(channel: int) -> tuple[str, str]:
    return BOARD[0], BOARD[1].replace("CHANNEL", str(channel))


def dog(ms: int) -> tuple[str, str]:
    return "coil = ", f"watchdog_register = 7\nwatchdog_value = {ms}\ncoil = "


def plc(section: str) -> tuple[str, str]:
    return "[journal]", f"[plc]\n{section}\n[journal]"


S7 = 'kind = "s7"\nhost = "192.0.2.20"\ndb = 5\nstart = '
SERVER = 'kind = "modbus_server"\nport = '


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        ([], [('name = "right"', 'name = "left"')], "give each its own name"),
        ([], [("right/state", "left/state")], "station.state_dir"),
        ([], [("right/run", "other/../left/run")], "station.run_dir"),
        ([], [("right/journal", "left/journal")], "journal.dir"),
        ([], [("[640, 0, 640, 720]", "[0, 0, 640, 720]")], "have the same region"),
        ([], [("width = 1280", "width = 1300")], "differ in width"),
        ([], [("uri = ", "fps = 30\nuri = ")], "differ in fps"),
        ([], [('name = "over"', 'name = "above"')], "are the same device"),
        ([], [("coil = 1", "coil = 0")], "gate of left.toml and gate of right.toml are the same wire"),
        ([board(1)], [board(2)], "which one line has for itself"),
        ([OWNED], [OWNED], "same owner_register"),
        ([dog(500)], [dog(600)], "one watchdog to two times"),
        ([plc(S7 + "0")], [plc(S7 + "100")], "same place in one PLC"),
        ([plc(SERVER + "5020")], [plc(SERVER + "5020")], "same place in one PLC"),
    ],
)
def test_what_two_lanes_cannot_share(left: list[tuple[str, str]], right: list[tuple[str, str]], words: str) -> None:
    pair = station("left", *left), station("right", *right)
    (found,) = [found for found in lanes.mistakes(pair) if words in found]
    assert "give" in found or "write the same" in found, "it says what to do"
    with pytest.raises(ConfigError, match="must not run together"):
        lanes.refuse(pair)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([], [("region", "trigger_to_frame_ms = 30\nwindow_ms = 10\nregion")]),
        ([dog(500)], [dog(500)]),
        ([plc(S7 + "0")], [plc(S7 + "160")]),
        ([plc(SERVER + "5020")], [plc(SERVER + "5021")]),
    ],
)
def test_what_two_lanes_may_have_alike_or_differently(
    left: list[tuple[str, str]], right: list[tuple[str, str]]
) -> None:
    assert lanes.mistakes((station("left", *left), station("right", *right))) == []


def test_a_station_given_twice_is_refused_once() -> None:
    (found,) = lanes.mistakes((station("left"), station("left")))
    assert "is given twice" in found


def test_more_stations_than_one_eye_takes_are_refused() -> None:
    (found,) = lanes.mistakes([station("left")] * 9)
    assert "up to 8" in found


def test_a_mistake_of_one_station_is_told_before_what_they_share() -> None:
    bad = station("right", ("external_watchdog = true", "external_watchdog = false"))
    with pytest.raises(ConfigError, match=r"right\.toml describes a station that must not run"):
        lanes.refuse((station("left"), bad))


def test_regions_that_overlap_are_worth_a_word() -> None:
    pair = station("left"), station("right", ("[640, 0,", "[600, 0,"))
    assert lanes.mistakes(pair) == []
    (words,) = lanes.advice(pair)
    assert "overlap" in words


def test_two_panels_do_not_listen_at_one_port() -> None:
    def shown(name: str, port: int) -> Station:
        section = f'[panel]\nlisten = "127.0.0.1:{port}"\n[journal]'
        return station(name, ("[journal]", section))

    lanes.refuse([shown("left", 8080), shown("right", 8081)])
    with pytest.raises(ConfigError, match=r"panel\.listen: .* give each panel its own"):
        lanes.refuse([shown("left", 8080), shown("right", 8080)])


def test_the_words_of_two_stations_do_not_lie_on_each_other() -> None:
    assert lanes.PLC_REGISTERS == SPAN


@pytest.mark.parametrize("region", ["[641, 0, 640, 720]", "[0, 1, 1280, 720]"])
def test_a_region_beyond_the_stated_frame_is_refused(region: str) -> None:
    with pytest.raises(ConfigError, match=r"camera\.0: region .* does not lie inside the frame of 1280 x 720"):
        station("left", ("[0, 0, 640, 720]", region))


@pytest.mark.parametrize("region", ["[-1, 0, 640, 720]", "[0, 0, 8, 720]", "[0, 0, 640]", '"left"'])
def test_a_region_that_is_none_is_refused(region: str) -> None:
    with pytest.raises(ConfigError, match=r"camera\.0\.region"):
        station("left", ("[0, 0, 640, 720]", region))


def test_every_key_that_may_differ_is_one_of_a_camera() -> None:
    for kind in Camera.__origin__.__args__:
        assert kind.model_fields.keys() >= lanes._OWN
