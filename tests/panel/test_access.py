"""Who signed in, and who failed to, is in the journal: soon, bounded, and later where the eye is away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.clock import ManualClock
from edge.control import Control
from edge.panel import access
from edge.panel.access import MOST, AccessNotes
from edge.station import Station
from tests.panel.panels import Eye, a_station, an_eye, served, until


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Station:
    return a_station(tmp_path_factory.mktemp("station"))


@pytest.fixture
def eye(station: Station) -> Iterator[Eye]:
    with an_eye(station) as eye:
        yield eye


def test_signing_in_and_failing_to_come_to_the_journal(
    station: Station, eye: Eye, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "EVERY_S", 0.05)
    with served(station) as panel:
        panel.visitor().login("otto", "not the password")
        panel.visitor().login("my secret password", "otto")
        otto = panel.visitor("otto")
        otto.post("/api/logout", {})
        until(lambda: "signed out" in "; ".join(eye.access), "all of it is told")
    told = "; ".join(eye.access)
    for words in ("a login as otto from 127.0.0.1 failed", "a login as nobody known from 127.0.0.1 failed"):
        assert words in told
    assert "otto (operator) signed in from 127.0.0.1 at 20" in told
    assert "secret" not in told, "a password in the field of the name stays out of it"


def test_what_an_eye_that_is_away_missed_is_told_when_it_is_back(station: Station) -> None:
    notes = AccessNotes(Control(station), ManualClock())
    notes.tell("anna signed in")
    notes.send()
    with an_eye(station) as eye:
        notes.send()
        notes.send()
        assert len(eye.access) == 1 and eye.access[0].startswith("anna signed in at ")


def test_a_flood_becomes_few_and_short_notes_that_count(station: Station, eye: Eye) -> None:
    notes = AccessNotes(Control(station), ManualClock())
    for number in range(20_000):
        notes.tell(f"a login as otto from 192.0.2.{number % 200} failed")
    for _ in range(40):
        notes.send()
    assert all(len(words) <= 1_000 for words in eye.access) and len(eye.access) < 20
    assert "a login as otto from 192.0.2.0 failed, 100 times until " in eye.access[0]
    assert f"and {20_000 - MOST * 100} more" in eye.access[0]


def test_who_may_sign_in_from_now_on_is_noted_where_the_eye_is_up(tmp_path: Path) -> None:
    station = a_station(tmp_path)
    runner, given = CliRunner(), ["panel-user", "add", str(station.source), "nils", "--role", "engineer"]
    with an_eye(station) as eye:
        assert runner.invoke(app, given, input="turn it over 77\n").exit_code == 0
        assert eye.access == ["panel: nils may sign in as engineer"]
    done = runner.invoke(app, ["panel-user", "remove", str(station.source), "nils"])
    assert done.exit_code == 0 and "the journal does not know of it" in done.output
