"""The newest judged picture: asked for once a second however many look, with what is on record of its part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.clock import MS, ManualClock, SystemClock
from edge.control import Control
from edge.errors import ConfigError
from edge.panel import latest
from edge.panel.latest import Latest
from edge.panel.pictures import Pictures
from edge.records import Kind, Reason
from edge.station import Station
from tests.interned import interned
from tests.journal.records import decided, opened
from tests.panel.panels import Eye, a_station, an_eye, keep_picture, served, show_picture

PART = 0x700000001


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return a_station(tmp_path)


@pytest.fixture
def eye(station: Station) -> Iterator[Eye]:
    with an_eye(station) as eye:
        yield eye


def record(station: Station, number: int, kind: Kind, score: float, reason: Reason) -> None:
    journal = opened(station.journal.dir, SystemClock())
    journal.commit([decided(number, kind, score, reason)])
    journal.close()


def test_a_picture_comes_with_the_verdict_of_its_part_as_soon_as_that_is_on_record(
    station: Station, eye: Eye
) -> None:
    clock = ManualClock()
    seen = Latest(station, Control(station), clock)
    assert "id" not in seen.now("top", is_up=True)
    show_picture(station, eye, PART)
    assert "id" not in seen.now("top", is_up=True), "not asked again within the second"
    clock.sleep_until(clock.now_ns() + latest.EVERY_NS)
    told = seen.now("top", is_up=True)
    assert (told["id"], told["name"], told["verdict"], told["score"]) == (f"{PART:x}", "7-1", "REJECT", None)
    picture = cv2.imdecode(np.frombuffer(seen.picture("top", PART), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and np.ptp(picture.astype(int), axis=2).max() > 40, "the heat map is painted over it"
    record(station, 1, Kind.UNKNOWN, 0.75, Reason.LATE)
    clock.sleep_until(clock.now_ns() + latest.EVERY_NS)
    told = seen.now("top", is_up=True)
    assert (told["verdict"], told["score"], told["words"]) == ("UNKNOWN", 0.75, "the verdict came too late")
    with pytest.raises(ConfigError, match="newer picture"):
        seen.picture("top", PART + 1)


def test_the_last_picture_stays_when_the_eye_is_down_and_nobody_is_asked(station: Station, eye: Eye) -> None:
    clock = ManualClock()
    seen = Latest(station, Control(station), clock)
    show_picture(station, eye, PART)
    seen.now("top", is_up=True)
    asked = eye.looks
    clock.sleep_until(clock.now_ns() + 5 * latest.EVERY_NS)
    assert seen.now("top", is_up=False)["id"] == f"{PART:x}" and eye.looks == asked


def test_a_picture_that_has_just_gone_is_asked_for_again(station: Station, eye: Eye) -> None:
    clock = ManualClock()
    seen = Latest(station, Control(station), clock)
    show_picture(station, eye, PART)
    for path in station.station.run_dir.glob("shown_*"):
        path.unlink()
    assert "id" not in seen.now("top", is_up=True)
    show_picture(station, eye, PART + 1)
    clock.sleep_until(clock.now_ns() + latest.EVERY_NS)
    assert seen.now("top", is_up=True)["id"] == f"{PART + 1:x}"


def test_however_many_look_the_eye_is_asked_once_a_second(
    station: Station, eye: Eye, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latest, "EVERY_NS", 3_600_000 * MS)
    show_picture(station, eye, PART)
    with served(station) as panel:
        visitors = [panel.visitor(name) for name in ("vera", "otto", "erna")]
        for visitor in visitors * 3:
            told = visitor.get("/api/live?camera=top").json["latest"]
            assert told["id"] == f"{PART:x}"
            assert visitor.get(f"/latest/{told['id']}/top").headers["content-type"] == "image/jpeg"
        assert eye.looks == 1
        assert "latest" not in visitors[0].get("/api/live").json
        assert visitors[0].get("/api/live?camera=..%2Ftop").status == 409
        assert visitors[0].get("/latest/8/top").status == visitors[0].get("/latest/8/side").status == 404
        assert visitors[0].get("/latest/x/top").status == 404


def test_an_eye_of_an_older_version_is_named_and_not_asked_for_a_while(
    station: Station, eye: Eye, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    seen = Latest(station, Control(station), clock)
    monkeypatch.setattr("tests.panel.panels.AskPicture", ())  # so it counts as an act, whose answer is no picture
    assert "older version" in seen.now("top", is_up=True)["words"]
    clock.sleep_until(clock.now_ns() + 10 * latest.EVERY_NS)
    seen.now("top", is_up=True)
    assert len(eye.asked) == 1


def test_names_that_never_come_again_are_not_interned(station: Station, eye: Eye) -> None:
    """Neither of the newest pictures nor of those in the gallery: a panel runs for months."""
    clock = ManualClock()
    seen, kept = Latest(station, Control(station), clock), Pictures(station)
    keep_picture(station, PART)
    show_picture(station, eye, PART)
    with interned() as found:
        seen.now("top", is_up=True)
        clock.sleep_until(clock.now_ns() + latest.EVERY_NS)
        assert "id" in seen.now("top", is_up=True)
        assert kept.whole(PART, "top") and kept.of_part(PART + 1) == []
    assert not [text for text in found if "_top" in text]
