"""A mistake in a station file is told in words that lead to the right line."""

from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.station import parse

STATION = """[station]
name = "line-3"
product = "cap-a"
[[camera]]
name = "top"
kind = "belt"
pitch_ms = 90
[trigger]
kind = "modbus"
host = "192.0.2.10"
input = 3
[travel]
trigger_to_gate_ms = 420
decide_before_ms = 30
pitch_ms = 90
[gate]
kind = "modbus"
host = "192.0.2.10"
coil = 0
pulse_ms = 20
rest = "reject"
external_watchdog = true
heartbeat_ms = 200
"""


def _told(was: str, now: str) -> str:
    assert was in STATION
    with pytest.raises(ConfigError) as refusal:
        parse(STATION.replace(was, now, 1).encode(), Path("station.toml"))
    return str(refusal.value)


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ('"line-3"', '"Line 3!"', "station.name: use letters, digits, - _ and ., without spaces"),
        ('"line-3"', '"line-3\\n"', "station.name: use letters"),
        (
            '"top"',
            '"Top left"',
            "camera.0.name: use small letters, digits, - and _, without spaces, got 'Top left'",
        ),
        ("[[camera]]", "[camera]", "camera: there may be several, so write [[camera]] instead of [camera]"),
    ],
)
def test_no_mistake_is_told_in_the_words_of_a_programmer(was: str, now: str, words: str) -> None:
    told = _told(was, now)
    assert words in told
    assert "pattern" not in told
    assert "tuple" not in told


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("product", "produkt", "station.produkt: unknown key; remove it or correct its name: product?"),
        (
            "pitch_ms = 90\n[t",
            "pitch = 90\n[t",
            "camera.0.pitch: unknown key; remove it or correct its name: pitch_ms?",
        ),
        ("coil = 0", "coil = 0\ncoill = 1", "gate.coill: unknown key; remove it or correct its name: coil?"),
        ("pulse_ms", "puls_ms", "gate.puls_ms: unknown key; remove it or correct its name: pulse_ms?"),
        (
            "decide_",
            "decid_",
            "travel.decid_before_ms: unknown key; remove it or correct its name: decide_before_ms?",
        ),
        ("[gate]", "[limit]\n[gate]", "limit: unknown key; remove it or correct its name: limits?"),
    ],
)
def test_an_unknown_key_is_told_with_the_one_that_was_meant(was: str, now: str, words: str) -> None:
    assert f"{words}\n" in f"{_told(was, now)}\n"


def test_a_key_of_another_kind_is_not_suggested() -> None:
    told = _told("pitch_ms = 90\n[t", "pipelin = 90\n[t")
    assert told.endswith("camera.0.pipelin: unknown key; remove it or correct its name")


def test_a_line_that_is_no_toml_is_shown() -> None:
    told = _told('name = "top"', "name = \u201ctop\u201d")
    assert told.endswith("fix that line; quotes are straight, not curly: name = \u201ctop\u201d")
    assert _told("input = 3", "input == 3").endswith("fix that line: input == 3")


def test_a_file_that_is_no_text_is_told_without_codecs() -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(STATION.encode("utf-16"), Path("station.toml"))
    assert str(refusal.value) == "station.toml is not plain text (at line 1): save it as UTF-8"


def test_a_file_to_collect_with_is_told_what_it_lacks_of_a_mode() -> None:
    told = _told("[travel]\ntrigger_to_gate_ms = 420\ndecide_before_ms = 30\npitch_ms = 90\n", "")
    assert 'travel: missing; add it (only mode = "collect" needs none)' in told
