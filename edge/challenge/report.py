"""The challenge test's report: as JSON with the device's signature, and as a page that a person reads."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Literal, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, ValidationError

from edge.control import Sealed
from edge.durable import write_whole
from edge.errors import ConfigError, SealError

Result: TypeAlias = Literal["passed", "failed", "skipped", "not done"]
MAX_BYTES = 4_000_000


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PartSeen(_Entry):
    """A part as the journal holds it, in the words of edge.records; `as_wanted`: it counts for the step."""

    part: int
    verdict: str
    reason: str
    score: float | None
    outcome: str
    sensed: str
    as_wanted: bool


class StepReport(_Entry):
    """One step: what was asked of the person, and what came of it. Times are UTC."""

    name: str
    asked: str
    result: Result
    words: str
    began: str
    ended: str
    parts: tuple[PartSeen, ...] = ()


class Report(_Entry):
    """A whole challenge test; `passed` when every step is, `incomplete` when one was left out and none failed.

    `not_watched` names what the station has no sensor for. `station_file` is the start of the SHA-256 of station.toml,
    `model` that of the model which judged, both in hex.
    """

    kind: Literal["kenpin challenge report"] = "kenpin challenge report"
    version: Literal[1] = 1
    kenpin: str
    station: str
    station_file: str
    product: str
    model: str
    who: str
    began: str
    ended: str
    result: Literal["passed", "failed", "incomplete"]
    steps: tuple[StepReport, ...]
    not_watched: tuple[str, ...] = ()

    def sha256(self) -> str:
        """The hash that is sealed: of the report's values, however its file is laid out."""
        values = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(values.encode()).hexdigest()


class SignedReport(_Entry):
    """What the report's file holds."""

    report: Report
    seal: Sealed


def outcome_of(results: list[Result]) -> Literal["passed", "failed", "incomplete"]:
    """The whole test's result from those of its steps."""
    if "failed" in results:
        return "failed"
    return "passed" if results and set(results) == {"passed"} else "incomplete"


def refuse_unwritable(path: Path) -> None:
    """Raises ConfigError where a report could not be written: told before the test rather than after it."""
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ConfigError(f"cannot write into {path.parent.absolute()}: give another --report")


def write(path: Path, signed: SignedReport) -> Path:
    """Write the JSON to `path` and the page beside it, as .txt; returns the page's path. Raises ConfigError."""
    page = path.with_suffix(".txt")
    try:
        write_whole(path, signed.model_dump_json(indent=1).encode() + b"\n")
        write_whole(page, page_of(signed).encode())
    except OSError as error:
        raise ConfigError(f"cannot write the report {path}: {error.strerror}; give another --report") from error
    return page


def verify(path: Path, key: Ed25519PublicKey) -> SignedReport:
    """The report of a file, if this key's device has sealed it and nothing was changed since.

    Raises SealError; ConfigError when the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; give a challenge report") from error
    try:
        if len(data) > MAX_BYTES:
            raise ValueError("too large")
        signed = SignedReport.model_validate_json(data)
    except (ValidationError, ValueError) as error:
        raise SealError(f"{path} is no challenge report, or was changed; ask for the original") from error
    statement = signed.seal.statement
    try:
        key.verify(bytes.fromhex(signed.seal.signature), statement.signed_bytes())
    except (InvalidSignature, ValueError) as error:
        raise SealError(f"{path} is not signed by this device: give its own device.pub, or distrust it") from error
    told = (statement.report_sha256, statement.result, statement.station)
    if told != (signed.report.sha256(), signed.report.result, signed.report.station):
        raise SealError(f"{path} was changed after it was signed; ask for the original")
    return signed


# --- for people -------------------------------------------------------------------------------------------------


def page_of(signed: SignedReport) -> str:
    """The report as plain text."""
    report, seal = signed.report, signed.seal
    lines = [
        f"CHALLENGE TEST {report.result.upper()}",
        "",
        f"station   {report.station} (file {report.station_file}), product {report.product}, kenpin {report.kenpin}",
        f"model     {report.model or 'none judged'}",
        f"who       {report.who or 'not said'}; recorded as {seal.statement.by}",
        f"from, to  {report.began}, {report.ended} (UTC)",
    ]
    for step in report.steps:
        lines += ["", f"{step.name}: {step.result.upper()}", f"  {step.words}", f"  asked: {step.asked}"]
        lines += [f"  {_part_line(part)}" for part in step.parts]
    lines += ["", *(f"NOT WATCHED  {words}" for words in report.not_watched)]
    lines += ["", f"report sha256  {seal.statement.report_sha256}", f"device key     {seal.public_key}"]
    return "\n".join([*lines, f"signature      {seal.signature}", ""])


def _part_line(part: PartSeen) -> str:
    score = "no score" if part.score is None else f"score {part.score:.4f}"
    mark = "" if part.as_wanted else "   <-- not as it must be"
    told = f"{part.verdict} {part.reason}, {score}, {part.outcome}, confirm sensor {part.sensed}"
    return f"part {part.part >> 32}/{part.part & 0xFFFF_FFFF}: {told}{mark}"
