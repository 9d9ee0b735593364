"""A million parts on the conveyor in virtual time, under random faults; KENPIN_SEED chooses another million."""

from __future__ import annotations

import os
import time

from tests.conveyor.soak import soak, told
from tests.system.results import keep

PARTS = 1_000_000
SEED = int(os.environ.get("KENPIN_SEED", "1"))


def test_a_million_parts_no_unproven_one_passes_none_is_hit_for_another_and_each_ends_once() -> None:
    began = time.monotonic()
    total = soak(PARTS, SEED, processes=2)
    lines = told(total, SEED, time.monotonic() - began)
    print("\n".join(lines))
    assert not total.violations, "\n".join([*total.violations, *total.scripts])
    assert total.items >= PARTS
    command = f"KENPIN_SEED={SEED} make soak"
    keep("conveyor", f"{PARTS:,} parts under random faults in virtual time", command, lines)
