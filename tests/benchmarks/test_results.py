"""Results are held to budgets and compared: what changed for sure, and what was not measured alike."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from benchmarks.bundle_profile import medians
from benchmarks.paths import of_a_bundle, of_a_station
from benchmarks.results import check_paths, compare, figures, misses, read_budget, read_result, unlike
from benchmarks.tables import comparison_table
from edge.errors import ConfigError
from tests.benchmarks.test_cli import edge_bench, keys, refused
from tests.eye.stations import ROOT, bundle

__all__ = ["keys"]

WRONG: list[dict[str, Any]] = [
    *({"host": 3}, {"hardware": []}, {"bench": None}, {"bench": {"runs": [1]}}, {"runs": [1]}, {"runs": {}}),
]


def result(*p50s: float, **bench: Any) -> dict[str, Any]:
    """A result whose engine took so long in each run."""
    runs = [{"engine": {"p50": value, "max": None}, "sustained_per_s": 1_000 / value} for value in p50s]
    told = {"runs": runs} if len(runs) > 1 else {}
    host = {"cpu": "one", "cores": 2}
    return {"latency_ms": {"pixels": {"p50": 0.4}}, "host": host, "bench": runs[0] | told | bench}


def budget(folder: Path, text: str) -> Path:
    file = folder / "budget.toml"
    file.write_text(text)
    return file


def test_every_number_has_a_path_and_the_machine_has_none() -> None:
    assert figures(result(5.0)) == {
        "latency_ms.pixels.p50": 0.4,
        "bench.engine.p50": 5.0,
        "bench.sustained_per_s": 200.0,
    }


def test_a_budget_holds_what_is_at_most_and_at_least(tmp_path: Path) -> None:
    limits = read_budget(
        budget(tmp_path, '[at_most]\n"bench.engine.p50" = 5.0\n[at_least]\nbench.sustained_per_s = 200')
    )
    assert not misses(limits, figures(result(5.0)))
    told = [miss.words() for miss in misses(limits, figures(result(8.0)))]
    assert told == [
        "bench.engine.p50 is 8, the budget says at most 5",
        "bench.sustained_per_s is 125, the budget says at least 200",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty budget"),
        ("[at_mots]\na = 1", "at_mots"),
        ('[at_most]\na = "5 ms"', "finite numbers only"),
        ("at_most = 5", "finite numbers only"),
        ("[at_most]\na = nan", "finite numbers only"),
        ("[at_most]\na = inf", "finite numbers only"),
        ("[at_most", "cannot read"),
    ],
)
def test_a_budget_that_says_nothing_clear_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_budget(budget(tmp_path, text))


def test_a_figure_that_no_result_has_is_refused_with_those_spelt_alike() -> None:
    with pytest.raises(ConfigError, match=r"no figure 'bench.engine.p5O'; near it: bench.engine.p50"):
        check_paths({"at_most": {"bench.engine.p5O": 1.0}}, figures(result(5.0)), Path("budget.toml"))


def test_results_of_several_runs_are_compared_with_an_interval() -> None:
    draw = np.random.default_rng(1)
    slow, quick = (result(*draw.normal(mean, 0.2, 8)) for mean in (10.0, 8.0))
    engine = next(one for one in compare(slow, quick) if one.path == "bench.engine.p50")
    assert engine.ratio == pytest.approx(0.8, abs=0.03) and engine.is_sure
    again = next(one for one in compare(slow, result(*draw.normal(10.0, 0.2, 8))) if one.path == "bench.engine.p50")
    assert not again.is_sure


def test_results_of_one_run_have_a_ratio_and_no_interval() -> None:
    engine = next(one for one in compare(result(10.0), result(5.0)) if one.path == "bench.engine.p50")
    assert engine.ratio == 0.5 and engine.interval is None and not engine.is_sure


def station(**changes: Any) -> dict[str, Any]:
    """A result of a station: two of its counts."""
    counts = {"parts": 500, "unknown_reasons": {}, "deadline": {"met": 500, "missed": 0}} | changes
    return {"latency_ms": {}, "host": {}, "bench": {"station": "a.toml"}} | counts


def test_what_rises_from_nothing_is_shown_and_marked(capsys: pytest.CaptureFixture[str]) -> None:
    worse = station(deadline={"met": 450, "missed": 50}, unknown_reasons={"LATE": 50})
    changes = {one.path: one for one in compare(station(), worse)}
    missed = changes["deadline.missed"]
    assert (missed.ratio, missed.difference, missed.interval) == (None, 50, None)
    assert changes["unknown_reasons.LATE"].difference == 50
    assert "unknown_reasons.OVERRUN" not in changes, "0 in both"
    Console(width=160).print(comparison_table(list(changes.values()), "before", "after"))
    told = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if "deadline." in line}
    assert "+50" in told["deadline.missed"] and "was none" in told["deadline.missed"]
    assert "0.900" in told["deadline.met"] and "was none" not in told["deadline.met"]


def test_what_is_below_zero_in_a_run_is_compared_by_its_difference() -> None:
    def runs(*overheads: float) -> dict[str, Any]:
        each = [{"ratios": {"overhead": value}} for value in overheads]
        return result(5.0) | {"bench": {"engine": {}, "runs": each, "ratios": {"overhead": 0.0}}}

    before, after = (runs(*(middle + step for step in (-0.02, -0.01, 0.0, 0.01))) for middle in (0.0, 0.2))
    overhead = next(one for one in compare(before, after) if one.path == "bench.ratios.overhead")
    assert overhead.ratio is None and overhead.is_sure
    assert overhead.difference == pytest.approx(0.2)
    same = next(one for one in compare(before, before) if one.path == "bench.ratios.overhead")
    assert not same.is_sure


def test_a_bundle_is_not_compared_with_a_station(tmp_path: Path) -> None:
    for name, values in (("a.json", result(5.0)), ("b.json", station())):
        (tmp_path / name).write_text(json.dumps(values))
    assert "a bundle cannot be compared with a station" in refused(
        78, "--compare", tmp_path / "a.json", tmp_path / "b.json"
    )


def test_two_machines_and_two_models_are_told() -> None:
    other = result(5.0, model="int8") | {"host": {"cpu": "two", "cores": 2}}
    assert unlike(result(5.0, model="fp32"), other) == [
        "cpu: one before, two after",
        "model: fp32 before, int8 after",
    ]


def test_a_busier_machine_a_shorter_run_and_a_partial_one_are_told() -> None:
    other = result(5.0, load_average=2.5, seconds=1.0) | {"partial": "5 of 500 parts"}
    assert unlike(result(5.0, load_average=0.5, seconds=10.0), other) == [
        "seconds: 10.0 before, 1.0 after",
        "load average: 0.5 before, 2.5 after",
        "partial: no before, 5 of 500 parts after",
    ]
    assert unlike(result(5.0, load_average=0.5), result(5.0, load_average=1.4)) == []


def test_two_stations_bundles_and_lengths_are_told() -> None:
    def of(name: str, version: int, asked: int) -> dict[str, Any]:
        products = [{"product": "cap-a", "version": version, "model": {"target": "ort", "precision": "int8"}}]
        return {"latency_ms": {}, "host": {}, "bench": {"name": name, "products": products, "asked": asked}}

    assert unlike(of("line-3", 1, 500), of("line-4", 2, 900)) == [
        "station: line-3 before, line-4 after",
        "bundle: product cap-a, version 1, model target ort, precision int8 before, "
        "product cap-a, version 2, model target ort, precision int8 after",
        "parts asked for: 500 before, 900 after",
    ]
    assert unlike(of("line-3", 1, 500), of("line-3", 1, 500)) == []
    assert unlike(result(5.0, bundle_sha256="aa"), result(5.0, bundle_sha256="bb")) == [
        "bundle: aa before, bb after"
    ]


def test_the_median_of_runs_is_taken_figure_by_figure() -> None:
    runs = [{"a": {"p50": value, "none": None}, "pictures": 3, "words": "same"} for value in (1.0, 9.0, 2.0)]
    assert medians(runs) == {"a": {"p50": 2.0, "none": None}, "pictures": 3, "words": "same"}


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    for text in ("{", "[]", "{}", *(json.dumps(result(5.0) | part) for part in WRONG)):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(ConfigError, match="edge-bench --json"):
            read_result(tmp_path / "a.json")


def test_a_bundle_is_measured_several_times_held_to_a_budget_and_compared(tmp_path: Path, keys: Path) -> None:
    file, kept = bundle(tmp_path / "cap-a-1.bundle"), tmp_path / "bench.json"
    words = ("--bundle", file, "--keys", keys, "--seconds", "0.3", "--idle", "0", "--runs", "3", "--json", kept)
    generous = budget(tmp_path, '[at_most]\n"bench.engine.p50" = 10_000')
    done = edge_bench(*words, "--budget", generous)
    assert done.returncode == 0, done.stderr
    assert "p50 of 3 runs" in done.stdout and "within" in done.stdout
    assert len(json.loads(kept.read_text())["bench"]["runs"]) == 3
    done = edge_bench(*words, "--budget", budget(tmp_path, '[at_most]\n"bench.engine.p50" = 1e-6'))
    assert done.returncode == 1 and "over budget: bench.engine.p50" in done.stderr
    done = edge_bench("--compare", kept, kept)
    assert done.returncode == 0 and "1.000" in done.stdout and "not measured alike" not in done.stdout


def test_a_wrong_budget_is_refused_before_anything_is_measured(tmp_path: Path, keys: Path) -> None:
    wrong = budget(tmp_path, "[at_mots]\na = 1")
    file = bundle(tmp_path / "cap-a-1.bundle")
    assert "at_mots" in refused(78, "--bundle", file, "--keys", keys, "--budget", wrong)


def test_a_figure_that_no_result_has_is_refused_before_anything_is_measured(tmp_path: Path, keys: Path) -> None:
    wrong = budget(tmp_path, '[at_most]\n"bench.engine.p5O" = 1')
    words = refused(78, "--bundle", tmp_path / "none.bundle", "--keys", keys, "--budget", wrong)
    assert "no figure 'bench.engine.p5O'; near it: bench.engine.p50" in words
    assert "deadline.missed" in refused(
        78, tmp_path / "none.toml", "--budget", budget(tmp_path, "[at_most]\ndeadline.mised = 1")
    )


def test_a_figure_that_too_little_was_measured_of_misses_its_budget() -> None:
    limits = {"at_most": {"bench.engine.p50": 9.0, "bench.engine.p99": 9.0}}
    assert [miss.words() for miss in misses(limits, figures(result(5.0)))] == [
        "bench.engine.p99 is not known, too little was measured; the budget says at most 9"
    ]


def test_every_budget_of_the_page_holds_figures_of_a_result(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "bench.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block, known in zip(blocks, (of_a_station(), of_a_bundle((), None)), strict=True):
        check_paths(read_budget(budget(tmp_path, block)), known, None)
