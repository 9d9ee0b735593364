"""Runs that were made are kept when a later one fails or a person ends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from benchmarks import bundle_profile
from benchmarks.bundle_bench import ENDED_BY_HAND, EndedByHandError, Measured, bench_bundle
from benchmarks.bundle_profile import Plan
from benchmarks.looks import saturate
from benchmarks.paths import of_a_bundle
from benchmarks.results import figures
from benchmarks.tables import facts_of
from edge.bundle import load_keys, read_bundle
from edge.clock import SystemClock
from edge.errors import EngineError
from edge.options import Engine
from tests.bundles import store_key
from tests.eye.stations import bundle

CAUSES = [
    (EngineError("the engine is gone"), EngineError.exit_code, "the engine is gone"),
    (KeyboardInterrupt(), ENDED_BY_HAND, "ended by hand"),
]


def measured(folder: Path, monkeypatch: pytest.MonkeyPatch, rounds: int, error: BaseException) -> Measured:
    """Five runs that end with `error` after so many rounds."""
    left = iter(range(rounds))

    def so_many(*arguments: Any) -> None:
        if next(left, None) is None:
            raise error
        saturate(*arguments)

    monkeypatch.setattr(bundle_profile, "saturate", so_many)
    found = read_bundle(bundle(folder / "cap-a-1.bundle"), load_keys(store_key(folder / "keys")))
    options: Engine = TypeAdapter(Engine).validate_python({"kind": "ort"})
    return bench_bundle(found, options, Plan(0.2, 50), 5, None, SystemClock())


@pytest.mark.parametrize(("error", "code", "words"), CAUSES)
def test_runs_before_the_one_that_failed_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str
) -> None:
    told = measured(tmp_path, monkeypatch, 2 * bundle_profile.ROUNDS + 3, error)
    assert told.exit_code == code
    assert told.values["partial"] == f"2 of 5 runs: {words}"
    assert len(told.values["bench"]["runs"]) == 2
    assert told.values["bench"]["engine"]["p50"] > 0


@pytest.mark.parametrize(("error", "code", "words"), CAUSES)
def test_of_the_first_run_its_rounds_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str
) -> None:
    told = measured(tmp_path, monkeypatch, 3, error)
    assert (told.exit_code, told.values["partial"]) == (code, f"0 of 5 runs, 3 of 16 rounds of the first: {words}")
    bench = told.values["bench"]
    assert len(bench["course"]) == 3 and "runs" not in bench
    assert 0 < bench["ratios"]["sustained"] <= 1
    assert told.values["parts"] == bench["saturation"]["n"] > 0


def test_a_bundle_beside_itself_is_as_fast(tmp_path: Path) -> None:
    found = read_bundle(bundle(tmp_path / "cap-a-1.bundle"), load_keys(store_key(tmp_path / "keys")))
    options: Engine = TypeAdapter(Engine).validate_python({"kind": "ort"})
    told = bench_bundle(found, options, Plan(0.4, 50), 2, None, SystemClock(), found).values
    rival = told["bench"]["against_bundle"]
    assert (rival["product"], rival["bundle_sha256"]) == ("cap-a", told["bench"]["bundle_sha256"])
    for name in ("engine", "saturation"):
        assert rival[name]["rounds"] == 2 * bundle_profile.ROUNDS
        assert rival[name]["low"] <= rival[name]["ratio"] <= rival[name]["high"]
        assert 0.5 < rival[name]["ratio"] < 2
    assert set(figures(told)) <= of_a_bundle((), None, has_rival=True)
    row = dict(facts_of(told))["p50 over cap-a version 1, fp32"]
    assert "32 rounds in turns" in row


def test_before_the_first_round_there_is_nothing_to_keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EndedByHandError, match="before a first round was over") as caught:
        measured(tmp_path, monkeypatch, 0, KeyboardInterrupt())
    assert caught.value.exit_code == ENDED_BY_HAND
    with pytest.raises(EngineError, match="is gone"):
        measured(tmp_path / "again", monkeypatch, 0, EngineError("the engine is gone"))
