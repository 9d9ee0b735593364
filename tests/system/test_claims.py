"""The checks of claims.py fail when they should: each is shown what it must not let through."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge.clock import MS, ManualClock
from edge.journal.rows import Decided, PartRow
from edge.line.zone import Zone
from edge.records import GateEvent, GateOutcome, Kind, Part, Reason, Verdict
from tests.journal.records import decided, ended, opened, part_id
from tests.line.lines import Levels
from tests.system.claims import Acknowledged, Gate, check_ids
from tests.system.guest.witness import rows_after

ZONE = Zone(
    trigger_to_gate=400 * MS,
    decide_before=80 * MS,
    lead=10 * MS,
    pulse=60 * MS,
    pitch=300 * MS,
    tolerance=20 * MS,
    rest_rejects=True,
)
BORN_NS = 1_000 * MS
MIDDLE_NS = BORN_NS + (400 - 10 + 30) * MS
OPEN: Levels = [(MIDDLE_NS - 30 * MS, True), (MIDDLE_NS + 30 * MS, False)]


def row(kind: Kind, outcome: GateOutcome, part_id: int = 1 << 32 | 1) -> PartRow:
    part = Part(part_id, BORN_NS, 0, BORN_NS, 0, 0)
    verdict = Verdict(part_id, kind, Reason.NONE, 0.1, 0.5, "", 0)
    event = GateEvent(1, part_id, BORN_NS, 0, 0, 0, 0, 0, 0, 0, outcome, kind, Reason.NONE)
    return PartRow(part_id, Decided(part, verdict), event)


def gate(levels: Levels, permit: Levels = ()) -> Gate:
    return Gate(ZONE, levels, list(permit))


def test_a_part_that_passed_without_a_committed_pass_is_found() -> None:
    passing = row(Kind.PASS, GateOutcome.RELEASED)
    assert gate(OPEN).check_nothing_passed_unrecorded([passing], [BORN_NS]) == 1
    assert gate([]).check_nothing_passed_unrecorded([], [BORN_NS]) == 0
    with pytest.raises(AssertionError, match="1 of 1 parts passed unrecorded"):
        gate(OPEN).check_nothing_passed_unrecorded([], [BORN_NS])
    with pytest.raises(AssertionError, match="unrecorded"):
        gate(OPEN).check_nothing_passed_unrecorded([row(Kind.REJECT, GateOutcome.FIRED)], [BORN_NS])


def test_an_outcome_that_the_gate_belies_is_found() -> None:
    gate(OPEN).check_outcomes([row(Kind.PASS, GateOutcome.RELEASED).outcome])
    gate([]).check_outcomes([row(Kind.REJECT, GateOutcome.FIRED).outcome])
    with pytest.raises(AssertionError, match="was let pass"):
        gate(OPEN).check_outcomes([row(Kind.REJECT, GateOutcome.FIRED).outcome])
    with pytest.raises(AssertionError, match="was hit"):
        gate([]).check_outcomes([row(Kind.PASS, GateOutcome.RELEASED).outcome])


def test_a_gate_that_opens_before_the_purge_is_over_is_found() -> None:
    permit_ns = OPEN[0][0] - ZONE.transit
    gate(OPEN, [(permit_ns - MS, True)]).check_purged(0)
    with pytest.raises(AssertionError, match="a purge takes"):
        gate(OPEN, [(permit_ns + MS, True)]).check_purged(0)
    with pytest.raises(AssertionError, match="before the belt was allowed"):
        gate(OPEN).check_purged(0)


def test_an_id_that_comes_back_is_found() -> None:
    known = {2 << 32 | 1}
    check_ids([row(Kind.PASS, GateOutcome.RELEASED, 3 << 32 | 1)], known, session=3)
    with pytest.raises(AssertionError, match="earlier lines"):
        check_ids([row(Kind.PASS, GateOutcome.RELEASED, 1 << 32 | 7)], known, session=3)
    with pytest.raises(AssertionError, match="does not know"):
        check_ids([row(Kind.PASS, GateOutcome.RELEASED, 4 << 32 | 1)], known, session=3)


def test_a_row_that_is_lost_or_changed_is_found(tmp_path: Path) -> None:
    journal = opened(tmp_path, ManualClock())
    journal.commit([decided(1), ended(1), decided(2)])
    journal.close()
    heard = Acknowledged()
    for (file, table, number), digest in rows_after(tmp_path, {}):
        heard.hear(f"row {file} {table} {number} {digest}", 0)
    assert len(heard.rows) == 3
    heard.check(tmp_path)
    (file,) = tmp_path.glob("*.sqlite")
    for change in (f"UPDATE decided SET score = 0.75 WHERE part_id = {part_id(2)}", "DELETE FROM outcomes"):
        connection = sqlite3.connect(file)
        with connection:
            connection.execute(change)
        connection.close()
        with pytest.raises(AssertionError, match="of 3 acknowledged rows are lost or changed"):
            heard.check(tmp_path)
