"""The power of a whole device goes at random instants, KENPIN_CUTS of them, while it inspects: what was acknowledged
is on the disk, what went through the gate is on record, and each start purges before it releases."""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from edge.journal.rows import PartRow
from edge.records import Reason
from tests.peers import eventually
from tests.system.benches import MOUNT, PACE, PYTHON, Bench, Boot, bench
from tests.system.claims import check_files, check_ids, check_ring
from tests.system.results import keep

CUTS = int(os.environ.get("KENPIN_CUTS", "60"))
COMMAND = "make test-system PYTEST_ARGS='-k power_cut'"


@dataclass
class Tally:
    """What the cuts so far have shown."""

    ids: set[int] = field(default_factory=set)
    session: int = 0
    passed: int = 0
    purges: int = 0


def wait_for_an_instant(boot: Boot, dice: random.Random) -> None:
    """Any time of the start, any time of inspecting, or the moment after a part was let pass."""
    kind = dice.random()
    if kind < 0.15:
        time.sleep(dice.uniform(0, 10.0))
        return
    eventually(lambda: bool(boot.openings()), "parts are let pass", 300)
    time.sleep(dice.uniform(0, 6.0))
    if kind < 0.5:
        boot.opens()
        time.sleep(dice.uniform(0, 0.03))


def check_disk(bench: Bench, tally: Tally) -> list[PartRow]:
    """What the disk holds after a cut; the parts of the lines that ran since the last one."""
    rows = bench.read()
    journal, ring = bench.found / "journal", bench.found / "state" / "outcomes.ring"
    bench.acknowledged.check(journal)
    check_files(journal, bench.found / "state")
    session = check_ring(ring).session if ring.exists() else 0
    check_ids(rows, tally.ids, session)
    tally.ids |= {row.part_id for row in rows}
    fresh = [row for row in rows if row.part_id >> 32 > tally.session]
    tally.session = max(tally.session, session)
    return fresh


def one_cut(bench: Bench, tally: Tally, dice: random.Random) -> None:
    with Boot(bench) as boot:
        boot.inspect()
        wait_for_an_instant(boot, dice)
        boot.device.cut()
    boot.hear()
    time.sleep(2 * PACE.silence / 1_000)  # the board's watchdog
    assert bench.is_at_rest(), "the board keeps a relay up without a word"
    tally.passed += boot.check_gate(check_disk(bench, tally))
    tally.purges += bool(boot.openings())


def last_run(bench: Bench) -> list[PartRow]:
    """The device once more, to an orderly end; then each part has its outcome."""
    with Boot(bench) as boot:
        boot.guest.run(MOUNT)
        boot.guest.run(f"{PYTHON} -m edge.cli run /data/station.toml --parts 12", 180)
        boot.guest.run("umount /data")
    rows = bench.read()
    bench.acknowledged.check(bench.found / "journal")
    open_ = [row.part_id for row in rows if row.outcome is None]
    assert not open_, f"parts without an outcome: {open_[:5]}"
    return rows


def test_power_cuts_lose_and_release_nothing(tmp_path: Path) -> None:
    dice, tally = random.Random(37), Tally()
    with bench(tmp_path) as made:
        for _ in range(CUTS):
            one_cut(made, tally, dice)
        rows = last_run(made)
    lost = sum(row.outcome is not None and row.outcome.reason is Reason.LINE_LOST for row in rows)
    lines = [
        f"- {CUTS} cuts; {len(made.acknowledged.rows)} rows were acknowledged before one and found unchanged after it "
        "and all later ones; each time ext4 was clean after its own recovery, SQLite whole, the outcome ring readable",
        f"- {len(rows)} parts of {rows[-1].part_id >> 32} line starts, no id twice, each with one outcome ({lost} were "
        "lost with their line)",
        f"- {tally.passed} parts went through the open gate by the board's log, each with a committed PASS; the first "
        f"of each of {tally.purges} starts came after the purge",
    ]
    keep("power-cut", "Power cuts of a whole device", COMMAND, lines)
