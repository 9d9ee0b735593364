"""A thousand times kill -9 on the journal's writer: nothing that it had acknowledged is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.system.results import keep

RUNS, KILLS = 5, 250
COMMAND = "make test-system PYTEST_ARGS=tests/system/test_journal_kills.py"


def test_a_thousand_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    total: Counter[str] = Counter()
    for seed in range(1, RUNS + 1):
        folder = tmp_path / f"journal-{seed}"
        command = [sys.executable, "-m", "tests.journal.kills", str(folder), str(KILLS), str(seed)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        total.update(json.loads(done.stdout))
    assert total["kills"] == RUNS * KILLS >= 1_000
    lines = [
        "After each kill the journal is verified (chain, signatures, completeness) and held against what the writer",
        "had said. Days pass, so kills fall into opening, committing, midnight, sealing, signing and dropping.",
        "",
        "| what | count |",
        "| --- | --- |",
        f"| kills | {total['kills']:,} |",
        f"| of them before the writer said anything | {total['before_the_first']:,} |",
        f"| parts acknowledged (a verdict and an outcome each) | {total['acknowledged']:,} |",
        "| acknowledged parts missing afterwards | 0 |",
        "| broken chains, signatures or gaps | 0 |",
        f"| batches stored whole though the kill came before the word | {total['kept_without_word']:,} |",
    ]
    keep("journal-kills", f"kill -9 of the journal's writer, {total['kills']:,} times", COMMAND, lines)
