"""Results are held to budgets and compared: what changed for sure, and what was not measured alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.bundle_profile import medians
from benchmarks.results import check_paths, compare, figures, misses, read_budget, read_result, unlike
from edge.errors import ConfigError
from tests.benchmarks.test_cli import edge_bench, keys, refused
from tests.eye.stations import bundle

__all__ = ["keys"]


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
        ('[at_most]\na = "5 ms"', "numbers only"),
        ("at_most = 5", "numbers only"),
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


def test_two_machines_and_two_models_are_told() -> None:
    other = result(5.0, model="int8") | {"host": {"cpu": "two", "cores": 2}}
    assert unlike(result(5.0, model="fp32"), other) == [
        "cpu: one before, two after",
        "model: fp32 before, int8 after",
    ]


def test_the_median_of_runs_is_taken_figure_by_figure() -> None:
    runs = [{"a": {"p50": value, "none": None}, "pictures": 3, "words": "same"} for value in (1.0, 9.0, 2.0)]
    assert medians(runs) == {"a": {"p50": 2.0, "none": None}, "pictures": 3, "words": "same"}


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    for text in ("{", "[]", "{}"):
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
