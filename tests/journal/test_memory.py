"""What the writer of the journal holds in memory once thousands of parts went through it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from edge.clock import SystemClock
from tests.interned import interned
from tests.journal.records import decided, ended, opened

_GROWN_MB = 0.5
# a process of its own: that of the tests holds room that others have left
_WRITER = """
import os, sys
from pathlib import Path
from edge.clock import SystemClock
from tests.journal.records import decided, ended, opened
from tests.system.costs import memory_mb

journal = opened(Path(sys.argv[1]), SystemClock())
for first in range(0, 6_000, 20):
    if first == 1_500:
        print(memory_mb(os.getpid(), "RssAnon"))
    journal.commit([record for number in range(first, first + 20) for record in (decided(number), ended(number))])
    journal.tend()
print(memory_mb(os.getpid(), "RssAnon"))
"""


def test_memory_stays_where_it_was_after_the_first_minute(tmp_path: Path) -> None:
    words = [sys.executable, "-c", _WRITER, str(tmp_path / "journal")]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    before, after = map(float, told)
    assert after - before < _GROWN_MB, f"{before} MB after 1,500 parts, {after} MB after 6,000"


def test_a_commit_interns_nothing(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal", SystemClock())
    with interned() as found:
        for number in range(1, 20):
            journal.commit([decided(number), ended(number)])
    journal.close()
    assert found == []
