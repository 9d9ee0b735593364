"""A process that commits verdicts and outcomes and says which ones are durable, until it is killed.

    python -m tests.journal.writer FOLDER FIRST BATCH HOURS

Numbers count from FIRST. After each batch, whose last number stands on a line of its own, HOURS pass.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from edge.clock import SECOND, ManualClock
from tests.journal.records import SMALL, decided, ended, opened

HOUR = 3_600 * SECOND


def main(folder: Path, first: int, batch: int, hours: int) -> None:
    clock = ManualClock(wall_ns=1_700_000_000 * SECOND + first * hours * HOUR)
    journal = opened(folder, clock, replace(SMALL, days=3_650))
    for start in range(first, 10**9, batch):
        numbers = range(start, start + batch)
        journal.commit([record(number) for number in numbers for record in (decided, ended)])
        print(numbers[-1], flush=True)
        clock.advance(batch * hours * HOUR)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(word) for word in sys.argv[2:]))
