"""`edge-train distil` as a person types it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edge.picture_set import read_set, select
from training.cli_show import show
from training.results import make_folder
from training.terminal import follow, progress_on, room, size_of


def distil(
    pictures: Annotated[
        Path, typer.Argument(metavar="SET", help="the teachers' labels; unlabelled pictures teach too")
    ],
    teacher: Annotated[list[Path], typer.Option(help="folder that finetune wrote; may be given several times")],
    out: Annotated[Path, typer.Option("-o", "--out", help="folder for student.onnx, scores.csv, training.json")],
    groups: Annotated[str, typer.Option(help="only groups that match, as the teachers had it")] = "",
    size: Annotated[str, typer.Option(help="the student's input in pixels; the first teacher's if not given")] = "",
    backbone: Annotated[str, typer.Option(help="lite0, resnet18 or resnet10t; lite0 without --encoder")] = "",
    encoder: Annotated[Path | None, typer.Option(help="encoder.safetensors that pretrain wrote")] = None,
    epochs: Annotated[int, typer.Option(min=0, help="passes over the labelled pictures; 0 = by their number")] = 0,
    batch: Annotated[int, typer.Option(min=2, max=256, help="labelled pictures per step, and as many of all")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="same seed and threads, same student")] = 0,
    threads: Annotated[int, typer.Option(min=1, max=256, help="CPU threads")] = 2,
) -> None:
    """Teach a light student what finetuned teachers say of all pictures, labelled or not."""
    chosen = select(read_set(pictures), groups)
    teachers = [room("teachers").read_teacher(folder) for folder in teacher]
    spec = teachers[0].spec
    if size:
        width, height = size_of(size)
        spec = replace(spec, width=width, height=height)
    work = room("finetune")
    begin, pretrained = work.begin_with(backbone, encoder, spec.channels)
    settings = work.Settings(
        spec, work.Recipe(epochs or None, batch), teachers[0].folds, seed, threads, begin, pretrained
    )
    total = room("distil").steps(chosen, teachers, settings)
    make_folder(out)
    console = Console()
    with progress_on(console) as progress:
        report = room("distil").distil(chosen, teachers, settings, out, follow(progress, total))
    show(console, report, out)
