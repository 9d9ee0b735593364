"""People at the panel in a real browser: they see the state, act with a reason, label; no request leaves here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.clock import SECOND, ManualClock
from edge.control import Acknowledge, ChangeBundle, MoveThreshold, SetLot, StartAgain, picture_name
from edge.install import install
from edge.journal.lots import KIND, NamedLot
from edge.journal.rows import Note
from edge.nearness import Drift, DriftOf, DriftSpan, LimitNow
from edge.picture_set import read_set
from edge.records import GateOutcome, Kind, Reason
from edge.station import Station
from tests.eye.stations import bundle
from tests.journal.records import decided, ended, opened, refused
from tests.panel.panels import PASSWORDS, Served, a_picture, a_station, an_eye, keep_picture, served, show_picture
from tests.peers.browser import Browser, browser
from tests.peers.waiting import eventually

HTML = "<img src=x onerror=alert(1)>"
PART = 0x700000001


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return a_station(tmp_path)


@pytest.fixture
def record(station: Station) -> Iterator[Callable[[Any], None]]:
    journal = opened(station.journal.dir, ManualClock())
    yield lambda row: journal.commit([row])
    journal.close()


def sign_in(tab: Browser, panel: Served, name: str) -> None:
    tab.open(f"http://127.0.0.1:{panel.port}/")
    tab.wait_for("h1", "Sign in")
    for field, value in (("#name", name), ("#password", PASSWORDS[name])):
        tab.ask(f"document.querySelector('{field}').value = '{value}'")
    click(tab, "#login button")
    eventually(lambda: tab.text("#headline") not in ("", "…"), "the state is shown", 20.0, 0.05)


def click(tab: Browser, css: str) -> None:
    """Once it can be seen and pressed, and the page's scripts run."""
    found = f"document.querySelector('{css}')"
    ready = f"document.readyState === 'complete' && ({found}?.checkVisibility() ?? false) && !{found}.disabled"
    eventually(lambda: bool(tab.ask(ready)), css, 20.0, 0.05)
    tab.ask(f"document.querySelector('{css}').click()")


def test_an_operator_sees_a_reject_acknowledges_a_stop_and_labels(
    station: Station, record: Callable[[Any], None], tmp_path: Path
) -> None:
    labels = tmp_path / "labels"
    with an_eye(station) as eye, served(station, labels_dir=labels) as panel, browser(tmp_path) as tab:
        sign_in(tab, panel, "otto")
        tab.wait_for("#headline", "Inspecting")
        tab.wait_for("#none", "No part was turned away yet")
        assert not tab.ask("document.querySelector('#acknowledge').checkVisibility()")
        keep_picture(station, PART, is_hot=True)
        record(decided(1, Kind.REJECT, 0.75, Reason.DEFECT))
        tab.wait_for("#gallery", "✕ REJECT 0.750")
        record(replace(ended(1), outcome=GateOutcome.FIRED, verdict=Kind.REJECT, reason=Reason.DEFECT))
        tab.wait_for("#gallery .item small", "rejected")
        loaded = "document.querySelector('#gallery img')?.naturalWidth"
        eventually(lambda: (tab.ask(loaded) or 0) > 0, "its picture is shown", 20.0, 0.05)
        eye.says(level="STOPPED", cause=HTML, can_acknowledge=True, permit=False)
        tab.wait_for("#headline", "Stopped by a limit")
        tab.wait_for("#cause", HTML)
        tab.wait_for("#permit", "✕ off")
        click(tab, "#acknowledge")
        click(tab, "#ask_do")
        tab.wait_for("#ask_words", "Say why")
        tab.ask("document.querySelector('#ask_why').value = 'nozzle cleaned'")
        click(tab, "#ask_do")
        eventually(lambda: eye.asked == [Acknowledge(why="nozzle cleaned", who="otto")], "the eye is asked", 20.0)
        click(tab, "#gallery a")
        tab.wait_for("h1", "Part 7-1")
        click(tab, "[data-heat]")
        tab.wait_for("[data-heat]", "with the heat map")
        click(tab, '[data-label="defect"]')
        tab.wait_for("#words", "stored: defect")
        assert [(row.label, row.group) for row in read_set(labels)] == [("defect", "part-7-1")]
        click(tab, "#undo")
        eventually(lambda: read_set(labels)[0].label == "", "the label is taken back", 20.0)
        tab.open(f"http://127.0.0.1:{panel.port}/threshold")
        tab.wait_for("#products", "share of defects that pass")
        tab.open(f"http://127.0.0.1:{panel.port}/")
        tab.wait_for("#parts", "4")
        click(tab, "#times summary")
        tab.wait_for("#charts", "p99 ≤")
        assert tab.complaints == []
        assert all(address.startswith(f"http://127.0.0.1:{panel.port}/") for address in tab.requests)
        click(tab, "#out")
        tab.wait_for("h1", "Sign in")


