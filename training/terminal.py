"""What the commands of `edge-train` have in common: sizes and regions as text, late imports, progress."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from edge.errors import ConfigError
from training.process import settle


def room(name: str) -> ModuleType:
    """The module training.`name`, imported late: torch takes seconds, and a wrong command line is told before."""
    settle()
    try:
        return import_module(f"training.{name}")
    except ModuleNotFoundError as error:
        raise ConfigError(f"training needs {error.name}: {sys.prefix}/bin/pip install 'kenpin[host]'") from error


def size_of(text: str) -> tuple[int, int]:
    """Width and height in pixels, of "256" or "320x128"."""
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    if match is None:
        raise ConfigError(f"--size {text!r}: write 256, or 320x128 for width x height")
    return int(match[1]), int(match[2] or match[1])


def roi_of(text: str) -> tuple[int, int, int, int] | None:
    """x, y, width and height in pixels, of "100,40,640,480"; None for an empty text."""
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,5}),(\d{1,5}),(\d{1,5}),(\d{1,5})", text)
    x, y, width, height = map(int, match.groups()) if match else (0, 0, 0, 0)
    if not width or not height:
        raise ConfigError(f"--roi {text!r}: write x,y,width,height in pixels of the pictures, e.g. 100,40,640,480")
    return x, y, width, height


def progress_on(console: Console) -> Progress:
    """A bar with the time that is left."""
    return Progress(
        TextColumn("{task.description:14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(), console=console,
    )  # fmt: skip


def follow(progress: Progress, total: int) -> Callable[[str, int], None]:
    """What moves the bar; where there is no terminal, each part of the work is one line."""
    task = progress.add_task("", total=total)
    told = ""

    def tick(what: str, done: int) -> None:
        nonlocal told
        progress.update(task, description=what, advance=done)
        if what != told and not progress.console.is_terminal:
            progress.console.print(what)
        told = what

    return tick
