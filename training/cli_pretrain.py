"""`edge-train pretrain` as a person types it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from edge.clock import SECOND, SystemClock
from edge.errors import ConfigError
from edge.pixels import InputSpec
from training.results import make_folder
from training.terminal import follow, progress_on, roi_of, room, size_of

if TYPE_CHECKING:
    from training.pretrain import Progress

USUAL_TERMS = "mask,contrast,dense"  # training.pretext.USUAL, which takes torch to read
TIMED = 5  # steps after which the time that is left is known


def pretrain(
    pool: Annotated[Path, typer.Argument(metavar="POOL", help="folder of pictures; labels are not looked at")],
    out: Annotated[Path, typer.Option("-o", "--out", help="folder for encoder.safetensors and pretrain.json")],
    leave_out: Annotated[
        list[Path] | None, typer.Option(help="never use the pictures and groups of this set: the acceptance set")
    ] = None,
    leave_groups: Annotated[str, typer.Option(help="never use groups that match, e.g. 'pos1*,pos03'")] = "",
    backbone: Annotated[str, typer.Option(help="lite0, resnet18 or resnet10t")] = "lite0",
    scratch: Annotated[bool, typer.Option("--scratch", help="begin with random weights")] = False,
    size: Annotated[str, typer.Option(help="network input in pixels: 128 or 320x128 (width x height)")] = "128",
    fit: Annotated[str, typer.Option(help="stretch, or letterbox to keep the aspect ratio")] = "stretch",
    roi: Annotated[str, typer.Option(help="region of interest in the pictures: x,y,width,height")] = "",
    mono: Annotated[bool, typer.Option("--mono", help="one grey channel")] = False,
    terms: Annotated[
        str, typer.Option(help="what is learnt from: mask, contrast, dense, synthetic; weights by contrast=0.5")
    ] = USUAL_TERMS,
    passes: Annotated[int, typer.Option(min=0, help="over the pictures; 0 = by their number")] = 0,
    batch: Annotated[int, typer.Option(min=2, max=4096, help="pictures per step and shard")] = 32,
    shards: Annotated[int, typer.Option(min=0, help="parts of a step; 0 = one for each process")] = 0,
    skip_unreadable: Annotated[bool, typer.Option("--skip-unreadable", help="leave out broken pictures")] = False,
    precision: Annotated[str, typer.Option(help="32, bf16, or auto: bf16 where it is faster")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="same seed, threads and shards, same encoder")] = 0,
    threads: Annotated[int, typer.Option(min=1, max=256, help="CPU threads of each process")] = 2,
    checkpoint: Annotated[float, typer.Option(min=0, help="seconds between checkpoints")] = 60.0,
) -> None:
    """Adapt a backbone to unlabelled pictures; finetune --encoder begins with it. Killed, it resumes."""
    spec = InputSpec(*size_of(size), 1 if mono else 3, roi_of(roi), fit)
    chosen = _terms(terms)
    gathered = room("pool").gather(pool, leave_out or [], leave_groups)
    run = room("pretrain_run")
    work = room("pretrain")
    begin = room("backbones").Start(backbone, public=False) if scratch else room("backbones").start(backbone)
    precision = run.precision_of(precision)
    fabric = run.launch(precision)
    if fabric.is_global_zero:
        make_folder(out)
    recipe = work.Recipe(passes or None, batch, shards or fabric.world_size, chosen)
    settings = work.Settings(spec, recipe, begin, seed, checkpoint, precision)
    console = Console(quiet=not fabric.is_global_zero)
    said = f", {gathered.left_out} left out" if gathered.left_out else ""
    said += f", {gathered.repeated} repeated" if gathered.repeated else ""
    console.print(f"{len(gathered.paths)} pictures{said}; {backbone} from {begin.to_dict()['weights']} weights")
    with progress_on(console) as progress:
        bar = follow(progress, len(gathered.paths) + recipe.steps(len(gathered.paths)))
        cached = run.cache(fabric, gathered, spec, out, skip_unreadable, lambda: bar("read", 1))
        if cached.left_out:
            console.print(f"{cached.left_out} more left out: the same pixels in other files")
        tell = _teller(console, bar)
        report = run.pretrain(cached, settings, out, fabric, threads, tell)
    if report["skipped"]:
        console.print(f"left out as unreadable: {len(report['skipped'])} pictures, named in pretrain.json")
    encoder = out / "encoder.safetensors"
    console.print(f"encoder: {encoder}; next: edge-train curve SET --encoder {encoder}", soft_wrap=True)


def _terms(text: str) -> tuple[tuple[str, float], ...]:
    """Names and weights of "mask,contrast=0.5"."""
    known = room("pretext").TERMS
    chosen: dict[str, float] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\w+)\s*(?:=\s*(\d+\.?\d*|\.\d+))?\s*", part)
        if match is None or match[1] not in known or match[1] in chosen:
            raise ConfigError(
                f"--terms {text!r}: write some of {', '.join(known)} once each, like mask,contrast=0.5"
            )
        weight = known[match[1]] if match[2] is None else float(match[2])
        if weight:
            chosen[match[1]] = weight
    if not chosen:
        raise ConfigError(f"--terms {text!r} leaves nothing to learn from: give one of them a weight")
    return tuple(chosen.items())


def _teller(console: Console, bar: Callable[[str, int], None]) -> Callable[[Progress], None]:
    """Moves the bar; says how long it will take after a few steps, and the losses at every tenth of the way."""
    clock = SystemClock()
    marks: list[tuple[int, int]] = []

    def tell(done: Progress) -> None:
        """Called at every step; the first one of this run starts the clock."""
        if not marks:
            marks.append((clock.now_ns(), done.step))
            bar("pretrain", done.step)
            return
        bar("pretrain", 1)
        since, first = marks[0]
        if done.step == first + TIMED < done.steps:
            left = (clock.now_ns() - since) / TIMED * (done.steps - done.step) / SECOND
            console.print(f"{done.steps - done.step} steps, about {_minutes(left)}")
        if done.step * 10 // done.steps > (done.step - 1) * 10 // done.steps:
            told = ", ".join(f"{name} {loss:.3f}" for name, loss in done.losses.items())
            console.print(f"step {done.step} of {done.steps}: {told}")

    return tell


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