def test_the_newest_part_is_seen_with_its_verdict_and_age_and_when_none_comes(
    station: Station, record: Callable[[Any], None], tmp_path: Path
) -> None:
    shown = "document.querySelector('#seen img')"
    with served(station) as panel, browser(tmp_path) as tab:
        with an_eye(station) as eye:
            sign_in(tab, panel, "vera")
            tab.wait_for("#seen_none", "the next one is shown")
            record(decided(1, Kind.REJECT, 0.75, Reason.DEFECT))
            show_picture(station, eye, PART)
            tab.wait_for("#seen b", "✕ REJECT 0.750")
            tab.wait_for("#seen .why", "the score reached the threshold · rejected from")
            tab.wait_for("#seen small", "part 7-1")
            eventually(
                lambda: f"/latest/{PART:x}/top" in tab.ask(f"{shown}.src"), "its picture is shown", 20.0, 0.05
            )
            tab.ask("window.untouched = true")
            record(decided(2, Kind.PASS, 0.125, Reason.NONE))
            show_picture(station, eye, PART + 1, "PASS")
            tab.wait_for("#seen b", "✓ PASS 0.125")
            eventually(lambda: f"/latest/{PART + 1:x}/top" in tab.ask(f"{shown}.src"), "so is the next", 20.0, 0.05)
            assert tab.ask(f"{shown}.naturalWidth") > 0 and tab.ask("window.untouched"), "without loading the page"
            eye.shows = eye.shows.model_copy(update={"part_id": PART + 2, "wall_ns": eye.shows.wall_ns - 10**11})
            (station.station.run_dir / picture_name(PART + 2, "top")).write_bytes(a_picture(is_hot=False))
            tab.wait_for("#seen small", "No new part for 2 min")
        tab.wait_for("#seen small", "The eye does not answer: this is 2 min old", 20.0)
        assert "down" in tab.ask("document.querySelector('#seen').className")
        assert tab.complaints == []
        assert all(address.startswith(f"http://127.0.0.1:{panel.port}/") for address in tab.requests)


LIMITS = (
    LimitNow(name="consecutive_rejects", count=4, bound=10, then="stop"),
    LimitNow(name="window_rejects", count=21, bound=30, among=200, then="stop"),
    LimitNow(name="unknown_in_a_row", count=1, bound=3, then="warn"),
    LimitNow(name="missed_deadlines", count=7, bound=0, then="stop"),
    LimitNow(name="unknown_max", count=3, bound=21, among=1_000, then="go_back", product="cap-a"),
)
VIEW = DriftOf(
    product="cap-a", camera="top", has_coverage=True, parts=60, distance=0.84, unlike=4, allowed=30,
    spans=[
        DriftSpan(ago_s=3_700, parts=900, distance=0.7, unlike=40),
        DriftSpan(ago_s=90, parts=60, distance=1.4, unlike=50),
    ],
)  # fmt: skip


