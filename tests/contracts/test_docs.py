"""The generated parts of docs/ are what `make docs` would write today, and links between pages lead somewhere."""

from __future__ import annotations

import re

import pytest

from docs import generate
from edge.records import Reason
from tests.contracts.source_tree import ROOT

LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
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


def test_every_key_of_the_station_file_is_documented():
    """A kind that nobody added to docs/generate.py would be missing from the reference."""
    page = (ROOT / "docs" / "station.md").read_text(encoding="utf-8")
    for kinds in (generate.options.Camera, generate.options.Trigger, generate.options.Output):
        for model in kinds.__origin__.__args__:
            kind = model.model_fields["kind"].annotation.__args__[0]
            assert f'`kind = "{kind}"`' in page


def test_every_reason_is_explained():
    page = (ROOT / "docs" / "part-life.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| ([A-Z_]+) \|", page, re.MULTILINE)
    assert explained == [reason.name for reason in Reason if reason is not Reason.NONE]
