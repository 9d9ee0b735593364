"""The commands of `edge-train` that measure what learning brings: floor, copies, curve, coverage."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from edge.errors import ConfigError
from edge.picture_set import LABELS, read_set, select
from edge.pixels import InputSpec
from edge.set_writer import labels_csv
from training.results import make_folder, write, write_json
from training.terminal import follow, progress_on, roi_of, room, size_of

ROWS = 20  # pairs that are told

Set = Annotated[Path, typer.Argument(metavar="SET", help="folder with labels.csv, or with ok/ and ng/")]
Out = Annotated[Path, typer.Option("-o", "--out", help="folder for the results")]
Groups = Annotated[str, typer.Option(help="only groups that match, e.g. 'pos0*,pos11'")]
Size = Annotated[str, typer.Option(help="network input in pixels: 256 or 320x128 (width x height)")]
Fit = Annotated[str, typer.Option(help="stretch, or letterbox to keep the aspect ratio")]
Roi = Annotated[str, typer.Option(help="region of interest in the pictures: x,y,width,height")]
Mono = Annotated[bool, typer.Option("--mono", help="one grey channel")]
Threads = Annotated[int, typer.Option(min=1, max=256, help="CPU threads")]


def floor(
    pictures: Set,
    out: Out,
    groups: Groups = "",
    size: Size = "256",
    fit: Fit = "stretch",
    roi: Roi = "",
    mono: Mono = False,
    folds: Annotated[int, typer.Option(min=2, max=20, help="held-out parts of the cross-fit")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="another seed, other folds")] = 0,
    threads: Threads = 2,
) -> None:
    """Measure the plain baseline: frozen ImageNet features and a logistic regression, held out by group."""
    spec = InputSpec(*size_of(size), 1 if mono else 3, roi_of(roi), fit)
    chosen = select(read_set(pictures), groups)
    work = room("floor")
    settings = work.FloorSettings(spec, folds, seed, threads)
    total = work.steps(chosen, settings)
    make_folder(out)
    console = Console()
    with progress_on(console) as progress:
        report = work.floor(chosen, settings, follow(progress, total))
    write_json(out / "floor.json", report)
    _tell_floor(report, console)
    console.print(f"wrote {out / 'floor.json'}", soft_wrap=True)


def _tell_floor(report: Mapping[str, Any], console: Console) -> None:
    if "held_out" in report:
        held = report["held_out"]
        console.print(
            f"{held['goods']} good, {held['defects']} defects, held out by group: AUROC {held['auroc']:.4f}, "
            f"average precision {held['average_precision']:.4f}",
            soft_wrap=True,
        )
    if "accuracy" in report:
        told = report["accuracy"]
        console.print(
            f"{told['pictures']} pictures, {len(told['labels'])} labels, held out by group: "
            f"accuracy {told['share']:.4f}",
            soft_wrap=True,
        )


def copies(
    pictures: Set,
    out: Out,
    groups: Groups = "",
) -> None:
    """Find pictures of different groups that are one exposure; write labels.csv with one group for both."""
    every = read_set(pictures)
    chosen = select(every, groups)
    if out.resolve() == pictures.resolve():
        raise ConfigError(f"-o {out} is the set itself, whose {LABELS} would be lost; choose another folder")
    find, work, pages = import_module("calibration.copies"), room("copies_report"), room("page")
    make_folder(out)
    console = Console()
    with progress_on(console) as progress:
        tick = follow(progress, len(chosen))
        found = work.found(chosen, find.looks(chosen, lambda: tick("read", 1)))
    for pair in found[:ROWS]:
        console.print(f"{pair.first.name} = {pair.second.name} ({pair.difference:.2f} grey levels)", soft_wrap=True)
    write(out / "copies.html", pages.render(work.page(chosen, found)))
    joined = find.joined(chosen, found)
    write(
        out / LABELS, labels_csv(pictures, [replace(one, group=joined.get(one.group, one.group)) for one in every])
    )
    told = f"{len(found)} pairs; wrote copies.html and {LABELS} into {out}"
    console.print(told + (f": put that {LABELS} into {pictures}" if found else ""), soft_wrap=True)


def curve(
    pictures: Set,
    out: Out,
    encoder: Annotated[
        list[str] | None, typer.Option(help="encoder.safetensors of pretrain: the arm ssl; or NAME=FILE, several")
    ] = None,
    pool: Annotated[
        Path | None, typer.Option(help="pretrain on these pictures first, for each seed without those it tests")
    ] = None,
    passes: Annotated[int, typer.Option(min=0, help="of that pretraining; 0 = by the pictures' number")] = 0,
    ablate: Annotated[bool, typer.Option("--ablate", help="pretrain without each of its terms too")] = False,
    transfer: Annotated[
        bool, typer.Option("--transfer", help="pretrained on another product: refuse any picture of SET there")
    ] = False,
    labels: Annotated[str, typer.Option(help="numbers of labelled defects")] = "5,10,20,50,100,all",
    arms: Annotated[
        str, typer.Option(help="of floor, scratch, public, ssl, distil; by default all there are but distil")
    ] = "",
    seeds: Annotated[int, typer.Option(min=1, max=50, help="how often everything is drawn and learnt again")] = 3,
    good_per_defect: Annotated[int, typer.Option(min=1, max=1_000, help="good pictures labelled beside each")] = 4,
    test: Annotated[str, typer.Option(help="groups to test on, e.g. 'pos1*'; default: a third, by seed")] = "",
    measure: Annotated[str, typer.Option(help="what the words are about: auroc, ap or recall")] = "auroc",
    steps: Annotated[int, typer.Option(min=0, help="of each training; 0 = as many as finetune takes")] = 0,
    batch: Annotated[int, typer.Option(min=2, max=256, help="pictures per step")] = 16,
    backbone: Annotated[str, typer.Option(help="as finetune; that of the encoder where there is one")] = "",
    groups: Groups = "",
    size: Size = "256",
    fit: Fit = "stretch",
    roi: Roi = "",
    mono: Mono = False,
    threads: Threads = 2,
    int8: Annotated[bool, typer.Option("--int8", help="test students as they ship, after INT8")] = False,
) -> None:
    """Measure what each number of labels is worth, from several starts; say whether SSL helped. Resumes."""
    spec = InputSpec(*size_of(size), 1 if mono else 3, roi_of(roi), fit)
    chosen = select(read_set(pictures), groups)
    work, made = room("curve"), _pretraining(pool, pictures, groups, passes, ablate, encoder or [])
    encoders = tuple((name, None) for name, _ in made.arms) if made else _encoders(encoder or [])
    settings = work.CurveSettings(
        spec, _counts(labels), _arms(arms), tuple(range(seeds)), good_per_defect, test, _measure(measure),
        steps, batch, backbone, encoders, transfer, threads, int8,
    )  # fmt: skip
    laid_out = work.lay_out(chosen, settings)
    make_folder(out)
    console = Console()
    if made:
        settings = replace(settings, encoders=_pretrained(laid_out, made, out, console))
        laid_out = work.lay_out(chosen, settings)
    with progress_on(console) as progress:
        work.measure(laid_out, out, follow(progress, work.steps(laid_out, out)))
    with work.alone(out / ".report.lock") as mine:
        if not mine:
            raise ConfigError(f"another run is writing the results into {out}; look there in a minute")
        _tell_curve(work.report(laid_out, out), out, console)


def _encoders(texts: Sequence[str]) -> tuple[tuple[str, Path], ...]:
    """Names and files of "NAME=FILE"; a file without a name is the arm ssl."""
    plan, found = room("curve_plan"), []
    for text in texts:
        match = re.fullmatch(r"([^=/]*)=(.+)", text)
        name, path = match.groups() if match else (plan.SSL, text)
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) or name in plan.ARMS:
            raise ConfigError(
                f"--encoder {text!r}: write FILE, or NAME=FILE with a name of small letters, digits and - that is "
                f"none of {', '.join(plan.ARMS)}"
            )
        found.append((name, Path(path)))
    return tuple(found)


def _pretraining(
    pool: Path | None, pictures: Path, groups: str, passes: int, ablate: bool, encoders: Sequence[str]
) -> Any:
    """What is to be pretrained; None where nothing is."""
    if pool is None:
        if ablate:
            raise ConfigError("--ablate pretrains without each term: give --pool POOL, the pictures to pretrain on")
        if passes:
            raise ConfigError("--passes are those of a pretraining: give --pool POOL, the pictures to pretrain on")
        return None
    if encoders:
        raise ConfigError("--pool pretrains encoders, --encoder gives finished ones: leave one of them out")
    work, found = room("curve_encoders"), room("pool").pictures_in(pool)
    same = groups and pool.resolve() == pictures.resolve()
    return work.Pretraining(select(found, groups) if same else found, passes, work.arms(ablate))


def _pretrained(laid_out: Any, made: Any, out: Path, console: Console) -> tuple[tuple[str, Path], ...]:
    work, wanted = room("curve_encoders"), {cell.arm for cell in laid_out.cells}
    made = replace(made, arms=tuple(one for one in made.arms if one[0] in wanted))
    each = work.pools(laid_out, made)
    with progress_on(console) as progress:
        files: tuple[tuple[str, Path], ...] = work.encoders(
            laid_out, each, made, out, follow(progress, work.steps(each, made))
        )
    return files


def _counts(text: str) -> tuple[int, ...]:
    """Numbers of labels; 0 stands for all."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part == "all" or (part.isdecimal() and 0 < int(part) <= 1_000_000) for part in parts):
        raise ConfigError(f"--labels {text!r}: write numbers of defects and all, e.g. 5,20,all")
    return tuple(0 if part == "all" else int(part) for part in parts)


