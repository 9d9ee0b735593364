"""A page of findings that opens offline: sentences, plots, tables and small pictures in one HTML file, no script."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from matplotlib import rc_context
from matplotlib.figure import Figure

from compile.gallery import thumbnail
from edge import __version__
from edge.picture_set import Picture

TEMPLATE = Path(__file__).with_name("page.html")


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: every row as long as `head`; the first column is text, the others are numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Shown:
    """A small picture (as a data URL) and what is said of it."""

    image: str
    words: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, sentences, and what they are about."""

    heading: str
    words: Sequence[str] = ()
    plot: str = ""
    grid: Grid | None = None
    pictures: Sequence[Shown] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """What is found (`lead`), what to know about it, then sections; `sound` colours the lead."""

    title: str
    about: str
    lead: Sequence[str]
    sound: bool
    sections: Sequence[Section]
    language: str = "en"


def render(page: Page) -> bytes:
    """The page as HTML in UTF-8."""
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return made.from_string(TEMPLATE.read_text(encoding="utf-8")).render(page=page, version=__version__).encode()


def shown(picture: Picture, words: str) -> Shown:
    """Raises ConfigError for a picture that cannot be read."""
    return Shown(thumbnail(picture), words)


def svg(figure: Figure, words: Mapping[str, str] | None = None) -> str:
    """The plot as an <svg> element, the same text for the same plot.

    With `words`, what the plot calls {name} is written as words[name] by the reader's own fonts: matplotlib's have no
    Japanese letters.
    """
    stream = io.StringIO()
    # letters as shapes: no font is asked for
    with rc_context({"svg.fonttype": "path" if words is None else "none", "svg.hashsalt": "kenpin"}):
        figure.savefig(stream, format="svg", bbox_inches="tight", metadata={"Date": None})
    drawn = stream.getvalue()
    for name, text in (words or {}).items():
        drawn = drawn.replace(f"{{{name}}}", escape(text))
    return re.sub(r"\s(width|height)=\"[\d.]+pt\"", "", drawn[drawn.index("<svg") :], count=2)
