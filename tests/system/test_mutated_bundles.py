"""Ten thousand bundles that were damaged, forged or are old, and not one that gets in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.system.results import keep
from tests.test_mutated_bundles import SEED, older_versions, traced, with_the_key, without_the_key

COUNT = int(os.environ.get("KENPIN_MUTATED_BUNDLES", "10000"))

__all__ = ["traced"]


def test_ten_thousand_mutated_bundles(tmp_path: Path, traced: None, monkeypatch: pytest.MonkeyPatch) -> None:
    old = older_versions(tmp_path / "old", COUNT // 20)
    signed = with_the_key(tmp_path, COUNT // 4)
    seen = without_the_key(tmp_path, COUNT, monkeypatch)
    lines = [
        f"Seed {SEED}. Each is read as `edge install` reads it. Zip, manifest and table cannot be parsed in this",
        "test: a bundle that is looked into before its signature was found right would end it.",
        "",
        "| what became of the bundle | refused |",
        "| --- | --- |",
        *(f"| {sort.replace('_', ' ')} | {count:,} of {count:,} |" for sort, count in seen.refused.items()),
        f"| all of these, without the key | {seen.refused.total():,} of {COUNT:,} |",
        f"| huge sizes, offsets and counts, signed with the right key | {signed.refused.total():,} of {COUNT // 4:,}; "
        f"the others were whole |",
        f"| older version, signed with the right key | {old:,} of {COUNT // 20:,} |",
        "",
        f"Slowest: {1e3 * max(seen.slowest_s, signed.slowest_s):.1f} ms of processor time (under tracemalloc). "
        f"Most memory: {seen.largest / 1e3:,.0f} kB without",
        f"the key, {signed.largest / 1e3:,.0f} kB with it, for files of 33 kB and what was added to them.",
    ]
    keep("mutated-bundles", "Mutated bundles", "make test-system PYTEST_ARGS='-k mutated_bundles'", lines)
