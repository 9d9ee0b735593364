"""A process that commits outcomes and says which ones are durable, until it is killed.

    python -m tests.journal.writer FOLDER [FIRST [BATCH]]

Acknowledges each batch with its last number on a line of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edge.clock import SystemClock
from edge.journal.events import Journal
from tests.journal.records import decided, ended


def main(folder: Path, first: int, batch: int) -> None:
    journal = Journal(folder, SystemClock())
    for start in range(first, 10**9, batch):
        numbers = range(start, start + batch)
        journal.commit([record(number) for number in numbers for record in (decided, ended)])
        print(numbers[-1], flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int((sys.argv + ["1"] * 2)[2]), int((sys.argv + ["1"] * 3)[3]))