def test_an_operator_sees_how_near_each_limit_is_and_which_holds_the_line(station: Station, tmp_path: Path) -> None:
    level = "document.querySelector('[data-limit=\"{}\"]').dataset.level"
    with an_eye(station) as eye, served(station) as panel, browser(tmp_path) as tab:
        eye.limits(*LIMITS)
        sign_in(tab, panel, "otto")
        tab.wait_for("[data-limit=consecutive_rejects]", "Rejects in a row")
        assert "4 of 10" in tab.text("[data-limit=consecutive_rejects]")
        assert "stops the line until somebody acknowledges" in tab.text("[data-limit=consecutive_rejects]")
        assert "last 200 parts\n! 21 of 30" in tab.text("[data-limit=window_rejects]")
        assert "1 of 3\nonly warns" in tab.text("[data-limit=unknown_in_a_row]")
        assert tab.text("[data-limit=missed_deadlines]").endswith("\noff")
        assert "cap-a, new bundle" in tab.text("[data-limit=unknown_max]")
        assert [tab.ask(level.format(each.name)) for each in LIMITS[:3]] == ["", "warn", ""]
        assert tab.text("#limits_words") == ""
        eye.limits(LIMITS[0].model_copy(update={"count": 10}), *LIMITS[1:])
        eye.says(level="STOPPED", cause="10 rejects in a row", can_acknowledge=True, permit=False)
        tab.wait_for("[data-limit=consecutive_rejects]", "■ 10 of 10")
        tab.wait_for("#limits_words", "To be acknowledged: 10 rejects in a row")
        assert tab.ask(level.format("consecutive_rejects")) == "bad"
        used = "document.querySelector('[data-limit=consecutive_rejects] progress').position"
        assert tab.ask(used) == 1
        assert tab.complaints == []
    with served(station) as panel, browser(tmp_path / "down") as tab:
        sign_in(tab, panel, "otto")
        tab.wait_for("#limits_words", "the eye does not answer")
        assert tab.text("#limits") == ""
        assert tab.ask("document.querySelector('#lot').hidden"), "no eye would take it"


def test_somebody_sees_how_far_pictures_are_from_what_was_learned_and_how_that_grew(
    station: Station, tmp_path: Path
) -> None:
    bars = (
        "[...document.querySelectorAll('#views rect')].map((each) => "
        "['class', 'height'].map((name) => each.getAttribute(name)))"
    )
    with an_eye(station) as eye, served(station) as panel, browser(tmp_path) as tab:
        sign_in(tab, panel, "vera")
        click(tab, "#drift summary")
        tab.wait_for("#views", "No part was compared yet")
        eye.drift = Drift(span_s=600, views=[VIEW, DriftOf(product="cap-a", camera="side", has_coverage=False)])
        tab.wait_for("#views", "0.84 of the limit · beyond it 4 of the last 60 parts (warns at more than 30)")
        tab.wait_for("#views figure:last-child", "does not say how far its training pictures reach")
        (_, lower), (kind, higher) = tab.ask(bars)
        assert float(higher) == pytest.approx(2 * float(lower), rel=0.01) and kind == "reject"
        eye.drift = Drift(span_s=600, views=[VIEW.model_copy(update={"unlike": 31})])
        tab.wait_for("#views .far", "! 0.84 of the limit")
        assert tab.complaints == []


def test_while_a_picture_is_looked_for_words_stand_in_its_place(
    station: Station, record: Callable[[Any], None], tmp_path: Path
) -> None:
    with an_eye(station), served(station) as panel, browser(tmp_path) as tab:
        sign_in(tab, panel, "vera")
        record(decided(1, Kind.REJECT, 0.75, Reason.DEFECT))
        tab.wait_for("#gallery .nopicture", "the picture is looked for")
        assert not tab.ask("document.querySelector('#gallery img')"), "no picture that is none"
        keep_picture(station, PART)
        eventually(lambda: bool(tab.ask("document.querySelector('#gallery img')?.naturalWidth")), "it comes", 20.0)
        record(decided(2, Kind.REJECT, 0.75, Reason.DEFECT))
        tab.wait_for("#gallery .item:first-child .nopicture", "no picture", 20.0)
        tab.open(f"http://127.0.0.1:{panel.port}/part/{PART:x}")
        eventually(lambda: bool(tab.ask("document.querySelector('figure img')?.naturalWidth")), "of one part", 20.0)
        tab.ask("document.querySelector('figure img').src = '/picture/1/top'")
        tab.wait_for("figure .nopicture", "no picture")


