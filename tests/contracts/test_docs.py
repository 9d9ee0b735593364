"""The generated parts of docs/ are what `make docs` would write today, and links between pages lead somewhere."""

from __future__ import annotations

import re

import pytest

from docs import generate
from edge.plc import table, vision
from edge.records import Reason
from tests.contracts.source_tree import ROOT
from tests.panel import screenshots

LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
INTO_PAGES = re.compile(r"\]\((?!https?://)([^)#\s]*)#([^)\s]+)\)")
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("name", generate.GENERATED)
def test_generated_pages_are_current(name):
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == generate.current(name), f"docs/{name} is out of date: run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    dead = [target for target in targets if not (page.parent / target).exists()]
    assert not dead, dead


def _anchors(text: str) -> set[str]:
    """What the headings of a page are called in links, as GitHub makes it."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = [
        re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line) for line in re.findall(r"^#+ (.*)$", plain, re.MULTILINE)
    ]
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_into_pages_lead_to_their_headings(page):
    for name, heading in INTO_PAGES.findall(page.read_text(encoding="utf-8")):
        target = (page.parent / name).resolve() if name else page
        assert heading in _anchors(target.read_text(encoding="utf-8")), f"{name}#{heading}"


def test_the_pictures_of_the_panel_are_those_that_one_command_takes_and_are_small():
    page = (ROOT / "docs" / "panel.md").read_text(encoding="utf-8")
    taken = {f"panel-{name}.png" for name in screenshots.NAMES}
    assert taken == {path.name for path in (ROOT / "docs").glob("*.png")}
    assert taken == {target for target in LINK.findall(page) if target.endswith(".png")}
    large = [name for name in taken if (ROOT / "docs" / name).stat().st_size > screenshots.MOST_BYTES]
    assert not large, large


def test_every_key_of_the_station_file_is_documented():
    """A kind that nobody added to docs/generate.py would be missing from the reference."""
    page = (ROOT / "docs" / "station.md").read_text(encoding="utf-8")
    options = generate.options
    for kinds in (options.Camera, options.Trigger, options.Encoder, options.Engine, options.Output, options.Plc):
        for model in kinds.__origin__.__args__:
            kind = model.model_fields["kind"].annotation.__args__[0]
            assert f'`kind = "{kind}"`' in page


def test_every_reason_is_explained():
    page = (ROOT / "docs" / "part-life.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| ([A-Z_]+) \|", page, re.MULTILINE)
    assert explained == [reason.name for reason in Reason if reason is not Reason.NONE]


def test_every_number_that_a_plc_sees_is_explained():
    page = (ROOT / "docs" / "plc.md").read_text(encoding="utf-8")
    rows = [(int(number), name) for number, name in re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", page, re.MULTILINE)]
    flags = [(flag.bit_length() - 1, flag.name) for flag in table.Flag]
    states, errors = ([(item.value, item.name) for item in kind] for kind in (table.Packml, table.ErrorCode))
    assert rows == [*flags, *states, *errors]
    for item in (*table.Mode, *table.Command):
        assert re.search(rf"\b{item.value} {item.name}\b", page)
    assert [reason.value for reason in Reason] == list(range(len(Reason))), "their order is their number"


def test_the_plc_page_says_which_states_are_which_in_the_vision_specification():
    page = (ROOT / "docs" / "plc.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| \d+ \| ([A-Z]+) \| [^|]+ \| ([A-Za-z, ]+) \|$", page, re.MULTILINE))
    for state in table.Packml:
        names = [vision.browse_name(part) for part in vision.states(state) if part is not None]
        assert told[state.name] == ", ".join(names)