def _arms(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text else ()


def _measure(text: str) -> str:
    if text not in ("auroc", "ap", "recall"):
        raise ConfigError(f"--measure {text!r}: write auroc, ap or recall")
    return text


def _tell_curve(report: Mapping[str, Any], out: Path, console: Console) -> None:
    drawn, pages = room("curve_page"), room("page")
    write_json(out / "curve.json", report)
    write(out / "curve.png", drawn.png(report))
    write(out / "curve.html", pages.render(drawn.page(report)))
    grid = drawn.points_grid(report)
    table = Table(title="label curve: means; 95 % intervals are in curve.html")
    for name in grid.head:
        table.add_column(name, justify="left" if name == "start" else "right")
    for row in grid.rows:
        table.add_row(*(value.partition("\n")[0] for value in row))
    console.print(table)
    for line in (*report["verdict"], *report["notes"]):
        console.print(line, soft_wrap=True)
    console.print(f"wrote curve.json, curve.html and curve.png into {out}", soft_wrap=True)


def coverage(
    pool: Annotated[Path, typer.Argument(metavar="POOL", help="unlabelled pictures: a set, or any folder tree")],
    out: Out,
    labelled: Annotated[Path | None, typer.Option(help="the labelled set: does the pool cover it?")] = None,
    live: Annotated[Path | None, typer.Option(help="pictures of today's line: does the pool cover them?")] = None,
    size: Size = "256",
    roi: Roi = "",
    threads: Threads = 2,
) -> None:
    """Say how one-sided a pool of pictures is, what it lacks, and what to collect next."""
    spec = InputSpec(*size_of(size), 3, roi_of(roi))
    work, drawn, pages = room("coverage"), room("coverage_page"), room("page")
    chosen = work.pictures_in(pool)
    others = {name: work.pictures_in(one) for name, one in (("labelled", labelled), ("live", live)) if one}
    make_folder(out)
    console = Console()
    with progress_on(console) as progress:
        total = 3 * len(chosen) + sum(map(len, others.values()))
        found = work.coverage(chosen, others, threads, follow(progress, total), spec)
    write_json(out / "coverage.json", found.report)
    page = drawn.page(found)
    write(out / "coverage.html", pages.render(page))
    for line in (*page.lead, *page.sections[0].words):
        console.print(line, soft_wrap=True)
    console.print(f"wrote coverage.json and coverage.html into {out}", soft_wrap=True)
