"""A finger in a glove finds what is pressed: on a 10-inch screen and on a phone, on every page, in every language."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge.clock import ManualClock
from edge.install import install
from edge.journal.lots import KIND, NamedLot
from edge.journal.rows import Note
from edge.nearness import Drift
from edge.panel.language import LANGUAGES
from edge.records import GateOutcome, Kind, Reason
from tests.eye.stations import REPLAY, bundle
from tests.journal.records import decided, ended, opened, refused
from tests.panel.panels import PASSWORDS, Eye, Served, a_station, an_eye, keep_picture, served, show_picture
from tests.panel.test_panel_browser import LIMITS, PART, VIEW, click
from tests.peers.browser import Browser, browser
from tests.peers.waiting import eventually

LEAST = 48  # CSS pixels, each way
SCREENS = {"10 inch": (1280, 800), "phone": (390, 844)}
TWO_CAMERAS = (
    REPLAY + '\n[[camera]]\nname = "side"\nkind = "folder"\ndir = "pictures"\nrate_hz = {rate}\nloop = {loop}'
)
# What may be smaller: a link within a sentence, which has the height of its line. What is wider than the window can be
# reached by scrolling its own box only.
SMALL = f"""
[...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex], [role=button]")]
  .filter((each) => each.checkVisibility())
  .filter((each) => !(getComputedStyle(each).display === "inline" && each.parentElement.matches("p, li, td, small")))
  .map((each) => [each, each.getBoundingClientRect()])
  .filter(([, box]) => Math.min(box.width, box.height) < {LEAST - 0.5} || box.left < 0 || box.right > innerWidth + 0.5)
  .map(([each, box]) => `${{each.tagName}} #${{each.id}} .${{each.className}} "${{each.textContent.trim()}}"`
    + `: ${{box.width}} x ${{box.height}} at ${{box.left}}`)
"""
FOUND = """
[...document.querySelectorAll("a[href], button, input, select, summary")]
  .filter((each) => each.checkVisibility()).length
