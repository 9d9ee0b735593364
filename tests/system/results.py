"""Keeps what a long test measured: one Markdown file in docs/results with command, commit, date and machine."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from edge.report import host

ROOT = Path(__file__).parents[2]


def commit() -> str:
    """The short hash of what is checked out, marked when files other than the results differ from it."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/results")
    return _git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True
    ).stdout.strip()


def keep(name: str, title: str, command: str, lines: Sequence[str]) -> Path:
    """Write docs/results/NAME.md anew."""
    machine = host()
    versions = ", ".join(f"{library} {version}" for library, version in machine["versions"].items())
    text = [
        f"# {title}",
        "",
        f"- command: `{command}`",
        f"- commit {commit()}, {datetime.now(timezone.utc):%Y-%m-%d}",
        f"- {machine['cpu']}, {machine['cores']} cores, {' '.join(machine['flags'])}; kernel {machine['kernel']}, "
        f"Python {machine['python']}; {versions}",
        "",
        *lines,
        "",
    ]
    path = ROOT / "docs" / "results" / f"{name}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(text))
    return path


class Table:
    """A result that several tests fill, one line each; the file is written anew with each line."""

    def __init__(self, name: str, title: str, command: str, columns: Sequence[str]) -> None:
        self._keep = (name, title, command)
        self._lines = ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]

    def add(self, *cells: object) -> None:
        """One more line."""
        self._lines.append("| " + " | ".join(map(str, cells)) + " |")
        keep(*self._keep, self._lines)
