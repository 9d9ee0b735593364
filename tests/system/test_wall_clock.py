"""The wall clock jumps while parts are in the zone, or starts decades behind: the gate does not notice, and the journal
keeps the order of what happened."""

from __future__ import annotations

import itertools
from pathlib import Path

from edge.journal.rows import PartRow
from edge.records import GateOutcome
from tests.system.belts import parts_between
from tests.system.benches import PACE, Bench, Boot, bench
from tests.system.results import Table

RESULTS = Table(
    "wall-clock",
    "A wall clock that jumps, or that nobody set",
    "make test-system PYTEST_ARGS='-k wall_clock'",
    ["what", "seen"],
)
STEPS = ("+1 hour", "-3 hours", "+2 days", "-5 days", "+1 second", "-1 second")


def check(made: Bench, boot: Boot) -> list[PartRow]:
    boot.end()
    boot.unmount()
    rows = made.read()
    made.acknowledged.check(made.found / "journal")
    assert boot.check_gate(rows) > 0
    assert all(row.outcome for row in rows)
    return rows


def test_a_clock_that_jumps_moves_no_gate_and_no_record(tmp_path: Path) -> None:
    with bench(tmp_path) as made, Boot(made) as boot:
        boot.inspect()
        boot.opens(1)
        for step in STEPS:
            boot.guest.run(f"date -s '{step}'")
            boot.opens(1)
        rows = check(made, boot)
        files = sorted(path.name for path in (made.found / "journal").glob("*.sqlite"))
    born = [row.outcome.born_ns for row in rows if row.outcome]
    assert born == sorted(born)
    assert born == list(parts_between(PACE, born[0] - 1, born[-1] + 1)), "every part of the belt is on record, once"
    late = [row for row in rows if row.outcome and row.outcome.outcome is GateOutcome.LATE]
    assert not late, late
    walls = [row.outcome.ended_wall_ns for row in rows if row.outcome]
    back = sum(after < before for before, after in itertools.pairwise(walls))
    assert back >= 2, "the wall clock of the records went back with the clock"
    RESULTS.add(
        ", ".join(STEPS), f"{len(rows)} parts in a row, none missing, none late; {len(files)} files, order kept"
    )


def test_a_device_without_a_clock_goes_on_in_the_newest_file(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        with Boot(made) as boot:
            boot.inspect()
            boot.opens(1)
            before = check(made, boot)
        with Boot(made, "-rtc", "base=2001-01-01T00:00:00") as boot:
            year = int(boot.guest.run("date -s 2001-01-01 +%Y"))  # systemd does not let it be that far behind
            boot.inspect()
            boot.opens(2)
            rows = check_after(made, boot)
        files = sorted(path.name for path in (made.found / "journal").glob("*.sqlite"))
    assert [row.part_id for row in rows[: len(before)]] == [row.part_id for row in before]
    RESULTS.add(
        f"no clock: the device thinks it is {year}", f"{len(rows) - len(before)} more parts, {len(files)} file"
    )


def check_after(made: Bench, boot: Boot) -> list[PartRow]:
    """The rows of a second boot, whose monotonic times begin again, are told from the first by the line's session."""
    boot.end()
    boot.unmount()
    rows = made.read()
    made.acknowledged.check(made.found / "journal")
    newest = max(row.part_id >> 32 for row in rows)
    assert boot.check_gate([row for row in rows if row.part_id >> 32 == newest]) > 0
    return rows
