"""A second reader of the journal, in the guest or on the host: says which rows are on the disk, once each.

    python -m tests.system.guest.witness JOURNAL [EVERY_MS]      `row FILE TABLE ROW DIGEST`, and `clock MONOTONIC_NS`

SQLite shows a row of a WAL to readers only after the commit's sync, so what is printed is acknowledged. Each look opens
the files anew: a reader that stayed connected would keep the WAL's index alive over the writer's death.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

Key = tuple[str, str, int]  # file, table, row


def rows_after(journal: Path, seen: dict[tuple[str, str], int]) -> Iterator[tuple[Key, str]]:
    """The rows beyond those numbers, with a digest of all their values."""
    for path in sorted(journal.glob("*.sqlite")):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for table in tables & {"decided", "outcomes", "notes"}:
                known = seen.get((path.name, table), 0)
                rows = connection.execute(
                    f"SELECT number, * FROM {table} WHERE number > ? ORDER BY number", (known,)
                )
                for row in rows:
                    yield (path.name, table, row[0]), sha256(repr(row).encode()).hexdigest()[:16]


def watch(journal: Path, every_s: float) -> None:
    """For ever."""
    seen: dict[tuple[str, str], int] = {}
    while True:
        print("clock", time.monotonic_ns())
        try:
            for (file, table, row), digest in rows_after(journal, seen):
                seen[file, table] = row
                print("row", file, table, row, digest)
        except sqlite3.Error as error:  # its writer has only begun
            print("not yet:", error)
        sys.stdout.flush()
        time.sleep(every_s)


if __name__ == "__main__":
    watch(Path(sys.argv[1]), float(sys.argv[2]) / 1_000 if len(sys.argv) > 2 else 0.02)
