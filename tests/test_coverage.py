"""A bundle says where its embeddings lie in few numbers, and what lies elsewhere is told; damage is refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from edge import options
from edge.bundle import load_keys, read_bundle
from edge.clock import SystemClock
from edge.coverage import Coverage, table_of
from edge.errors import BundleError, EngineError
from edge.eye.student import load, prove
from edge.manifest import from_json, to_json
from tests.bundles import a_manifest
from tests.contracts.source_tree import ROOT

MEAN = np.array([0.5, -0.25, 0, 0.125], np.float32)
AXES = np.eye(4, dtype=np.float32)[:2]
COVERAGE = Coverage(4, (0.25, 0.0625), 0.01, 4.0, table_of(MEAN, AXES))


def at(*steps: float) -> np.ndarray:
    return MEAN + np.array(steps, np.float32)


def test_a_distance_is_in_the_spreads_of_what_was_learned() -> None:
    outside = COVERAGE.outside()
    assert outside.distance(at(0, 0, 0, 0)) == pytest.approx(0, abs=1e-6)
    assert outside.distance(at(0.5, 0, 0, 0)) == pytest.approx(1)
    assert outside.distance(at(0, 0.5, 0, 0)) == pytest.approx(4)
    assert outside.distance(at(0.5, 0, 0.1, -0.1)) == pytest.approx(3), "beside the axes as well"
    assert [outside.in_limits(at(step, 0, 0, 0)) > 1 for step in (0.9, -0.9, 1.1, np.nan)] == [
        False,
        False,
        True,
        True,
    ]


def test_a_manifest_carries_it_and_one_without_it_is_as_before() -> None:
    manifest = a_manifest()
    assert manifest.models[0].coverage is None
    carrying = replace(manifest, models=(replace(manifest.models[0], coverage=COVERAGE),))
    assert from_json(to_json(carrying), "x") == carrying
    text = json.loads(to_json(manifest))
    del text["models"][0]["coverage"]
    assert from_json(json.dumps(text).encode(), "x") == manifest


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"table": "no base64"}, "table|base64|Non"),
        ({"table": table_of(MEAN, AXES[:1])}, "a table of 16 bytes, not of 3 rows of 4"),
        ({"table": table_of(MEAN * np.float32(np.nan), AXES)}, "no numbers"),
        ({"variances": []}, "variances"),
        ({"variances": [1.0, 0.0]}, "variances"),
        ({"limit": -1.0}, "limit"),
        ({"length": 10**9}, "length"),
        ({"more": 1}, "unknown key"),
    ],
)
def test_what_is_damaged_is_refused(changed: dict[str, object], words: str) -> None:
    text = json.loads(to_json(a_manifest()))
    text["models"][0]["coverage"] = asdict(COVERAGE) | changed
    with pytest.raises(BundleError, match=words):
        from_json(json.dumps(text).encode(), "x")


def test_a_coverage_of_another_embedding_is_told_before_a_part_comes() -> None:
    demo, clock = ROOT / "edge/demo", SystemClock()
    student = load(read_bundle(demo / "washer-1.bundle", load_keys(demo)), options.OrtEngine(kind="ort"), clock)
    prove(student, clock)
    with pytest.raises(EngineError, match="coverage is of 4: compile the bundle again"):
        prove(replace(student, outside=COVERAGE.outside()), clock)
    student.engine.close()
