"""The report tells what its files say, in both languages, and invents nothing where they say nothing."""

import json
import re
from dataclasses import replace
from hashlib import sha256
from string import Formatter

import pytest
from typer.testing import CliRunner

from calibration.scores import read_scores
from calibration.threshold import Goal, working_threshold, write_threshold
from edge.clock import SECOND, ManualClock
from edge.manifest import Evidence
from tests.training.label_page import a_set
from training.cli import app
from training.costs import Costs, Rates, Reckoning
from training.labelling.log import LabelLog
from training.report_words import LANGUAGES, words_of

COSTS = """
currency = "JPY"
parts_per_day = 1000
days_per_year = 200
seconds_per_inspection = 6
seconds_per_recheck = 30
wage_per_hour = 3000
defect_share = 0.02
integration_cost = 2000000
"""
PROVEN = Evidence(64, 0, 500, 5, 9, 0.95, 0.0458, 0.0209, 0.05)


@pytest.fixture
def files(tmp_path):
    """scores.csv of 80 good pictures and 70 defects, the threshold chosen on them, a set, its log, and costs."""
    rows = [f"g{n}.png,ok,g{n},0,{n / 400:.4f}" for n in range(80)]
    rows += [f"b{n}.png,dent,b{n},0,{0.5 + n / 200:.4f}" for n in range(70)]
    (tmp_path / "scores.csv").write_text("\n".join(["file,label,group,fold,score", *rows, ""]))
    choose(tmp_path, PROVEN)
    a_set(tmp_path / "set", ["a.png,ok,g1,", "b.png,dent,g2,", "c.png,dent,g2,", "d.png,,g3,"])
    clock = ManualClock()
    log = LabelLog(tmp_path / "set", clock)
    log.looking()
    for name in ("a", "b", "c"):
        clock.advance(4 * SECOND)
        log.add("label", f"{name}.png", "ok")
    (tmp_path / "costs.toml").write_text(COSTS)
    return tmp_path


def choose(folder, acceptance):
    scores = read_scores(folder / "scores.csv")
    digest = sha256((folder / "scores.csv").read_bytes()).hexdigest()
    chosen = working_threshold(scores, Goal(0.05), digest)
    write_threshold(folder / "threshold.json", replace(chosen, acceptance=acceptance))


def report(folder, *more):
    arguments = [str(word).format(folder) for word in more]
    result = CliRunner().invoke(app, ["report", "-o", str(folder / "report.html"), *arguments])
    return result, (folder / "report.html").read_text(encoding="utf-8") if not result.exception else ""


def all_of(folder, language="en"):
    return report(
        folder, "--threshold", "{}/threshold.json", "--scores", "{}/scores.csv", "--set", "{}/set", "--costs",
        "{}/costs.toml", "--language", language,
    )  # fmt: skip


def cells(page, first):
    """The cells of the table row that begins so."""
    row = re.search(rf"<tr>\s*<td>{re.escape(first)}</td>(.*?)</tr>", page, re.DOTALL)
    assert row, first
    return re.findall(r"<td>(.*?)</td>", row[1], re.DOTALL)


# --- what it says ---


def test_what_is_proven_stands_first_with_its_bound(files):
    result, page = all_of(files)
    assert result.exit_code == 0, result.exception
    assert "Proven: at most 4.6% of defects are passed (95% confidence); the target is 5.0%." in page
    assert '<div class="lead">' in page
    assert cells(page, "escapes, locked set") == ["0 of 64", "0.0%", "4.6%", "9"]
    assert cells(page, "overkill, locked set") == ["5 of 500", "1.0%", "2.1%", ""]


def test_what_is_not_proven_says_what_would_prove_it(files):
    choose(files, replace(PROVEN, missed=2, escape_upper=0.0955))
    _, page = all_of(files)
    assert "Not proven: 2 of 64 held-out defects were passed" in page
    assert "would take 124 defects" in page
    assert '<div class="lead no">' in page


def test_training_pictures_prove_nothing(files):
    choose(files, None)
    _, page = all_of(files)
    assert "Not proven yet: no locked acceptance set was judged" in page
    assert '<div class="lead no">' in page


def test_labels_and_their_minutes_come_from_the_set_and_its_log(files):
    _, page = all_of(files)
    assert "3 of 4 pictures are labelled, 2 of them defects, in 3 groups" in page
    assert "3 pictures were labelled in 0.2 minutes, 4.0 seconds for each" in page
    (files / "set" / "labelling.csv").unlink()
    assert "How many minutes they took is not known" in all_of(files)[1]


