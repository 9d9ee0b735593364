"""The eye-line protocol carries every message unchanged and refuses whatever it did not write."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import fields
from enum import IntEnum
from hashlib import sha256
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.line import messages
from edge.line.messages import (
    RECORD_SIZE,
    SIZE,
    VERSION,
    Ack,
    AckStatus,
    Birth,
    Inputs,
    Keepalive,
    Limit,
    LimitCounts,
    LineState,
    Message,
    Outcome,
    ProtocolError,
    Reject,
    Release,
    State,
    Stop,
    VersionError,
    pack,
    pack_record,
    peer_of,
    unpack,
    unpack_record,
)
from edge.records import Kind, Reason

_NUMBERS = {"Q": (0, 2**64 - 1), "q": (-(2**63), 2**63 - 1), "I": (0, 2**32 - 1)}


def _any_of(kind: type[Message]) -> st.SearchStrategy[Any]:
    """Any message of this kind, within what its format can hold."""
    codes = [code for code in kind.FORMAT if not code.isdigit()]
    hints = get_type_hints(kind)
    values: dict[str, st.SearchStrategy[Any]] = {}
    for field, code in zip(fields(kind), codes, strict=True):
        hint = hints[field.name]
        if isinstance(hint, type) and issubclass(hint, IntEnum):
            values[field.name] = st.sampled_from(list(hint))
        elif code == "s":
            size = 8 if field.name == "station" else 56
            values[field.name] = st.binary(min_size=size, max_size=size)
        elif code == "?":
            values[field.name] = st.booleans()
        else:
            values[field.name] = st.integers(*_NUMBERS[code])
    return st.builds(kind, **values)


KINDS = (Birth, Release, Reject, Keepalive, Outcome, Inputs, State, Limit, Ack, Stop, LimitCounts)
ANY = st.one_of(*(_any_of(kind) for kind in KINDS))
EPOCH = 0x1234_5678_9ABC_DEF0
RELEASE = pack(Release(7, 8), EPOCH)


@given(message=ANY, epoch=st.integers(0, 2**64 - 1))
def test_every_message_comes_back_as_it_was_with_its_epoch(message: Message, epoch: int) -> None:
    data = pack(message, epoch)
    assert len(data) == SIZE
    assert unpack(data) == (message, epoch)


@given(event=_any_of(Outcome).map(Outcome.event))
def test_an_outcome_record_comes_back_as_it_was(event: Any) -> None:
    record = pack_record(event)
    assert len(record) == RECORD_SIZE
    assert unpack_record(record) == event
    assert Outcome.of(event).event() == event


@given(birth=_any_of(Birth))
def test_a_birth_carries_the_whole_part(birth: Birth) -> None:
    assert Birth.of(birth.part()) == birth


def test_the_first_cause_is_text_without_padding_and_survives_a_cut_character() -> None:
    cause = "gate verloren: Kabel prüfen".encode()
    state = State(LineState.FAULT, False, 1, b"\1" * 8, 2, 3, cause)
    read, _ = unpack(pack(state, EPOCH))
    assert isinstance(read, State) and read.words() == "gate verloren: Kabel prüfen"
    assert State(LineState.FAULT, False, 1, b"", 2, 3, "ü".encode()[:1]).words() == "�"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "of 0 bytes"),
        (RELEASE[:-1], "of 127 bytes"),
        (RELEASE + b"\0", "of 129 bytes"),
        (b"XX" + RELEASE[2:], "unknown message"),
        (RELEASE[:2] + b"\1" + RELEASE[3:], "version 1"),
        (RELEASE[:3] + b"\xff" + RELEASE[4:], "kind 255"),
        (RELEASE[:4] + struct.pack("<I", 99) + RELEASE[8:], "Release of 99 bytes, expected 16"),
    ],
)
def test_foreign_bytes_are_refused_with_the_reason(data: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        unpack(data)


@pytest.mark.parametrize("data", [RELEASE[:2] + bytes([VERSION + 1]) + b"\0" * size for size in (0, 60, 125, 200)])
def test_a_message_of_another_version_is_known_as_such_whatever_its_size(data: bytes) -> None:
    with pytest.raises(VersionError, match=f"version {VERSION + 1} .* not {VERSION}") as caught:
        unpack(data)
    assert caught.value.version == VERSION + 1


def _shape() -> str:
    """What the bytes of each message mean, enums too."""
    kinds = []
    for kind in messages._KINDS:
        hints = get_type_hints(kind)
        enums = [hint for hint in hints.values() if isinstance(hint, type) and issubclass(hint, IntEnum)]
        meant = [[(member.name, int(member)) for member in enum] for enum in enums]
        kinds.append((kind.__name__, kind.FORMAT, [field.name for field in fields(kind)], meant))
    return sha256(repr(kinds).encode()).hexdigest()[:16]


def test_messages_that_mean_something_else_have_another_version() -> None:
    """An upgrade leaves the line running beside a newer eye: what one of them would misread has to be refused."""
    known = {2: "35aa82bcdd34d5f4", 3: "340d27188aeed87f"}
    assert known.get(VERSION) == _shape(), "the messages have changed: raise VERSION and keep their new shape here"


def test_an_unknown_enum_value_is_refused() -> None:
    good = pack(Reject(1, 2, Kind.REJECT, Reason.DEFECT), EPOCH)
    bad = good[: 16 + 16] + b"\x77" + good[16 + 17 :]
    with pytest.raises(ProtocolError, match="Reject with 119"):
        unpack(bad)
    with pytest.raises(ProtocolError, match="Ack with 200"):
        unpack(pack(Ack(1, AckStatus.LATE, 3), EPOCH)[: 16 + 8] + b"\xc8" + bytes(SIZE - 25))


@given(data=st.binary(max_size=SIZE + 2))
def test_noise_never_raises_anything_else(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        unpack(data)
    if len(data) != RECORD_SIZE:
        with pytest.raises(ProtocolError):
            unpack_record(data[: RECORD_SIZE - 1])


def test_the_kernel_says_who_the_peer_is() -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        assert peer_of(one) == (os.getpid(), os.geteuid())