"""


def look(tab: Browser, where: str, least: int) -> None:
    """`least`: so many things to press are there at least, or the page is not what was meant."""
    eventually(lambda: tab.ask("document.readyState") == "complete", "its style is there", 20.0)
    small = tab.ask(SMALL)
    assert not small, "\n".join([where, *small])
    assert tab.ask(FOUND) >= least, where
    assert tab.ask("document.documentElement.scrollWidth <= innerWidth"), f"{where} scrolls sideways"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Served, Eye]]:
    """A station with all that a page can have, stopped while a bypass runs, so that every button is there."""
    station = a_station(tmp_path, camera=TWO_CAMERAS)
    install(bundle(tmp_path / "cap-a-2.bundle", version=2, is_judged=True), station)
    journal = opened(station.journal.dir, ManualClock())
    journal.commit([Note(0, KIND, NamedLot("L-7", PART).words("by otto"))])
    keep_picture(station, PART, is_hot=True)
    fired = replace(ended(1), outcome=GateOutcome.FIRED, verdict=Kind.REJECT, reason=Reason.DEFECT)
    journal.commit([decided(1, Kind.REJECT, 0.75, Reason.DEFECT), fired, decided(2), refused(3)])
    options = {"labels_dir": tmp_path / "labels", "classes": ("scratch", "dent"), "shifts": ("06:00",)}
    with an_eye(station) as eye, served(station, **options) as panel:
        show_picture(station, eye, PART)
        eye.limits(*LIMITS)
        eye.drift = Drift(span_s=600, views=[VIEW])
        eye.says(
            level="STOPPED", can_acknowledge=True, cause="10 rejects in a row", bypass_left_s=90, lot="L-7",
            versions={"cap-a": 2}, can_start_again=True, likeness="top: darker than learned",
        )  # fmt: skip
        yield panel, eye
    journal.close()


def sign_in(tab: Browser, language: str, port: int) -> None:
    tab.open(f"http://127.0.0.1:{port}/")
    eventually(lambda: bool(tab.text("#login button")), "the first page", 20.0)
    if language != "en":
        click(tab, f"[data-language={language}]")
        eventually(lambda: bool(tab.text(f"html[lang={language}] #login button")), language, 20.0)
    look(tab, "sign-in", 4)
    for field, value in (("#name", "erna"), ("#password", PASSWORDS["erna"])):
        tab.ask(f"document.querySelector('{field}').value = '{value}'")
    click(tab, "#login button")
    eventually(lambda: tab.text("#headline") not in ("", "…"), "the state is shown", 20.0, 0.05)


def first_page(tab: Browser, eye: Eye) -> None:
    for each in ("lots", "times", "drift"):
        click(tab, f"#{each} summary")
    tab.wait_for("#charts", "p99", 20.0)
    for css in ("#acknowledge", "#end_bypass", "#lot", "#gallery a", "#seen b", "#limits li", "[data-over=shift]"):
        eventually(lambda css=css: bool(tab.text(css)), css, 20.0)  # type: ignore[misc]
    look(tab, "the first page", 20)
    click(tab, "#acknowledge")
    look(tab, "the question before an act", 22)
    click(tab, "#ask_not")
    eye.says(level="READY", can_acknowledge=False)
    click(tab, "#bypass")
    eventually(lambda: bool(tab.ask("document.querySelector('#ask_minutes').checkVisibility()")), "minutes", 20.0)
    look(tab, "the question before a bypass", 22)


def other_pages(tab: Browser, port: int) -> None:
    tab.open(f"http://127.0.0.1:{port}/part/{PART:x}")
    eventually(lambda: bool(tab.text("[data-heat]")), "one part", 20.0)
    look(tab, "one part", 10)
    tab.open(f"http://127.0.0.1:{port}/threshold")
    eventually(
        lambda: bool(tab.text(".chosen") or tab.text("#products input ~ *") or tab.text("#products")), "it", 20.0
    )
    tab.ask(
        "(() => { const e = document.querySelector('#products [type=number]'); e.value = 0.45; "
        "e.dispatchEvent(new Event('change')); })()"
    )
    eventually(lambda: bool(tab.text(".chosen button")), "a button for the threshold", 20.0)
    look(tab, "threshold", 8)
    tab.open(f"http://127.0.0.1:{port}/bundles")
    click(tab, ".version summary")
    eventually(lambda: bool(tab.text("#start_again")), "the eye may start again", 20.0)
    look(tab, "bundles", 9)
    tab.open(f"http://127.0.0.1:{port}/export")
    eventually(lambda: "day=20" in str(tab.ask("document.querySelector('#parts')?.href")), "export", 20.0)
    look(tab, "export by day", 11)
    click(tab, '[data-by="lot"]')
    look(tab, "export by lot", 11)
    tab.open(f"http://127.0.0.1:{port}/part/5")
    eventually(lambda: bool(tab.text(".state[data-level=DOWN] h1")), "what cannot be shown", 20.0)
    look(tab, "what cannot be shown", 1)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("screen", SCREENS)
def test_every_page(site: tuple[Served, Eye], screen: str, language: str, tmp_path: Path) -> None:
    panel, eye = site
    with browser(tmp_path, *SCREENS[screen]) as tab:
        sign_in(tab, language, panel.port)
        first_page(tab, eye)
        other_pages(tab, panel.port)
        assert tab.complaints == []


@pytest.mark.parametrize("screen", SCREENS)
def test_where_pictures_are_collected(screen: str, tmp_path: Path) -> None:
    station = a_station(tmp_path, mode="collect")
    with an_eye(station) as eye, served(station) as panel, browser(tmp_path, *SCREENS[screen]) as tab:
        eye.says(mode="collect", lot="L-6", parts=1_234)
        sign_in(tab, "en", panel.port)
        look(tab, "collecting", 6)


def test_what_is_too_small_is_told(site: tuple[Served, Eye], tmp_path: Path) -> None:
    panel, _ = site
    with browser(tmp_path, *SCREENS["phone"]) as tab:
        sign_in(tab, "en", panel.port)
        style = "document.querySelector('#lot').style"
        tab.ask(f"{style}.minHeight = '40px'")
        tab.ask(f"{style}.padding = '0'")
        (told,) = tab.ask(SMALL)
        assert told.startswith("BUTTON #lot") and "x 40" in told