def test_second_thoughts_cost_minutes_and_are_no_further_pictures(files):
    clock = ManualClock()
    log = LabelLog(files / "set", clock)
    log.looking()
    for act, name, label in (
        ("label", "b", "dent"),
        ("mask", "b", "dent"),
        ("label", "c", "ok"),
        ("undo", "c", ""),
    ):
        clock.advance(4 * SECOND)
        log.add(act, f"{name}.png", label)
    assert "2 pictures were labelled in 0.5 minutes, 14.0 seconds for each" in all_of(files)[1]


def test_each_list_of_suggestions_speaks_for_itself(files):
    for name, file in (("one", "a.png"), ("two", "b.png")):
        (files / f"{name}.csv").write_text(f"file,group,reason,score\n{file},,random,\n")
    _, page = report(files, "--set", "{}/set", "--suggested", "{}/one.csv", "--suggested", "{}/two.csv")
    told = re.findall(r"Of the 1 pictures that were drawn at random (\d) are defects.*?\((\S+)\)\.", page)
    assert told == [("0", f"{files}/one.csv"), ("1", f"{files}/two.csv")]


def test_only_random_suggestions_say_how_many_defects_there_are(files):
    (files / "suggest.csv").write_text(
        "file,group,reason,score\na.png,g1,random,\nb.png,g2,random,\nc.png,g2,highest,\nd.png,g3,random,\n"
    )
    _, page = report(files, "--set", "{}/set", "--suggested", "{}/suggest.csv")
    # d.png has no label yet, c.png was not drawn at random
    assert "Of the 2 pictures that were drawn at random 1 are defects: 50.0%" in page
    assert "at least 2.5%, and with as much at most 97.5%" in page


CURVE = {
    "settings": {"seeds": [0, 1, 2]}, "measure": "auroc", "notes": ["A note."],
    "averages": [
        {"arm": "ssl", "than": "public", "sign": 1, "mean": 0.04},
        {"arm": "public", "than": "scratch", "sign": 0, "mean": 0.01},
    ],
    "differences": [
        {"arm": "ssl", "than": "public", "defects": 20.0, "as_good_with": {"labels": 34.2}},
        {"arm": "ssl", "than": "public", "defects": 50.0, "as_good_with": {"labels": None}},
        {"arm": "public", "than": "scratch", "defects": 20.0, "as_good_with": {"labels": 30.0}},
    ],
}  # fmt: skip


def test_labels_are_saved_only_where_the_curve_says_that_it_helped(files):
    (files / "curve.json").write_text(json.dumps(CURVE))
    _, page = report(files, "--curve", "{}/curve.json")
    assert "20 labelled defects are as good as 34 with public weights: 14 saved" in page
    assert "50 labelled defects are better than all that was measured" in page
    assert "No gain of public weights against learning from scratch: +0.010" in page
    assert "10 saved" not in page
    assert "Note of that file: A note." in page


def test_what_no_file_was_given_for_is_said(files):
    _, page = report(files, "--set", "{}/set")
    for words in ("no --threshold was given", "no --curve was given", "no --costs were given"):
        assert words in page
    assert "no --set was given" not in page
    assert "Minutes and money</h2>" not in page


# --- minutes and money ---


def test_minutes_and_money_are_those_of_a_calculation_by_hand(files):
    """1,000 parts a day, 2 % defects, 1 % overkill: 20 + 9.8 parts are rechecked for half a minute."""
    _, page = all_of(files)
    assert cells(page, "inspection by hand today, minutes a day")[0] == "100"
    assert cells(page, "rechecks of rejected parts, minutes a day")[0] == "14.9"
    assert cells(page, "inspection saved, minutes a day")[0] == "85.1"
    # 85.1 / 60 x 3,000 x 200
    assert cells(page, "wages saved, a year")[0] == "851,000"
    # 12 seconds of labelling at 3,000 an hour
    assert cells(page, "spent once")[0] == "2,000,010"
    assert cells(page, "months to pay back")[0] == "28.2"
    # at 2.09 % overkill: 20 + 20.482 parts
    assert cells(page, "inspection saved, minutes a day")[1] == "79.8"
    assert "not computed: lacks share of defects that inspection by hand passes, cost of an escape" in page


