"""Nothing of a mutated bundle is parsed before its signature was found right, and its refusal costs little."""

from __future__ import annotations

import os
import random
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from edge import bundle as bundle_file
from edge.bundle import KeyRing, key_id, read_bundle
from edge.errors import BundleError
from edge.install import install
from tests.bundles import KEY, a_bundle
from tests.mutations import EVERY, HEADER, signed, with_huge_claims
from tests.test_install import MAY_2026, ManualClock, a_station, store_key

SEED = int(os.environ.get("KENPIN_SEED", "1"))
COUNT = int(os.environ.get("KENPIN_MUTATED_BUNDLES", "400"))
KEYS = KeyRing({key_id(KEY.public_key()): KEY.public_key()})
MODEL = random.Random(7).randbytes(30_000)
MOST_S = 1.0  # of processor time for one of them; they take some milliseconds
MOST_FOLD = 6  # of the file's size in memory
SPARE = 1_000_000


class Seen:
    """What reading mutated bundles took: how many of each sort were refused, the longest time and the most memory."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self.whole = 0
        self.slowest_s = 0.0
        self.largest = 0

    def read(self, path: Path, sort: str) -> None:
        """Read one; it must be refused in one sentence that says what to do, or (signed anew) be whole."""
        tracemalloc.reset_peak()
        before, began_s = tracemalloc.get_traced_memory()[0], time.thread_time()
        try:
            read_bundle(path, KEYS)
        except BundleError as error:
            assert ";" in str(error) and "\n" not in str(error), (SEED, sort, str(error))
            self.refused[sort] += 1
        else:
            self.whole += 1
        self.slowest_s = max(self.slowest_s, time.thread_time() - began_s)
        used = tracemalloc.get_traced_memory()[1] - before
        assert used < MOST_FOLD * path.stat().st_size + SPARE, (SEED, sort, used)
        self.largest = max(self.largest, used)


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


def _refuse_to_parse(*_args, **_kwargs):
    raise AssertionError(f"the body was parsed before its signature was verified (seed {SEED})")


def without_the_key(folder: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Read `count` bundles that were damaged or forged; none may be parsed."""
    print(f"seed {SEED}")
    rng, seen = random.Random(SEED), Seen()
    path = a_bundle(folder / "x.bundle", model=MODEL)
    whole = path.read_bytes()
    for place in ("zipfile", "from_json", "csv"):
        monkeypatch.setattr(bundle_file, place, _refuse_to_parse)
    for number in range(count):
        sort = EVERY[number % len(EVERY)]
        changed = sort(rng, whole)
        if changed == whole:  # a block may have been overwritten by its like
            changed = whole + b"\0"
        path.write_bytes(changed)
        seen.read(path, sort.__name__)
    assert seen.whole == 0 and seen.refused.total() == count, f"seed {SEED}"
    assert seen.slowest_s < MOST_S, f"seed {SEED}"
    return seen


def with_the_key(folder: Path, count: int) -> Seen:
    """Read `count` bundles whose zip claims what no file has, signed by somebody who has the key."""
    rng, seen = random.Random(SEED), Seen()
    path = a_bundle(folder / "y.bundle", model=MODEL)
    body = path.read_bytes()[HEADER:]
    for _ in range(count):
        path.write_bytes(signed(with_huge_claims(rng, body), KEY))
        seen.read(path, "huge claims, signed")
    assert seen.slowest_s < MOST_S, f"seed {SEED}"
    return seen


def older_versions(folder: Path, count: int) -> int:
    """Install `count` rightly signed bundles of lower versions than the installed one; how many were refused."""
    store_key(folder / "keys")
    station, rng = a_station(folder), random.Random(SEED)
    held = folder / "state" / "bundles" / "cap-a"
    held.mkdir(parents=True)
    newest = a_bundle(held / "900.bundle", version=900, model=MODEL).read_bytes()
    (held / "active").symlink_to("900.bundle")
    refused = 0
    for _ in range(count):
        path = a_bundle(folder / "old.bundle", version=rng.randint(1, 899), model=MODEL)
        with pytest.raises(BundleError, match="version 900 is installed"):
            install(path, station, ManualClock(wall_ns=MAY_2026))
        refused += 1
    assert (held / "active").readlink() == Path("900.bundle")
    assert [name.read_bytes() == newest for name in held.glob("*.bundle")] == [True]
    return refused


def test_a_mutated_bundle_is_refused_before_anything_is_parsed(tmp_path, traced, monkeypatch):
    without_the_key(tmp_path, COUNT, monkeypatch)


def test_huge_claims_that_were_signed_cost_no_memory(tmp_path, traced):
    with_the_key(tmp_path, COUNT // 4)


def test_an_old_bundle_is_refused_however_well_it_is_signed(tmp_path):
    assert older_versions(tmp_path, COUNT // 20) == COUNT // 20


def test_a_file_over_the_limit_is_refused_without_being_read(tmp_path, traced):
    path = tmp_path / "sparse.bundle"
    path.write_bytes(a_bundle(tmp_path / "x.bundle").read_bytes())
    os.truncate(path, bundle_file.MAX_BYTES + 1)
    with pytest.raises(BundleError, match="over the limit"):
        read_bundle(path, KEYS)
    assert tracemalloc.get_traced_memory()[1] < SPARE
