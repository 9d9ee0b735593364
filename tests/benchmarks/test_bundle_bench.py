"""Runs that were made are kept when a later one fails or a person ends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from benchmarks import bundle_bench
from benchmarks.bundle_bench import ENDED_BY_HAND, bench_bundle
from benchmarks.bundle_profile import Plan, profile
from edge.bundle import load_keys, read_bundle
from edge.clock import SystemClock
from edge.errors import EngineError
from edge.options import Engine
from tests.bundles import store_key
from tests.eye.stations import bundle


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (EngineError("the engine is gone"), EngineError.exit_code, "2 of 5 runs: the engine is gone"),
        (KeyboardInterrupt(), ENDED_BY_HAND, "2 of 5 runs: ended by hand"),
    ],
)
def test_runs_before_the_one_that_failed_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str
) -> None:
    left = iter(range(2))

    def two_runs(*arguments: Any) -> Any:
        if next(left, None) is None:
            raise error
        return profile(*arguments)

    monkeypatch.setattr(bundle_bench, "profile", two_runs)
    found = read_bundle(bundle(tmp_path / "cap-a-1.bundle"), load_keys(store_key(tmp_path / "keys")))
    options: Engine = TypeAdapter(Engine).validate_python({"kind": "ort"})
    measured = bench_bundle(found, options, Plan(0.2, 50), 5, None, SystemClock())
    assert measured.exit_code == code
    assert measured.values["partial"] == words
    assert len(measured.values["bench"]["runs"]) == 2
    assert measured.values["bench"]["engine"]["p50"] > 0
