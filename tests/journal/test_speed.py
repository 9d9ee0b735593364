"""What the chain costs a commit, against the same rows without it, in turns on the same disk."""

from __future__ import annotations

import sqlite3
import statistics
import time
from pathlib import Path

from edge.clock import SystemClock
from edge.journal.rows import SCHEMA, values_of
from tests.journal.records import decided, ended, opened

COMMITS, PARTS = 300, 2


def bare(folder: Path) -> sqlite3.Connection:
    """The same tables with the same settings, written without a thought."""
    file = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
    file.execute("PRAGMA journal_mode = WAL")
    file.execute("PRAGMA synchronous = FULL")
    file.executescript(SCHEMA)
    return file


def write_bare(file: sqlite3.Connection, first: int) -> None:
    file.execute("BEGIN IMMEDIATE")
    for number in range(first, first + PARTS):
        for row, record in enumerate((decided(number), ended(number))):
            table, values = values_of(record)
            stamped = (2 * number + row, "0b1f7e26-0a5e-4b0f-9a53-9f3ad3f9a7a5", 1, 2, *values, bytes(32))
            file.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(stamped))})", stamped)
    file.execute("COMMIT")


def test_a_commit_costs_little_more_than_its_rows(tmp_path: Path) -> None:
    """Medians of commits in turns, so that a busy machine slows both alike."""
    journal, file = opened(tmp_path / "journal", SystemClock()), bare(tmp_path)
    times: dict[str, list[int]] = {"journal": [], "bare": []}
    for first in range(1, COMMITS * PARTS, PARTS):
        batch = [record for number in range(first, first + PARTS) for record in (decided(number), ended(number))]
        begun_ns = time.perf_counter_ns()
        journal.commit(batch)
        between_ns = time.perf_counter_ns()
        write_bare(file, first)
        times["journal"].append(between_ns - begun_ns)
        times["bare"].append(time.perf_counter_ns() - between_ns)
    journal.close()
    file.close()
    ratio = statistics.median(times["journal"]) / statistics.median(times["bare"])
    assert ratio < 1.6, f"{ratio:.2f} times as long as the bare rows"
