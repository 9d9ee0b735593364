"""The panel in each language: catalogues that say the same, and pages with no words of their own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

from edge.clock import ManualClock
from edge.health import Level
from edge.line.messages import LimitCounts
from edge.nearness import Drift, LimitNow
from edge.panel import language
from edge.panel.app import FILES, SERVED
from edge.panel.language import LANGUAGES, listen, words_of
from edge.records import GateOutcome, Kind, Reason, Sensed
from edge.station import Station
from edge.timing import STAGES
from tests.journal.records import decided, ended, opened, refused
from tests.panel.panels import PASSWORDS, a_station, an_eye, keep_picture, served, show_picture
from tests.panel.test_panel_browser import LIMITS, PART, VIEW, click
from tests.peers.browser import Browser, browser
from tests.peers.waiting import eventually

PANEL = FILES.parent
TEMPLATES = sorted(FILES.glob("*.html"))
SCRIPTS = sorted(FILES.glob("*.js"))
TWO_WORDS = re.compile(r"[A-Za-z]{2,}[,:;]? +[A-Za-z]{2,}|^[A-Z][a-z]+\b")
# made of words, but for the browser or the panel
NO_SENTENCES = {
    "Max-Age=31536000", "SameSite=Strict", "main button", "tbody tr", "item", "version runs", "bars scores",
    "nopicture coming", "visibilitychange",
}  # fmt: skip


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return a_station(tmp_path)


# --- the catalogues ---------------------------------------------------------------------------------------------


def test_every_language_has_the_same_phrases_with_the_same_figures() -> None:
    english = words_of("en")
    for each in LANGUAGES[1:]:
        words = words_of(each)
        assert set(words) == set(english)
        differ = [key for key in english if placeholders(words[key]) != placeholders(english[key])]
        assert differ == []
        silent = [key for key, text in words.items() if not text.strip() and english[key].strip()]
        assert silent == [], "every phrase is said"


def test_japanese_is_japanese() -> None:
    texts = {key: re.sub(r"\{\w+\}", "", text) for key, text in words_of("ja").items()}
    ascii_only = {key for key, text in texts.items() if text.isascii() and re.search("[A-Za-z]{2}", text)}
    assert ascii_only == {"locale", "part.ms", "script.ms"}


def used_keys() -> Iterator[str]:
    """The phrases that code, templates and scripts ask for by their whole name."""
    for path in (*PANEL.glob("*.py"), *TEMPLATES):
        text = path.read_text(encoding="utf-8")
        yield from re.findall(r'"((?:page|part|no|todo|warning|state|may)\.(?!js"|html")\w+)"', text)
    for path in SCRIPTS:
        for call in re.findall(r"\b(?:say|ACTS\b)[^;]*", path.read_text(encoding="utf-8")):
            yield from (f"script.{name}" for name in re.findall(r'"(\w+)"', call))


def asked_by_name() -> set[str]:
    """The phrases that are asked for by a name from elsewhere."""
    names = {
        "mode": ("inspect", "shadow", "collect"),
        "role": ("viewer", "operator", "engineer"),
        "field": ("name", "password", "minutes", "why", "lot", "label", "day", "shift", "value"),
        "verdict": [kind.name for kind in Kind],
        "state": [level.name for level in Level],
        "todo": [level.name for level in Level if level is not Level.READY]
        + ["down_inspect", "down_shadow", "down_collect"],
        "reason": [reason.name for reason in Reason],
        "part": [each.name for kind in (GateOutcome, Sensed) for each in kind],
        "script": [*STAGES, *(kind.name for kind in Kind), *(each.name.lower() for each in GateOutcome)]
        + [f"limit_{name}" for name in (*(each.name for each in fields(LimitCounts)), "unknown_max")]
        + [f"then_{each}" for each in get_args(LimitNow.model_fields["then"].annotation)],
    }
    return {f"{table}.{name}" for table, each in names.items() for name in each}


def test_whatever_is_asked_for_is_there_and_nothing_else() -> None:
    there = set(words_of("en"))
    asked = asked_by_name()
    assert asked <= there
    used = set(used_keys())
    by_table = {key for key in there if key.partition(".")[0] in ("may", "part", "no")}
    missing = {key for key in used if not key.startswith("script.")} - there
    assert missing == set(), "the panel would fail"
    assert there - used - asked - by_table == {"language", "locale", "thousands"}, "nobody says it"
    by_helper = {key for key in by_table if f'"{key.partition(".")[2]}"' in code() or f'"{key}"' in code()}
    assert by_table - by_helper - asked == set(), "nobody says it"


def code() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in (*PANEL.glob("*.py"), *TEMPLATES))


# --- no words of their own --------------------------------------------------------------------------------------


class Words(HTMLParser):
    """What a person reads of a template: text and the attributes that are read or shown."""

    def __init__(self, template: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._is_code = False
        self.feed(re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", template, flags=re.DOTALL))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_code = tag == "code"
        shown = [value for name, value in attrs if name in ("alt", "aria-label", "placeholder", "title")]
        self.found += [value for value in shown if value and re.search("[A-Za-z]", value)]

    def handle_endtag(self, tag: str) -> None:
        self._is_code = False

    def handle_data(self, data: str) -> None:
        if not self._is_code and re.search("[A-Za-z]", data):
            self.found.append(data.strip())


def sentences(script: str) -> list[str]:
    """The literals of a script that a person would read as words."""
    script = re.sub(r"^\s*//.*$|(?<=[;{}]) // .*$", "", script, flags=re.MULTILINE)
    literals = re.findall(r'"([^"\n]*)"|`([^`]*)`', script)
    parts = [part for plain, mixed in literals for part in (plain, *re.split(r"\$\{[^}]*\}", mixed))]
    return [part for part in parts if TWO_WORDS.search(part) and part not in NO_SENTENCES]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_no_words_of_its_own(path: Path) -> None:
    assert [
        text for text in Words(path.read_text(encoding="utf-8")).found if text not in ("Kenpin", "Kenpin ")
    ] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_has_no_words_of_its_own(path: Path) -> None:
    assert sentences(path.read_text(encoding="utf-8")) == []


def test_words_would_be_found() -> None:
    assert Words('<p class="x">{{ say("page.back") }} to it</p><img alt="a part">').found == ["to it", "a part"]
    assert Words('{% if a %}<b title="{{ b }}">…</b>{% endif %}<code>edge install</code>').found == []
    assert sentences('at("x").textContent = "none yet";\nsay("Gone"); `${count} parts were lost`') == [
        "none yet", "Gone", " parts were lost",
    ]  # fmt: skip
    assert sentences('// A comment: not shown\nat("seen_none", `/api/live?over=${over}`, ".head b");') == []


# --- which language ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "accepted", "wanted"),
    [
        ("", "", "en"),
        ("", "ja", "ja"),
        ("", "ja-JP,ja;q=0.9,en;q=0.8", "ja"),
        ("", "en-GB,en;q=0.9,ja;q=0.8", "en"),
        ("", "de-DE,de;q=0.9,ja;q=0.5,en;q=0.3", "ja"),
        ("", "de, *;q=0.5", "en"),
        ("", "JA ;q=x, en;q=nan,;;q=,", "en"),
        ("ja", "en", "ja"),
        ("en", "ja", "en"),
        ("../ja", "", "en"),
    ],
)
def test_what_was_chosen_counts_before_what_the_browser_prefers(chosen: str, accepted: str, wanted: str) -> None:
    listen(chosen, accepted)
    assert language.language() == wanted
    listen("", "")


def test_each_request_is_answered_in_its_own_language(station: Station) -> None:
    opened(station.journal.dir, ManualClock()).close()
    with an_eye(station) as eye, served(station) as panel:
        vera = panel.visitor("vera")
        japanese = {"Cookie": f"{vera.cookie}; kenpin.language=ja"}
        assert '<html lang="ja">' in vera.get("/", **japanese).text
        assert vera.get("/api/live", **japanese).json["state"]["headline"] == "検査中"
        assert '<html lang="en">' in vera.get("/").text
        assert vera.get("/api/live").json["state"]["headline"] == "Inspecting"
        refused_words = vera.post("/api/lot", {"lot": "4712"}, **japanese)
        assert refused_words.status == 403 and "作業者の権限" in refused_words.json["error"] and not eye.asked
        assert "ワークの記録は見つかりません" in vera.get("/part/5", **japanese).text
        wrong = vera.post("/api/bypass", {"minutes": 2_000, "why": "x"}, **japanese)
        assert wrong.json["error"].endswith(": 1440 以下の値を入力してください。")
        assert vera.post("/api/bypass", {"minutes": 0, "why": "x"}).json["error"] == "minutes: write more than 0"
        assert panel.visitor().get("/api/live", Accept_Language="ja").json == {"error": "ログインしてください。"}
        script = panel.visitor().get("/files/words.js", Accept_Language="ja-JP").text
        assert json.loads(script[script.index("{") : script.rindex("}") + 1])["another_threshold"] == "別のしきい値"
        assert not any(ord(letter) > 0x3000 for note in eye.access for letter in note), "records stay as they were"


def test_what_the_scripts_say_is_a_script_of_nothing_else(station: Station) -> None:
    with served(station) as panel:
        answer = panel.visitor().get("/files/words.js")
        assert answer.headers["content-type"].startswith(SERVED["live.js"])
        words = json.loads(answer.text.removeprefix("export const WORDS = ").removesuffix(";\n"))
        assert words["locale"] == "en-GB" and words["as_of"] == "as of {time}" and "page.back" not in words


# --- in a browser -----------------------------------------------------------------------------------------------


def sign_in_here(tab: Browser, name: str) -> None:
    for field, value in (("#name", name), ("#password", PASSWORDS[name])):
        tab.ask(f"document.querySelector('{field}').value = '{value}'")
    click(tab, "#login button")
    eventually(lambda: tab.text("#headline") not in ("", "…"), "the state is shown", 20.0, 0.05)


def test_somebody_signs_in_in_japanese_sees_a_reject_and_goes_back_to_english(
    station: Station, tmp_path: Path
) -> None:
    journal = opened(station.journal.dir, ManualClock())
    with an_eye(station) as eye, served(station) as panel, browser(tmp_path, 390, 844) as tab:
        tab.open(f"http://127.0.0.1:{panel.port}/")
        tab.wait_for("h1", "Sign in")
        click(tab, "[data-language=ja]")
        tab.wait_for("h1", "ログイン")
        assert tab.ask("document.documentElement.lang") == "ja"
        sign_in_here(tab, "erna")
        tab.wait_for("#headline", "検査中")
        keep_picture(station, PART)
        journal.commit([decided(1, Kind.REJECT, 0.75, Reason.DEFECT)])
        journal.commit([replace(ended(1), outcome=GateOutcome.FIRED, verdict=Kind.REJECT, reason=Reason.DEFECT)])
        tab.wait_for("#gallery .item", "✕ 不良 0.750")
        tab.wait_for("#gallery .item", "スコアがしきい値以上")
        tab.wait_for("#gallery .item small", "排出")
        eye.says(level="STOPPED", cause="5 rejects in a row", can_acknowledge=True)
        tab.wait_for("#headline", "制限により停止")
        tab.wait_for("#cause", "5 rejects in a row")
        click(tab, "#acknowledge")
        click(tab, "#ask_do")
        tab.wait_for("#ask_words", "理由を入力してください")
        assert tab.ask("document.documentElement.scrollWidth") <= 390
        tab.open(f"http://127.0.0.1:{panel.port}/part/{PART:x}")
        tab.wait_for("h1", "ワーク 7-1")
        tab.wait_for(".lines", "以上で不良")
        click(tab, "[data-language=en]")
        tab.wait_for("h1", "Part 7-1")
        tab.open(f"http://127.0.0.1:{panel.port}/")
        tab.wait_for("#headline", "Stopped by a limit")
        assert tab.complaints == []
        assert all(address.startswith(f"http://127.0.0.1:{panel.port}/") for address in tab.requests)
        assert tab.ask("document.cookie") == "kenpin.language=en", "no script sees the other one"
    journal.close()


READY = "document.readyState === 'complete' && !document.querySelector('main').innerText.includes('…')"
SHOWN = """
(() => {
  const names = ["alt", "aria-label", "placeholder", "title"];
  const walker = document.createTreeWalker(document, 5), found = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.nodeType === 3 && !["SCRIPT", "STYLE"].includes(node.parentElement.tagName)) found.push(node.data);
    if (node.nodeType === 1) for (const name of names) found.push(node.getAttribute(name) ?? "");
  }
  return found.join("\\n");
})()
"""
DATA = (
    "ort fp32 abababababababab test cap erna defect NONE top DEFECT NO_FRAME English "
    "Kenpin edge install threshold journal export"
)


def test_no_page_shows_a_word_that_is_in_no_catalogue(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a language whose every phrase is figures between brackets, whatever else a page says is its own."""
    figures = {key: " ".join(re.findall(r"\{\w+\}", text)) for key, text in words_of("ja").items()}
    silent = {key: f"[{each}]" for key, each in figures.items()} | {"locale": "ja-JP", "thousands": ","}
    monkeypatch.setitem(language._WORDS, "ja", silent)
    journal = opened(station.journal.dir, ManualClock())
    pages = ("", "bundles", "threshold", "export", f"part/{PART:x}")
    with an_eye(station) as eye, served(station, labels_dir=tmp_path / "labels") as panel, browser(tmp_path) as tab:
        keep_picture(station, PART, is_hot=True)
        journal.commit([decided(1, Kind.REJECT, 0.75, Reason.DEFECT), ended(1), decided(2), refused(3)])
        show_picture(station, eye, PART)
        eye.says(level="FAULT", can_acknowledge=True, cause="", bypass_left_s=90, lot="")
        eye.limits(*LIMITS)
        eye.drift = Drift(span_s=600, views=[VIEW])
        tab.open(f"http://127.0.0.1:{panel.port}/")
        click(tab, "[data-language=ja]")
        tab.wait_for("html[lang=ja] h1", "[]", 20.0)
        sign_in_here(tab, "erna")
        for page in pages:
            tab.open(f"http://127.0.0.1:{panel.port}/{page}")
            eventually(lambda: bool(tab.ask(READY)), f"/{page} is shown", 20.0, 0.05)
            if not page:
                for each in ("times", "lots", "drift"):
                    tab.ask(f"document.getElementById('{each}').open = true")
                tab.wait_for("#charts", "p99")
                tab.wait_for("#views", "0.84")
                tab.wait_for("#limits", "21 30")
                tab.wait_for("#lots tbody", "[")
            words = set(re.findall(r"\b[A-Za-z]{2,}\w*", tab.ask(SHOWN)))
            assert words - set(DATA.split()) == set(), page
