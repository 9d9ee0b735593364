"""The commands of `edge-train` around a person's labels: label, lock, suggest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from calibration.judging import judge_pictures
from calibration.threshold import read_threshold
from edge.bounds import upper_bound
from edge.errors import ConfigError
from edge.picture_set import GOOD, Picture, select
from edge.pixels import InputSpec
from training.suggestions import read_scores, write_suggestions
from training.terminal import follow, progress_on, roi_of, room, size_of


def label(
    pictures: Annotated[Path, typer.Argument(metavar="SET", help="folder of pictures, with or without labels.csv")],
    order: Annotated[Path | None, typer.Option(help="suggest.csv of edge-train suggest: these first")] = None,
    classes: Annotated[str, typer.Option(help="defect classes by key 1, 2, ..., e.g. 'scratch,dent'")] = "",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="of the page; 0 = any free one")] = 8_765,
) -> None:
    """Label pictures on a page by keyboard, on this machine alone; every key is saved at once."""
    work = room("labelling.serve")
    console = Console()

    def say(address: str) -> None:
        console.print(f"open {address} and press Ctrl-C here when done", soft_wrap=True)

    names = [name.strip() for name in classes.split(",") if name.strip()]
    cost = work.label_set(pictures, order, names, port, say)
    console.print(
        f"labelled so far: {cost.pictures} pictures in {cost.minutes:.1f} minutes; next: edge-train finetune",
        soft_wrap=True,
    )


def lock(
    pictures: Annotated[Path, typer.Argument(metavar="SET", help="folder with labels.csv")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="the acceptance set; groups are added where it is there")
    ],
    groups: Annotated[str, typer.Option(help="the lots to move, e.g. 'lot-07,lot-1*'")],
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="of the bound that it can prove")] = 0.95,
) -> None:
    """Move whole groups of a set into the acceptance set, which is never learnt from and judges every bundle."""
    locked, stay = room("locking").lock(pictures, out, groups)
    defects = sum(one.label not in ("", GOOD) for one in locked)
    least = upper_bound(0, defects, confidence)
    Console().print(
        f"{out}: {len(locked)} pictures in {len({one.group for one in locked})} groups, {defects} defects; "
        f"with none missed they prove that at most {100 * least:.1f} % escape ({100 * confidence:g} % confidence). "
        f"{len(stay)} pictures stay in {pictures}",
        soft_wrap=True,
    )


def suggest(
    pictures: Annotated[Path, typer.Argument(metavar="SET", help="pictures, some of them not labelled yet")],
    out: Annotated[Path, typer.Option("-o", "--out", help="the suggest.csv to write")],
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=100_000, help="pictures to suggest")] = 50,
    student: Annotated[Path | None, typer.Option(help="student.onnx of finetune: it scores the pictures")] = None,
    scores: Annotated[Path | None, typer.Option(help="a table with file and score, instead of a student")] = None,
    threshold: Annotated[str, typer.Option(help="threshold.json or a number: where the student is in doubt")] = "",
    escape: Annotated[float, typer.Option(help="the escape rate that is to be proven, e.g. 0.05")] = 0.05,
    confidence: Annotated[float, typer.Option(help="of that bound")] = 0.95,
    groups: Annotated[str, typer.Option(help="only groups that match, e.g. 'pos0*,pos11'")] = "",
    size: Annotated[str, typer.Option(help="pixels at which pictures are compared: 256 or 320x128")] = "256",
    roi: Annotated[str, typer.Option(help="region of interest in the pictures: x,y,width,height")] = "",
    seed: Annotated[int, typer.Option(min=0, help="another seed, other pictures")] = 0,
    threads: Annotated[int, typer.Option(min=1, max=256, help="CPU threads")] = 2,
) -> None:
    """Say which pictures to label next, and how many defects a proof still takes; edge-train label --order takes it."""
    if not (0 < escape < 1 and 0.5 <= confidence < 1):
        raise ConfigError(
            "--escape is a share between 0 and 1, --confidence one from 0.5 to below 1: e.g. 0.05 and 0.95"
        )
    if student and scores:
        raise ConfigError("give --student or --scores, not both")
    in_doubt = _in_doubt(threshold)
    listing = room("labelling.sheet")
    work = room("suggest")
    chosen = select(listing.pictures_in(pictures), groups)
    plan = work.Plan(count, seed, in_doubt, InputSpec(*size_of(size), 3, roi_of(roi)), threads)
    console = Console()
    with progress_on(console) as progress:
        todo = [picture for picture in chosen if not picture.label]
        tick = follow(progress, work.steps(chosen) + (len(todo) if student else 0))
        known = _scored(student, todo, tick) if student else read_scores(scores, todo) if scores else {}
        found = work.suggest(chosen, known, plan, tick)
    write_suggestions(out, found)
    told = Counter(one.reason for one in found)
    console.print(
        f"{len(found)} of {len(todo)}: " + ", ".join(f"{number} {reason}" for reason, number in told.items())
    )
    console.print(work.still_needed(chosen, escape, confidence), soft_wrap=True)
    console.print(f"wrote {out}; next: edge-train label {pictures} --order {out}", soft_wrap=True)


def _in_doubt(text: str) -> float | None:
    """The score that a threshold.json or a number names; None for an empty text."""
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        return read_threshold(Path(text))[0].threshold
    if not 0 <= value <= 1:
        raise ConfigError(f"--threshold {text}: write a number from 0 to 1, or name a threshold.json")
    return value


def _scored(student: Path, pictures: Sequence[Picture], tick: Callable[[str, int], None]) -> dict[str, float]:
    """What the student says of each picture, by the device's own code."""
    try:
        model = student.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {student}: {error.strerror}; run edge-train finetune") from error

    def shown() -> Iterator[Picture]:
        for picture in pictures:
            tick("student", 1)
            yield picture

    judged = judge_pictures(model, shown(), 1.0)
    return {one.name: one.score for one in judged}
