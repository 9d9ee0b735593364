"""A person at the labelling page, in a real browser: keys, brush and undo reach the disk, no request leaves here."""

import pytest

from edge.picture_set import read_mask, read_set
from tests.peers.browser import browser
from tests.peers.waiting import eventually
from tests.training.label_page import a_set, labels_of, served

ROWS = ["欠け.png,,g1,", "b.png,,g1,", "c.png,ng,g2,"]


@pytest.fixture
def folder(tmp_path):
    return a_set(tmp_path / "set", ROWS)


def test_keys_and_brush_label_a_set(folder, tmp_path):
    with served(folder) as page, browser(tmp_path) as tab:
        tab.open(page.address)
        tab.wait_for("#now", "1 of 3: no label")
        tab.wait_for("#file", "欠け.png")
        _wait_until_shown(tab, 0)
        tab.press("o")
        tab.wait_for("#now", "2 of 3: no label")
        _wait_until_shown(tab, 1)
        tab.press("1")
        tab.wait_for("#now", "3 of 3: ng")
        eventually(lambda: labels_of(folder) == {"欠け.png": "ok", "b.png": "ng", "c.png": "ng"}, "both are stored")
        _wait_until_shown(tab, 2)
        tab.press("b")
        x, y = (tab.ask(f"document.querySelector('#paint').client{side} / 2") for side in ("Width", "Height"))
        top = tab.ask("document.querySelector('#paint').getBoundingClientRect().top")
        tab.drag((x - 60, top + y), (x, top + y), (x + 60, top + y))
        eventually(lambda: read_set(folder)[2].mask is not None, "the stroke is stored")
        mask = read_mask(read_set(folder)[2], 48, 64)
        assert mask[24, 32] == 1, "what was painted in the middle of the screen is in the middle of the picture"
        assert 0 < mask.mean() < 0.5
        tab.press("u")
        eventually(lambda: read_set(folder)[2].mask is None, "the stroke is undone")
        tab.press("u")
        tab.wait_for("#now", "2 of 3: no label")
        assert labels_of(folder)["b.png"] == ""
        assert tab.complaints == []
        assert all(address.startswith((page.address, "blob:")) for address in tab.requests)
        assert len(tab.requests) > 5


def test_a_phone_can_label_by_touch(folder, tmp_path):
    with served(folder) as page, browser(tmp_path, 390, 844) as tab:
        tab.open(page.address)
        tab.wait_for("#now", "1 of 3")
        assert tab.ask("document.documentElement.scrollWidth") <= 390
        shown = "document.querySelector('#paint').clientHeight > 250"
        assert tab.ask(shown), "the picture has room"
        _wait_until_shown(tab, 0)
        tab.ask("document.querySelector('#labels .bad').click()")
        eventually(lambda: labels_of(folder)["欠け.png"] == "ng", "the label is stored")


def test_a_window_that_is_closed_counts_no_more(folder, tmp_path):
    with served(folder) as page, browser(tmp_path) as tab:
        tab.open(page.address)
        eventually(lambda: _windows(page) == 1, "the window has asked for news", 20.0)
        tab.ask("void (navigator.sendBeacon = () => false)")  # as where a beacon is refused for its origin
        tab.open("about:blank")
        eventually(lambda: _windows(page) == 0, "the window has said that it closed", 20.0)


def _windows(page):
    return page.get("news?window=&since=0").json["windows"]


def test_a_program_that_has_ended_is_noticed_and_no_label_is_pretended(folder, tmp_path):
    with browser(tmp_path) as tab:
        with served(folder) as page:
            tab.open(page.address)
            tab.wait_for("#now", "1 of 3")
            _wait_until_shown(tab, 0)
        tab.press("o")
        tab.wait_for("#alarm", "edge-train label has stopped")
    assert labels_of(folder)["欠け.png"] == ""


def _wait_until_shown(tab, number):
    """Before a picture is on the screen, keys count for nothing."""
    eventually(
        lambda: tab.ask("document.querySelector('#picture').dataset.number") == str(number), "the picture is shown"
    )
