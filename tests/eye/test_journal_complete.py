"""Whatever is killed, the journal of a real station lacks nothing without a reason that it tells."""

from __future__ import annotations

import os
import random
import signal
from contextlib import suppress
from pathlib import Path

from tests.eye.stations import BELT, BELT_TRIGGER, Bench, EdgeProcess, parts_reach, relay_bench


def verified(bench: Bench) -> str:
    with EdgeProcess("journal", "verify", bench.file) as asked:
        assert asked.ends() == 0, asked.output
    return asked.output


def kill_line(bench: Bench) -> None:
    with suppress(ProcessLookupError, FileNotFoundError, ValueError):
        os.kill(int((bench.folder / "state" / "line.lock").read_text()), signal.SIGKILL)


def test_a_journal_is_intact_after_its_processes_were_killed_again_and_again(tmp_path: Path) -> None:
    """The eye, the line, or both at once; the last run ends in order."""
    rng = random.Random(5)
    with relay_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER) as bench:
        for victim in ("eye", "line", "both", "eye"):
            with EdgeProcess("run", bench.file) as edge:
                parts_reach(
                    bench, len(bench.rows() if (tmp_path / "journal").exists() else []) + rng.randint(8, 14)
                )
                if victim != "eye":
                    kill_line(bench)
                if victim != "line":
                    edge.signal(signal.SIGKILL)
                    edge.ends()
                else:
                    parts_reach(bench, len(bench.rows()) + 6)
                    edge.signal(signal.SIGTERM)
                    assert edge.ends() == 0, edge.output
            verified(bench)
        with EdgeProcess("run", bench.file, "--parts", "8") as edge:
            assert edge.ends() == 0, edge.output
        told = verified(bench)
        assert "lives of the line" in told and told.rstrip().endswith("intact")
        assert all(row.outcome is not None for row in bench.rows())
