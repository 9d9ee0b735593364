"""A sealed report is believed as long as nobody changed it, and only from the device that sealed it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.challenge.report import (
    MAX_BYTES,
    PartSeen,
    Report,
    SignedReport,
    StepReport,
    outcome_of,
    page_of,
    refuse_unwritable,
    verify,
    write,
)
from edge.control import Sealed, Statement
from edge.errors import ConfigError, SealError

KEY = Ed25519PrivateKey.generate()
PART = PartSeen(
    part=(1 << 32) + 7,
    verdict="REJECT",
    reason="DEFECT",
    score=0.75,
    outcome="FIRED",
    sensed="SEEN",
    as_wanted=True,
)
STEP = StepReport(
    name="memory test", asked="send three", result="passed", words="3 of 3", began="a", ended="b", parts=(PART,)
)
REPORT = Report(
    kenpin="0.1",
    station="line-3",
    station_file="00ff",
    product="cap-a",
    model="ab",
    who="Anna",
    began="2026-11-24T06:00:00",
    ended="2026-11-24T06:04:00",
    result="passed",
    steps=(STEP,),
)


def sealed(report: Report = REPORT, key: Ed25519PrivateKey = KEY) -> SignedReport:
    statement = Statement(
        station=report.station, result=report.result, report_sha256=report.sha256(), by="Anna, uid 7", wall_ns=1
    )
    signature = key.sign(statement.signed_bytes()).hex()
    public_key = key.public_key().public_bytes_raw().hex()
    return SignedReport(report=report, seal=Sealed(statement=statement, public_key=public_key, signature=signature))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "challenge.json"
    assert write(path, sealed()) == tmp_path / "challenge.txt"
    return path


def test_what_was_written_is_what_is_verified(file: Path) -> None:
    assert verify(file, KEY.public_key()) == sealed()


def test_the_layout_of_the_file_does_not_matter(file: Path) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()), indent=4, sort_keys=True))
    assert verify(file, KEY.public_key()).report == REPORT


def _set(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        *way, last = path.split(".")
        for name in way:
            values = values[int(name)] if name.isdigit() else values[name]
        values[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("report.result", "failed"),
        _set("report.who", "Bert"),
        _set("report.station", "line-4"),
        _set("report.steps.0.result", "failed"),
        _set("report.steps.0.parts.0.outcome", "RELEASED"),
        _set("report.steps.0.parts.0.score", 0.7500001),
        _set("report.steps", []),
        _set("report.began", "2026-11-25T06:00:00"),
        _set("report.remark", "all is well"),
        _set("seal.statement.report_sha256", "0" * 64),
        _set("seal.statement.by", "Bert"),
        _set("seal.statement.wall_ns", 2),
        _set("seal.signature", "00" * 64),
        _set("seal.signature", "no hex"),
        _set("seal", None),
    ],
)
def test_a_changed_report_is_refused(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))
    with pytest.raises(SealError):
        verify(file, KEY.public_key())


def test_another_devices_seal_is_refused_though_the_file_brings_its_key_along(file: Path) -> None:
    write(file, sealed(key=Ed25519PrivateKey.generate()))
    with pytest.raises(SealError, match="not signed by this device"):
        verify(file, KEY.public_key())


def test_a_seal_of_another_report_is_refused(file: Path) -> None:
    other = REPORT.model_copy(update={"who": "Bert"})
    write(file, SignedReport(report=other, seal=sealed().seal))
    with pytest.raises(SealError, match="changed after"):
        verify(file, KEY.public_key())


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff\xfe", b"{}", b" " * (MAX_BYTES + 1)])
def test_what_is_no_report_is_told(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    with pytest.raises(SealError, match="no challenge report"):
        verify(file, KEY.public_key())
    file.unlink()
    with pytest.raises(ConfigError, match="cannot read"):
        verify(file, KEY.public_key())


def test_the_page_says_everything_that_a_person_must_know(file: Path) -> None:
    page = file.with_suffix(".txt").read_text()
    assert page == page_of(sealed())
    for words in (
        "CHALLENGE TEST PASSED",
        "line-3",
        "Anna, uid 7",
        "memory test: PASSED",
        "part 1/7: REJECT",
        REPORT.sha256(),
    ):
        assert words in page
    wrong = STEP.model_copy(update={"parts": (PART.model_copy(update={"as_wanted": False}),)})
    assert "<-- not as it must be" in page_of(sealed(REPORT.model_copy(update={"steps": (wrong,)})))


def test_where_no_report_can_be_written_is_told_before_the_test(tmp_path: Path) -> None:
    refuse_unwritable(tmp_path / "challenge.json")
    with pytest.raises(ConfigError, match="another --report"):
        refuse_unwritable(tmp_path / "nowhere" / "challenge.json")


def test_the_whole_is_passed_when_every_step_is() -> None:
    assert outcome_of(["passed", "passed"]) == "passed"
    assert outcome_of(["passed", "skipped"]) == outcome_of(["passed", "not done"]) == outcome_of([]) == "incomplete"
    assert outcome_of(["passed", "not done", "failed"]) == "failed"
