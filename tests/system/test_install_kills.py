"""Killed at 200 random instants, `edge install` and `edge rollback` always leave the old bundle or the new."""

from __future__ import annotations

import os
from pathlib import Path

from tests.install_kills import kill_again_and_again
from tests.system.results import keep

KILLS = int(os.environ.get("KENPIN_INSTALL_KILLS", "200"))
SEED = int(os.environ.get("KENPIN_SEED", "1"))


def test_install_kills_leave_the_old_bundle_or_the_new(tmp_path: Path) -> None:
    counts = kill_again_and_again(tmp_path, KILLS, SEED)
    assert sum(counts.values()) == KILLS
    lines = [
        f"Seed {SEED}. Each command is a process of its own, forked after its imports so that kills fall into its",
        "work, and gets SIGKILL at a random instant of the time that it usually takes. After each kill the active",
        "bundle is opened, verified and read to its last picture; it must be that of before or that of after.",
        "",
        "| command and what it had done | kills |",
        "| --- | --- |",
        *(f"| {what} | {count} |" for what, count in sorted(counts.items())),
        f"| the station opened neither | 0 of {KILLS} |",
    ]
    keep(
        "install-kills",
        "Kills of installing and rolling back",
        "make test-system PYTEST_ARGS='-k install_kills'",
        lines,
    )
