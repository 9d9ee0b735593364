"""The page of a result is whole, escapes what it is told, and needs nothing from outside."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

from benchmarks import plots
from benchmarks.bundle_profile import Plan
from benchmarks.page import page
from edge.report import host
from tests.benchmarks.test_bundle_profile import WorkClock, a_run, a_student, as_result


def a_result(**changes: Any) -> dict[str, Any]:
    clock = WorkClock()
    run = a_run(a_student(clock), clock, Plan(2, 20, (0.1, 10)))
    model = {"target": "ort", "precision": "fp32", "file": "models/a.onnx", "sha256": "0" * 64}
    identity = {"product": "cap<a>", "version": 3, "model": model, "bundle_sha256": "1" * 64, "threads": 1}
    told = as_result(run, **identity, load_average=0.5, **changes)
    return told | {"parts": run.looks.count, "host": host()}


class Links(HTMLParser):
    """What a page would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.outside += [tag for name, _ in attrs if name in ("src", "href", "srcset") or name.startswith("on")]
        if tag in ("script", "link", "iframe", "object"):
            self.outside.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_loads_nothing() -> None:
    text = page(a_result())
    links = Links()
    links.feed(text)
    assert not links.open and not links.outside
    assert "url(" not in text and "@import" not in text


def test_the_page_says_what_was_measured_where_and_how() -> None:
    values = a_result()
    text = page(values)
    for words in ("cap&lt;a&gt; version 3", "A picture is due; its verdict is known", "left alone", "3.40 x"):
        assert words in text
    for library, version in values["host"]["versions"].items():
        assert f"{library} {version}" in text
    assert "8.000" in text  # the engine's p50
    assert "Partial" not in text
    assert '<p class="partial">Partial: 2 of 5 runs' in page(values | {"partial": "2 of 5 runs: it failed"})


def test_a_run_that_has_not_settled_is_marked() -> None:
    unsteady = {"first_ms": 12.0, "last_ms": 10.0, "ratio": 0.8333, "is_steady": False}
    assert '<p class="partial">NOT STEADY YET' in page(a_result(steadiness=unsteady))
    assert "NOT STEADY YET" not in page(a_result())


def test_runs_stand_one_behind_the_other() -> None:
    one = a_result()
    many = page(a_result(runs=[one["bench"]] * 3))
    assert "p50 of 3 runs" in many and "8.000 to 8.000" in many
    assert many.count("<circle") - 2 == 3 * (page(one).count("<circle") - 2)


def bars(drawing: str) -> list[float]:
    return [float(bar.attrib["height"]) for bar in ElementTree.fromstring(drawing) if bar.tag.endswith("rect")]


def test_bars_are_as_high_as_their_counts_and_the_ranks_are_marked() -> None:
    drawing = plots.histogram([1, 2, 4, 8], [50, 0, 100])
    low, high = bars(drawing)
    assert high == 2 * low
    assert re.findall(r"p50|p99", drawing) == ["p50", "p99"]
    assert re.findall(r"p50|p99", plots.histogram([1, 2, 4, 8], [50, 0, 49])) == ["p50"]


def test_one_value_and_equal_moments_can_be_drawn() -> None:
    assert len(bars(plots.histogram([8, 8.0001], [1]))) == 1
    drawing = plots.course([[{"at_s": 0.0, "p50_ms": 5.0, "max_ms": 5.0}]])
    assert "nan" not in drawing and "circle" in drawing
