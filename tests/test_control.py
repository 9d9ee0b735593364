"""Requests and answers of the control socket: whatever bytes come, they are a request or they are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import control
from edge.control import (
    MAX_BYTES,
    Acknowledge,
    AskBypass,
    AskDrift,
    AskFigures,
    AskPicture,
    AskStatus,
    BeginChallenge,
    ChangeBundle,
    Control,
    EndBypass,
    MoveThreshold,
    NoteAccess,
    NoteThreshold,
    Request,
    SealChallenge,
    SetLot,
    StartAgain,
    TellOutbox,
    packed,
    read_request,
)
from edge.errors import ConfigError, ControlError
from tests.line.lines import station_file

LINES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=200)
LONG = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=900) | st.just("\U0001f600" * 900)
NAMES = st.text(st.characters(exclude_categories=("C", "Z")), max_size=60)
REQUESTS: st.SearchStrategy[Request] = st.one_of(
    st.just(AskStatus()),
    st.just(AskFigures()),
    st.just(AskDrift()),
    st.builds(TellOutbox, waiting=st.integers(0, 2**63 - 1), dropped=st.integers(0, 2**63 - 1)),
    st.builds(Acknowledge, why=LINES, who=NAMES),
    st.builds(AskBypass, for_s=st.floats(0.001, 86_400), why=LINES, who=NAMES),
    st.builds(EndBypass, why=LINES, who=NAMES),
    st.builds(BeginChallenge, who=NAMES),
    st.builds(SealChallenge, result=st.just("passed"), sha256=st.just("0" * 64), who=NAMES),
    st.builds(SetLot, lot=NAMES.filter(bool), who=NAMES),
    st.builds(AskPicture, camera=NAMES.filter(bool)),
    st.builds(NoteAccess, words=LONG, who=NAMES),
    st.builds(
        MoveThreshold,
        product=NAMES.filter(bool),
        value=st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True),
        why=LINES,
        who=NAMES.filter(bool),
    ),
    st.builds(ChangeBundle, product=NAMES.filter(bool), version=st.integers(1, 10**10 - 1), why=LINES, who=NAMES),
    st.builds(NoteThreshold, words=LONG.map(lambda words: words[:600]), why=LINES, who=NAMES.filter(bool)),
    st.builds(StartAgain, why=LINES, who=NAMES),
)


@given(REQUESTS)
def test_a_request_survives_the_wire(request: Request) -> None:
    data = packed(request)
    assert len(data) <= MAX_BYTES and read_request(data) == request


@given(st.binary(max_size=MAX_BYTES + 10))
def test_any_bytes_are_refused_or_a_request(data: bytes) -> None:
    try:
        request = read_request(data)
    except ValueError:
        return
    assert read_request(packed(request)) == request


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(REQUESTS, st.sampled_from(("ask", "why", "who", "for_s", "sha256", "result", "lot", "more")), VALUES)
def test_a_request_with_a_strange_value_is_refused_or_a_request(request: Request, name: str, value: object) -> None:
    changed = json.dumps(request.model_dump() | {name: value}).encode()
    try:
        found = read_request(changed)
    except ValueError:
        return
    for text in (getattr(found, "why", "-"), getattr(found, "who", ""), getattr(found, "lot", "-")):
        assert text.isprintable() and len(text) <= 200


@given(REQUESTS, st.data())
def test_half_a_request_is_none(request: Request, data: st.DataObject) -> None:
    whole = packed(request)
    with pytest.raises(ValueError):
        read_request(whole[: data.draw(st.integers(0, len(whole) - 1))])


@pytest.mark.parametrize(
    "request_",
    [
        {"ask": "release", "part_id": 1},
        {"ask": "status", "who": "anna"},
        {"ask": "acknowledge"},
        {"ask": "acknowledge", "why": " "},
        {"ask": "acknowledge", "why": "two\nlines"},
        {"ask": "acknowledge", "why": "\x1b[2Jgone"},
        {"ask": "acknowledge", "why": "x" * 201},
        {"ask": "acknowledge", "why": "x", "who": "x" * 61},
        {"ask": "bypass", "why": "x", "for_s": 0},
        {"ask": "bypass", "why": "x", "for_s": -1},
        {"ask": "bypass", "why": "x", "for_s": "60"},
        {"ask": "bypass", "why": "x", "for_s": 1e9},
        {"ask": "seal_challenge", "result": "passed", "sha256": "0" * 63},
        {"ask": "seal_challenge", "result": "splendid", "sha256": "0" * 64},
        {"ask": "set_lot"},
        {"ask": "set_lot", "lot": " "},
        {"ask": "set_lot", "lot": "two\nlines"},
        {"ask": "tell_outbox", "waiting": -1, "dropped": 0},
    ],
)
def test_what_is_out_of_bounds_is_refused(request_: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        read_request(json.dumps(request_).encode())


def test_not_a_number_is_no_time() -> None:
    with pytest.raises(ValueError):
        read_request(b'{"ask": "bypass", "why": "x", "for_s": NaN}')


def test_the_client_says_what_is_wrong_before_it_asks(tmp_path: Path) -> None:
    client = Control(station_file(tmp_path, gate='kind = "memory"', permit='kind = "memory"'))
    with pytest.raises(ConfigError, match="why: must be one line"):
        client.acknowledge("two\nlines")
    with pytest.raises(ConfigError, match="for_s: "):
        client.bypass(1e9, "why")
    with pytest.raises(ControlError, match="no station answers"):
        client.status()


def test_every_request_is_tried_above() -> None:
    asked = {kind.model_fields["ask"].default for kind in control.Request.__args__}
    assert asked == {
        "status",
        "figures",
        "drift",
        "acknowledge",
        "bypass",
        "end_bypass",
        "begin_challenge",
        "seal_challenge",
        "set_lot",
        "picture",
        "note_access",
        "change_bundle",
        "move_threshold",
        "tell_outbox",
        "note_threshold",
        "start_again",
    }


def test_no_answer_is_left_to_be_built_while_the_eye_inspects() -> None:
    code = """
from edge import control
kinds = control.Packet.__subclasses__()
print(len([kind for kind in kinds if not kind.__pydantic_complete__]))
control.build_for_eye()
print([kind for kind in kinds if not kind.__pydantic_complete__])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    before, after = done.stdout.splitlines()
    assert int(before) > 15 and after == "[]"
