"""A process that does with a journal what it is told on its standard input, and answers each line with one.

python -m tests.journal.clerk FOLDER

commit FIRST COUNT    verdicts, outcomes and a note for these parts: ok, or what the journal says against it
day                   a day passes
tend | close | open
"""

from __future__ import annotations

import sys
from pathlib import Path

from edge.clock import SECOND, ManualClock
from edge.errors import JournalError
from edge.journal.events import Journal
from edge.journal.retention import Keep
from edge.journal.rows import Note, Record
from tests.journal.records import decided, ended, opened

START_NS = 1_790_337_600 * SECOND


class Clerk:
    """The journal with what it was told and has not acknowledged yet; that is told again first, as the same objects."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clock = ManualClock(wall_ns=START_NS)
        self._journal: Journal | None = None
        self._waiting: list[Record] = []

    def do(self, words: list[str]) -> str:
        try:
            return str(getattr(self, "_" + words[0])(*map(int, words[1:])) or "ok")
        except JournalError as error:
            return str(error).replace("\n", " ")

    def _open(self, reserve_mb: int = 0, days: int = 3_650) -> None:
        self._journal = opened(self._folder, self._clock, Keep(days, 2_000, reserve_mb))

    def _commit(self, first: int, count: int) -> str:
        for number in range(first, first + count):
            self._waiting += [decided(number), ended(number), Note(number, "test", f"part {number}")]
        assert self._journal is not None
        ignored = self._journal.commit(self._waiting)
        self._waiting = []
        return f"ignored {len(ignored)}" if ignored else "ok"

    def _day(self) -> None:
        self._clock.advance(86_400 * SECOND)

    def _tend(self) -> None:
        assert self._journal is not None
        self._clock.advance(20 * SECOND)
        self._journal.tend()

    def _shortage(self) -> str:
        assert self._journal is not None
        return self._journal.shortage

    def _close(self) -> None:
        assert self._journal is not None
        self._journal.close()


def main(folder: Path) -> None:
    clerk = Clerk(folder)
    for line in sys.stdin:
        print(clerk.do(line.split()), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
