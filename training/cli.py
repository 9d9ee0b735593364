"""The command `edge-train`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from edge.errors import ConfigError, KenpinError
from edge.picture_set import GOOD, Picture, read_set, select
from edge.pixels import InputSpec
from training.cli_distil import distil, pareto
from training.cli_evidence import copies, coverage, curve, floor
from training.cli_labels import label, lock, suggest
from training.cli_pretrain import pretrain
from training.cli_report import report
from training.cli_show import show
from training.geometry import geometry
from training.results import make_folder
from training.terminal import follow, progress_on, roi_of, room, size_of

if TYPE_CHECKING:
    from training.backbones import Start

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
    size: Annotated[
        str, typer.Option(help="network input in pixels: 256, 320x128 (width x height), or auto")
    ] = "auto",
    fit: Annotated[str, typer.Option(help="stretch, or letterbox to keep the aspect ratio")] = "stretch",
    roi: Annotated[str, typer.Option(help="region of interest in the pictures: x,y,width,height")] = "",
    mono: Annotated[bool, typer.Option("--mono", help="one grey channel")] = False,
    backbone: Annotated[str, typer.Option(help="lite0, resnet18 or resnet10t; lite0 without --encoder")] = "",
    encoder: Annotated[Path | None, typer.Option(help="encoder.safetensors that pretrain wrote")] = None,
    folds: Annotated[int, typer.Option(min=2, max=20, help="held-out parts of the cross-fit")] = 4,
    epochs: Annotated[int, typer.Option(min=0, help="passes over the pictures; 0 = by their number")] = 0,
    batch: Annotated[int, typer.Option(min=2, max=256, help="pictures per step")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="same seed and threads, same student")] = 0,
    search: Annotated[
        bool, typer.Option("--search", help="for a way of training that does surely better here; thrice the time")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="cross-fit so many times: how much is chance")] = 1,
    good_only: Annotated[
        bool, typer.Option("--good-only", help="learn from good pictures alone; labelled defects only measure it")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, max=256, help="CPU threads")] = 2,
) -> None:
    """Train a student on labelled pictures; every one is also scored by a model that never saw its group."""
    chosen = select(read_set(pictures), groups)
    spec = InputSpec(*size_of("256" if size == "auto" else size), 1 if mono else 3, roi_of(roi), fit)
    work = room("finetune")
    good_only = good_only or room("pictures").without_defects(chosen)
    if good_only and search:
        raise ConfigError("--search compares ways to learn from defects: leave it out, or label some")
    begin, pretrained = work.begin_with(backbone, encoder, spec.channels)
    if size == "auto":
        shown = [picture for picture in chosen if picture.label == GOOD] if good_only else chosen
        spec = _sized(spec, shown, begin, folds, seed, threads)
    settings = work.Settings(
        spec, work.Recipe(epochs or None, batch), folds, seed, threads, begin, pretrained, search, seeds,
        good_only,
    )  # fmt: skip
    total = work.steps(chosen, settings)
    make_folder(out)
    console = Console()
    with progress_on(console) as progress:
        report = work.finetune(chosen, settings, out, follow(progress, total))
    show(console, report, out)


def _sized(
    spec: InputSpec, pictures: Sequence[Picture], begin: Start, folds: int, seed: int, threads: int
) -> InputSpec:
    """`spec` in the encoder's size, or in what masks or shape ask for, or in that with which a probe does best."""
    if begin.told:
        of_encoder = InputSpec.from_dict(begin.told["encoder"]["input"])
        return replace(spec, width=of_encoder.width, height=of_encoder.height)
    found = geometry(pictures, spec.roi)
    width, height, why = found.width, found.height, found.why
    known = [picture for picture in pictures if picture.label]
    if found.larger and {picture.label == GOOD for picture in known} == {True, False}:
        work = room("scale")
        sizes = ((width, height), *found.larger)
        with progress_on(Console()) as progress, room("computing").computing(threads):
            tick = follow(progress, work.steps(known, sizes))
            (width, height), values = work.smallest_size(
                known, spec, sizes, begin, folds, seed, lambda: tick("sizes", 1)
            )
            tick("sizes", work.steps(known, sizes[len(values) :]))
        told = ", ".join(f"{value:.3f} at {across}x{down}" for (across, down), value in values.items())
        why = f"no masks tell how small the defects are; frozen features reach an AUROC of {told}"
    print(f"input {width}x{height}: {why}")
    return replace(spec, width=width, height=height)


app.command()(distil)
app.command()(pareto)
app.command()(pretrain)
app.command()(label)
app.command()(lock)
app.command()(suggest)
app.command()(report)
app.command()(floor)
app.command()(copies)
app.command()(coverage)
app.command()(curve)


def main() -> None:
    """Run the command; an error that a person can fix is one line and its exit code."""
    try:
        app()
    except KenpinError as error:
        print(f"edge-train: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