def test_an_engineer_goes_back_to_a_bundle_and_starts_the_eye_again(station: Station, tmp_path: Path) -> None:
    install(bundle(tmp_path / "cap-a-2.bundle", version=2), station)
    with an_eye(station) as eye, served(station) as panel, browser(tmp_path) as tab:
        eye.says(versions={"cap-a": 2}, can_start_again=True)
        sign_in(tab, panel, "erna")
        tab.open(f"http://127.0.0.1:{panel.port}/bundles")
        tab.wait_for(".version.runs", "version 2")
        tab.wait_for(".version.runs", "✓ runs now")
        assert not tab.ask("document.querySelector('[data-version=\"2\"]')"), "what is active has no button"
        click(tab, '[data-version="1"]')
        tab.ask("document.querySelector('#ask_why').value = 'too many rejects'")
        click(tab, "#ask_do")
        asked = ChangeBundle(product="cap-a", version=1, why="too many rejects", who="erna")
        eventually(lambda: eye.asked == [asked], "the eye is asked", 20.0)
        eye.says(bundle="cap-a version 1 is active when the eye starts again")
        tab.wait_for("#eye", "version 1 is active when the eye starts again")
        click(tab, "#start_again")
        eye.refuses = "this eye began less than 60 s ago"
        tab.ask("document.querySelector('#ask_why').value = 'the shift begins'")
        click(tab, "#ask_do")
        tab.wait_for("#ask_words", "less than 60 s ago")
        assert eye.asked[1:] == [StartAgain(why="the shift begins", who="erna")]
        assert tab.complaints == []


def test_an_engineer_moves_the_threshold_where_it_is_proven(station: Station, tmp_path: Path) -> None:
    install(bundle(tmp_path / "cap-a-2.bundle", version=2, is_judged=True), station)
    choose = "(() => { const e = document.querySelector('[type=number]:not(#ask_minutes)'); e.value = VALUE; "
    choose += "e.dispatchEvent(new Event('change')); })()"
    with an_eye(station) as eye, served(station) as panel, browser(tmp_path, 390, 844) as tab:
        sign_in(tab, panel, "erna")
        tab.open(f"http://127.0.0.1:{panel.port}/threshold")
        tab.wait_for("#products", "Another threshold, between 0 and 1")
        tab.ask(choose.replace("VALUE", "0.54"))
        tab.wait_for(".chosen", "only edge threshold on the device takes")
        tab.wait_for(".chosen", "60, of which 1 passed")
        assert not tab.ask("document.querySelector('.chosen button')")
        tab.ask(choose.replace("VALUE", "0.45"))
        tab.wait_for(".chosen button", "Move the threshold to 0.45")
        click(tab, ".chosen button")
        tab.wait_for("#ask_about", "0 of 60 defects pass")
        tab.ask("document.querySelector('#ask_why').value = 'scratches pass'")
        click(tab, "#ask_do")
        asked = MoveThreshold(product="cap-a", value=0.45, why="scratches pass", who="erna")
        eventually(lambda: eye.asked == [asked], "the eye is asked", 20.0)
        eye.says(bundle="the threshold of cap-a is 0.45 when the eye starts again")
        tab.wait_for("#eye", "is 0.45 when the eye starts again")
        assert tab.ask("document.documentElement.scrollWidth") <= 390 and tab.complaints == []
        sign_in_again(tab, panel)
        tab.open(f"http://127.0.0.1:{panel.port}/threshold")
        tab.wait_for("#products", "Another threshold")
        tab.ask(choose.replace("VALUE", "0.45"))
        tab.wait_for(".chosen", "yes: the evidence meets its target")
        assert not tab.ask("document.querySelector('main button')"), "an operator has no button for it"
        assert tab.complaints == []


