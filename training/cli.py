"""The command `edge-train`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from edge.errors import ConfigError, KenpinError
from edge.picture_set import read_set, select
from edge.pixels import InputSpec
from training.process import settle

if TYPE_CHECKING:
    from training.measures import Separation

ROWS = 20  # groups in the table

app = typer.Typer(
    help="Labelled pictures -> student.onnx.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip


@app.callback()
def commands() -> None:
    """Learn on the host: nothing here runs on a device."""


@app.command()
def finetune(
    pictures: Annotated[Path, typer.Argument(metavar="SET", help="folder with labels.csv, or with ok/ and ng/")],
    out: Annotated[Path, typer.Option("-o", "--out", help="folder for student.onnx, scores.csv, training.json")],
    groups: Annotated[str, typer.Option(help="only groups that match, e.g. 'pos0*,pos11'")] = "",
    size: Annotated[str, typer.Option(help="network input in pixels: 256 or 320x128 (width x height)")] = "256",
    fit: Annotated[str, typer.Option(help="stretch, or letterbox to keep the aspect ratio")] = "stretch",
    roi: Annotated[str, typer.Option(help="region of interest in the pictures: x,y,width,height")] = "",
    mono: Annotated[bool, typer.Option("--mono", help="one grey channel")] = False,
    folds: Annotated[int, typer.Option(min=2, max=20, help="held-out parts of the cross-fit")] = 4,
    epochs: Annotated[int, typer.Option(min=0, help="passes over the pictures; 0 = by their number")] = 0,
    batch: Annotated[int, typer.Option(min=2, max=256, help="pictures per step")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="same seed and threads, same student")] = 0,
    threads: Annotated[int, typer.Option(min=1, max=256, help="CPU threads")] = 2,
) -> None:
    """Train a student on labelled pictures; every one is also scored by a model that never saw its group."""
    spec = InputSpec(*_size(size), 1 if mono else 3, _roi(roi), fit)
    chosen = select(read_set(pictures), groups)
    room = _room()
    settings = room.Settings(spec, room.Recipe(epochs or None, batch), folds, seed, threads)
    total = room.steps(chosen, settings)
    room.make_folder(out)
    console = Console()
    with _progress(console) as progress:
        report = room.finetune(chosen, settings, out, _follow(progress, total))
    console.print(_table(*room.separations(report)))
    console.print(f"student: {out / 'student.onnx'}; next: edge-calibrate threshold {out / 'scores.csv'}")


def _room() -> ModuleType:
    """training.finetune, imported late: torch takes seconds, and a wrong command line is told before."""
    settle()
    try:
        return import_module("training.finetune")
    except ModuleNotFoundError as error:
        raise ConfigError(f"training needs {error.name}: pip install 'kenpin[host]'") from error


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    if match is None:
        raise ConfigError(f"--size {text!r}: write 256, or 320x128 for width x height")
    return int(match[1]), int(match[2] or match[1])


def _roi(text: str) -> tuple[int, int, int, int] | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,5}),(\d{1,5}),(\d{1,5}),(\d{1,5})", text)
    if match is None:
        raise ConfigError(f"--roi {text!r}: write x,y,width,height in pixels of the pictures, e.g. 100,40,640,480")
    return int(match[1]), int(match[2]), int(match[3]), int(match[4])


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(), console=console,
    )  # fmt: skip


def _follow(progress: Progress, total: int) -> Callable[[str, int], None]:
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


def _table(overall: Separation, groups: Mapping[str, Separation]) -> Table:
    """Overall, then the groups that hold both kinds, hardest first."""
    table = Table(title="held out: scored by models that did not see the group")
    for name in ("group", "ok", "defects", "AUROC", "average precision"):
        table.add_column(name, justify="left" if name == "group" else "right")
    mixed = sorted((value.auroc, name) for name, value in groups.items() if value.auroc is not None)
    _row(table, "all", overall)
    for _, name in mixed[:ROWS]:
        _row(table, name, groups[name])
    if len(mixed) > ROWS:
        table.caption = f"{len(mixed) - ROWS} easier groups are in training.json"
    return table


def _row(table: Table, name: str, value: Separation) -> None:
    table.add_row(
        name, str(value.goods), str(value.defects), f"{value.auroc:.4f}", f"{value.average_precision:.4f}"
    )


def main() -> None:
    """Run the command; an error that a person can fix is one line and its exit code."""
    try:
        app()
    except KenpinError as error:
        print(f"edge-train: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
