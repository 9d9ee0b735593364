"""What the installed commands begin with: a library that is not there, or Ctrl-C while they load, is no traceback."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

ROOMS = ("edge", "training", "compile", "calibration", "benchmarks")
INTERRUPTED = 130  # as shells say it of SIGINT


def edge() -> None:
    """`edge`; it tells itself which extra a device needs."""
    os.environ.setdefault(
        "OPENBLAS_NUM_THREADS", "1"
    )  # its threads spin, and nothing here is large enough for them
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


@contextmanager
def loading() -> Iterator[None]:
    """No garbage is collected meanwhile, and later not among what was made: what is imported stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _run(command: str, module: str) -> None:
    try:
        with loading():
            loaded = import_module(module)
        loaded.main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", *ROOMS):
            raise
        print(
            f"{command}: {missing} is not installed; {command} runs on a host with {sys.prefix}/bin/pip install "
            "'kenpin[host]' (in Kenpin's own folder: '.[host]')",
            file=sys.stderr,
        )
        sys.exit(78)