def sign_in_again(tab: Browser, panel: Served) -> None:
    click(tab, "#out")
    tab.wait_for("h1", "Sign in")
    sign_in(tab, panel, "otto")


def test_an_operator_sees_the_bundles_and_has_no_button_for_them(station: Station, tmp_path: Path) -> None:
    install(bundle(tmp_path / "cap-a-2.bundle", version=2), station)
    with an_eye(station), served(station) as panel, browser(tmp_path, 390, 844) as tab:
        sign_in(tab, panel, "otto")
        tab.open(f"http://127.0.0.1:{panel.port}/bundles")
        tab.wait_for("#products", "version 1")
        assert tab.ask("document.querySelectorAll('main button').length") == 0
        assert tab.ask("document.documentElement.scrollWidth") <= 390
        assert tab.complaints == []


def test_a_session_that_expires_brings_the_page_back_to_sign_in(station: Station, tmp_path: Path) -> None:
    clock = ManualClock()
    with an_eye(station), served(station, clock, idle_min=1) as panel, browser(tmp_path) as tab:
        sign_in(tab, panel, "otto")
        clock.sleep_until(clock.now_ns() + 61 * SECOND)
        tab.wait_for("h1", "Sign in", 20.0)
        assert tab.complaints == []


def test_a_page_asks_no_more_often_for_being_clicked(station: Station, tmp_path: Path) -> None:
    with an_eye(station), served(station) as panel, browser(tmp_path) as tab:
        sign_in(tab, panel, "vera")
        click(tab, "[data-over=hour]")
        tab.ask("for (let times = 0; times < 8; times++) document.querySelector('[data-over=start]').click()")
        tab.wait_for("#parts", "4")
        before = len(tab.requests)
        tab.ask("new Promise((done) => setTimeout(done, 3000))")
        assert len(tab.requests) - before <= 3_000 / 750 + 2


def test_a_phone_shows_state_and_counts_without_scrolling_sideways(station: Station, tmp_path: Path) -> None:
    with an_eye(station) as eye, served(station) as panel, browser(tmp_path, 390, 844) as tab:
        eye.says(
            lot="4712", level="FAULT", cause="the gate at 192.0.2.10 " + "does not answer " * 8, product="x" * 60
        )
        sign_in(tab, panel, "erna")
        tab.wait_for("#headline", "Fault")
        tab.wait_for("#pass", "3")
        assert tab.ask("document.documentElement.scrollWidth") <= 390
        assert tab.ask("document.querySelector('#permit').offsetWidth") > 100, (
            "two buttons beside it squeeze no figure"
        )


def test_where_pictures_are_collected_an_operator_names_the_lot(tmp_path: Path) -> None:
    station = a_station(tmp_path, mode="collect")
    with an_eye(station) as eye, served(station) as panel, browser(tmp_path) as tab:
        eye.says(mode="collect", lot="L-6", parts=1_234)
        sign_in(tab, panel, "otto")
        tab.wait_for("#headline", "Collecting pictures")
        tab.wait_for("#lotnow", "L-6")
        tab.wait_for("#recorded", "1 234")
        tab.wait_for("#seen_none", "No picture was recorded since somebody looks")
        show_picture(station, eye, 12, "")
        tab.wait_for("#seen small", "s ago")
        eventually(
            lambda: "/latest/c/top" in tab.ask("document.querySelector('#seen img').src"), "it is shown", 20.0
        )
        assert tab.ask("document.querySelector('#seen').href") == "" and tab.text("#seen b") == ""
        click(tab, "#lot")
        tab.ask("document.querySelector('#ask_why').value = 'L-7'")
        click(tab, "#ask_do")
        eventually(lambda: eye.asked == [SetLot(lot="L-7", who="otto")], "the eye is asked", 20.0)
        assert tab.text("#gallery") == "" and tab.complaints == []