def test_a_missing_figure_leaves_out_what_needs_it_and_nothing_is_guessed():
    lacking = Reckoning(Costs(parts_per_day=10, seconds_per_inspection=6, wage_per_hour=1), Rates(0, 0), None)
    found = {one.name: one for one in lacking.results}
    assert found["manual_minutes_day"].value == 1
    assert found["saved_minutes_day"].value is None
    assert found["recheck_minutes_day"].missing == ("defect_share", "seconds_per_recheck")
    assert found["saving_year"].value is None
    assert found["payback_months"].value is None


def test_no_saving_never_pays_back():
    costs = Costs(
        parts_per_day=10, days_per_year=100, seconds_per_inspection=1, seconds_per_recheck=100, wage_per_hour=10,
        defect_share=0.5, integration_cost=5,
    )  # fmt: skip
    assert Reckoning(costs, Rates(0, 0), None).value("payback_months") == float("inf")


def test_an_investment_without_its_main_part_is_not_told():
    found = Reckoning(Costs(wage_per_hour=10), Rates(0, 0), 60.0)
    assert found.value("labelling_cost") == 10
    assert found.value("investment") is None


# --- how it looks ---


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_opens_offline(files, language):
    _, page = all_of(files, language)
    assert f'<html lang="{language}">' in page
    assert page.count("<svg") == 2
    assert "<script" not in page
    namespaces = (
        "http://www.w3.org/",
        "http://purl.org/",
        "http://creativecommons.org/",
        "https://matplotlib.org/",
    )
    assert [one for one in re.findall(r"https?://[^\s\"<]+", page) if not one.startswith(namespaces)] == []
    assert not re.findall(r"\{\w+\}", page), "a phrase without its figure"


def test_the_japanese_page_is_japanese(files):
    _, page = all_of(files, "ja")
    assert "実証済み: 不良の見逃し率は最大 4.6%" in page
    assert "スコア" in page.partition("<svg")[2].partition("</svg>")[0], "the plot, too"
    text = re.sub(r"<!--.*?-->|<style>.*?</style>|<svg.*?</svg>|<[^>]+>", " ", page, flags=re.DOTALL)
    english = set(re.findall(r"\b(the|with|are|was|minutes|pictures)\b", text))
    assert not english


def test_both_languages_say_the_same_with_the_same_figures():
    english, japanese = (words_of(language) for language in LANGUAGES)
    assert list(english) == list(japanese)
    for name in english:
        figures = [_figures(words[name]) for words in (english, japanese)]
        assert figures[0] == figures[1], name


def _figures(phrase):
    return {field for _, field, _, _ in Formatter().parse(phrase)} - {None}


# --- what it refuses ---


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wage = 3", "unknown key wage; the keys are"),
        ("wage_per_hour = -3", "wage_per_hour: Input should be greater than or equal to 0"),
        ("wage_per_hour = nan", "wage_per_hour"),
        ('parts_per_day = "many"', "parts_per_day"),
        ("defect_share = 2", "defect_share"),
        ("wage_per_hour 3", "write lines such as"),
    ],
)
def test_a_wrong_figure_is_one_clear_line(files, text, words):
    (files / "costs.toml").write_text(text)
    result, _ = report(files, "--costs", "{}/costs.toml")
    assert result.exception.exit_code == 78
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "nothing to report"),
        (("--language", "de", "--set", "{}/set"), "write en or ja"),
        (("--threshold", "{}/none.json"), "run edge-calibrate threshold"),
        (("--set", "{}/none"), "is not a folder"),
        (("--scores", "{}/scores.csv", "--set", "{}/set"), "give --threshold"),
        (("--suggested", "{}/scores.csv", "--costs", "{}/costs.toml"), "give --set"),
        (("--curve", "{}/threshold.json"), "run the same edge-train curve again"),
        (("--curve", "{}/scores.csv"), "give curve.json"),
    ],
)
def test_wrong_files_are_one_clear_line(files, options, words):
    result, _ = report(files, *options)
    assert result.exception.exit_code == 78
    assert words in str(result.exception)
    assert not (files / "report.html").exists()


def test_scores_of_another_training_are_refused(files):
    with (files / "scores.csv").open("a") as table:
        table.write("x.png,ok,x,0,0.1\n")
    result, _ = all_of(files)
    assert "was chosen on other scores" in str(result.exception)
