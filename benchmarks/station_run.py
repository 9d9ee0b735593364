"""Runs a real station by its own command and hands back its report."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from edge.errors import KenpinError
from edge.report import Report


class StationError(KenpinError):
    """The station ended without a report; it has said why itself. `exit_code` is the station's own."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("the station ended without a report; see its message above")
        self.exit_code = exit_code


def run_station(station: Path, parts: int) -> Report:
    """Run `edge run` in a process of its own until `parts` parts ended, and return its report.

    The station's messages go to stderr as they come; its table is left out. SIGTERM and SIGINT stop it as they
    would stop `edge run`. Raises StationError where it wrote no report.
    """
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        file = Path(folder) / "report.json"
        command = [
            sys.executable,
            "-m",
            "edge.cli",
            "run",
            str(station),
            "--parts",
            str(parts),
            "--exit-on-stop",
            "--report",
            str(file),
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process, _stopping_with_us(process):
            code = process.wait()
        if not file.is_file():
            raise StationError(code if 0 < code < 128 else 1)
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return Report(**values)


@contextmanager
def _stopping_with_us(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Pass SIGTERM and SIGINT on: the station finishes the parts in its zone and reports."""

    def forward(number: int, _frame: FrameType | None) -> None:
        if process.poll() is None:
            process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