def test_an_operator_names_the_lot_of_the_parts_and_sees_its_counts(
    station: Station, record: Callable[[Any], None], tmp_path: Path
) -> None:
    with an_eye(station) as eye, served(station) as panel, browser(tmp_path, 1280, 800) as tab:
        sign_in(tab, panel, "otto")
        click(tab, "#lots summary")
        tab.wait_for("#lots tbody", "No lot was named yet")
        click(tab, "#lot")
        tab.wait_for("#ask_about", "Parts that are born from now on")
        tab.ask(f"document.querySelector('#ask_why').value = '{HTML}'")
        click(tab, "#ask_do")
        eventually(lambda: eye.asked == [SetLot(lot=HTML, who="otto")], "the eye is asked", 20.0)
        record(Note(0, KIND, NamedLot(HTML, PART).words("by otto")))
        for number in (1, 2):
            record(ended(number))
        record(refused(3))
        eye.says(lot=HTML)
        tab.wait_for("#lotnow", HTML)
        click(tab, "[data-over=lot]")
        tab.wait_for("#parts", "3")
        tab.wait_for("#reasons", "NO_FRAME")
        click(tab, "#lots summary")
        click(tab, "#lots summary")
        tab.wait_for("#lots tbody tr", f"{HTML}\t3\t2\t0\t1\t2\t1\t0\t14 Nov")
        assert tab.complaints == []


def test_an_operator_chooses_what_to_take_out(
    station: Station, record: Callable[[Any], None], tmp_path: Path
) -> None:
    record(Note(0, KIND, NamedLot("a & b", PART).words("by otto")))
    record(ended(1))
    with an_eye(station), served(station, shifts=("06:00",)) as panel, browser(tmp_path, 390, 844) as tab:
        sign_in(tab, panel, "otto")
        click(tab, 'nav a[href="/export"]')
        tab.wait_for("h1", "Export")
        eventually(lambda: "day=20" in tab.ask("document.querySelector('#parts').href"), "the page is ready", 20.0)
        tab.ask("document.querySelector('#day').value = '2023-11-14'")
        tab.ask("document.querySelector('#shift').value = '06:00'")
        tab.ask("document.querySelector('#shift').dispatchEvent(new Event('input', { bubbles: true }))")
        assert tab.ask("document.querySelector('#parts').href").endswith("parts.csv?day=2023-11-14&shift=06%3A00")
        click(tab, '[data-by="lot"]')
        eventually(lambda: "lot=a+%26+b" in tab.ask("document.querySelector('#pictures').href"), "the lot", 20.0)
        fetched = "fetch(document.querySelector('#parts').href).then((reply) => reply.text())"
        assert "a & b" in tab.ask(fetched)
        assert tab.ask("document.documentElement.scrollWidth") <= 390 and tab.complaints == []


def test_a_panel_that_has_ended_is_noticed(station: Station, tmp_path: Path) -> None:
    with browser(tmp_path) as tab:
        with an_eye(station), served(station) as panel:
            sign_in(tab, panel, "vera")
            tab.wait_for("#headline", "Inspecting")
        tab.wait_for("#alarm", "The panel does not answer", 20.0)
        assert "The station itself goes on" in tab.text("#alarm")


def test_nobody_signs_in_before_the_script_is_there(station: Station, tmp_path: Path) -> None:
    """A form that is sent by the browser itself is stopped by the content policy, and the page stays dead after it."""
    with an_eye(station), served(station) as panel, browser(tmp_path) as tab:
        assert '<button class="main" disabled>' in panel.visitor().get("/login").text
        tab.open(f"http://127.0.0.1:{panel.port}/login")
        disabled = "document.querySelector('#login button')?.disabled"
        eventually(lambda: tab.ask(disabled) is False, "its script runs", 20.0, 0.05)
