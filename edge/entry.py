"""What the installed commands begin with: a library that is not there, or Ctrl-C while they load, is no traceback."""

from __future__ import annotations

import sys
from importlib import import_module

ROOMS = ("edge", "training", "compile", "calibration", "benchmarks")
INTERRUPTED = 130  # as shells say it of SIGINT


def edge() -> None:
    """`edge`; it tells itself which extra a device needs."""
    _run("edge", "edge.cli")


def train() -> None:
    """`edge-train`."""
    _run("edge-train", "training.cli")


def calibrate() -> None:
    """`edge-calibrate`."""
    _run("edge-calibrate", "calibration.cli")


def build() -> None:
    """`edge-compile`."""
    _run("edge-compile", "compile.cli")


def bench() -> None:
    """`edge-bench`."""
    _run("edge-bench", "benchmarks.cli")


def _run(command: str, module: str) -> None:
    try:
        import_module(module).main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", *ROOMS):
            raise
        print(
            f"{command}: {missing} is not installed; {command} runs on a host with pip install 'kenpin[host]' "
            "(in Kenpin's own folder: pip install '.[host]')",
            file=sys.stderr,
        )
        sys.exit(78)
