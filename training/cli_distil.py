"""`edge-train distil` and `pareto` as a person types them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from edge.errors import ConfigError
from edge.picture_set import read_set, select
from training.cli_show import show
from training.results import make_folder, write, write_json
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
    seeds: Annotated[int, typer.Option(min=1, max=20, help="cross-fit so many times: how much is chance")] = 1,
    threads: Annotated[int, typer.Option(min=1, max=256, help="CPU threads")] = 2,
) -> None:
    """Teach a light student what finetuned teachers say of all pictures, labelled or not."""
    chosen = select(read_set(pictures), groups)
    if out.resolve() in {folder.resolve() for folder in teacher}:
        raise ConfigError(f"{out} is the teacher's own folder: choose another one with -o")
    teachers = [room("teachers").read_teacher(folder) for folder in teacher]
    spec = teachers[0].spec
    if size:
        width, height = size_of(size)
        spec = replace(spec, width=width, height=height)
    work = room("finetune")
    begin, pretrained = work.begin_with(backbone, encoder, spec.channels)
    settings = work.Settings(
        spec, work.Recipe(epochs or None, batch), teachers[0].folds, seed, threads, begin, pretrained, seeds=seeds
    )
    total = room("distil").steps(chosen, teachers, settings)
    make_folder(out)
    console = Console()
    with progress_on(console) as progress:
        report = room("distil").distil(chosen, teachers, settings, out, follow(progress, total))
    show(console, report, out)


def pareto(
    pictures: Annotated[
        Path, typer.Argument(metavar="SET", help="the labelled pictures that the students learnt from")
    ],
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="folders that finetune or distil wrote")],
    out: Annotated[Path, typer.Option("-o", "--out", help="folder for pareto.json, pareto.html, pareto.png")],
    groups: Annotated[str, typer.Option(help="only groups that match, as the students had it")] = "",
    seed: Annotated[int, typer.Option(min=0, help="of the intervals")] = 0,
) -> None:
    """Compare finished students after INT8: how good, how fast here, how large; name those that nothing beats."""
    chosen = select(read_set(pictures), groups)
    work, drawn, pages = room("pareto"), room("pareto_page"), room("page")
    make_folder(out)
    console = Console()
    with progress_on(console) as progress:
        report = work.pareto(chosen, runs, seed, follow(progress, work.steps(chosen, runs)))
    write_json(out / "pareto.json", report)
    write(out / "pareto.png", drawn.png(report))
    write(out / "pareto.html", pages.render(drawn.page(report)))
    grid = drawn.grid(report)
    table = Table(title="held out, after INT8; intervals are in pareto.html")
    for name in grid.head:
        table.add_column(name, justify="left" if name in grid.head[:2] else "right")
    for row in grid.rows:
        table.add_row(*(value.partition("\n")[0] for value in row))
    console.print(table)
    for line in drawn.lead(report):
        console.print(line, soft_wrap=True)
    console.print(f"wrote pareto.json, pareto.html and pareto.png into {out}", soft_wrap=True)
