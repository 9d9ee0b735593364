"""What a training says at its end, in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from training.terminal import room

if TYPE_CHECKING:
    from training.measures import Separation, Sorting

ROWS = 20  # groups in the table


def show(console: Console, report: dict[str, Any], out: Path) -> None:
    """How well models part pictures that they did not see, by a `report` as training.json has it; what is next."""
    work = room("finetune")
    overall, groups = work.separations(report)
    if sorting := work.sortings(report):
        console.print(_confusion(*sorting))
    if overall.auroc is None and report["good_only"]:
        console.print(
            f"student: {out / 'student.onnx'}; it learnt from {overall.goods} good pictures alone, and no defect says "
            f"what it misses. Next: edge-calibrate threshold {out / 'scores.csv'} --allow-unproven, and label the "
            "defects that it finds",
            soft_wrap=True,
        )
        return
    if overall.auroc is None:
        console.print(
            f"student: {out / 'student.onnx'}; it tells the classes apart and knows no good part: add pictures "
            "labelled ok before it may guard a gate"
        )
        return
    console.print(_table(overall, groups))
    if tried := report.get("search"):
        console.print(_searched(report["recipe"], tried))
    for name, values in report.get("seeds", {}).items():
        console.print(f"{name.replace('_', ' ')} of {len(values)} seeds: {min(values):.4f} to {max(values):.4f}")
    console.print(
        f"student: {out / 'student.onnx'}; next: edge-calibrate threshold {out / 'scores.csv'} --escape 0.05 "
        "-o threshold.json",
        soft_wrap=True,
    )


def _searched(chosen: dict[str, Any], tried: Sequence[dict[str, Any]]) -> Table:
    """What each way of training reached, by the part of the usual steps it was given."""
    table = Table(
        title="search: held-out AUROC",
        caption=f"chosen: rate {chosen['tail_rate']:.1e}, light {chosen['strength']:g}",
    )
    parts = sorted({each["part"] for each in tried})
    for name in ("rate", "light", *(f"{part:.0%} of the steps" for part in parts)):
        table.add_column(name, justify="right")
    found = {(each["tail_rate"], each["strength"], each["part"]): f"{each['auroc']:.4f}" for each in tried}
    for rate, strength in dict.fromkeys(key[:2] for key in found):
        table.add_row(f"{rate:.1e}", f"{strength:g}", *(found.get((rate, strength, part), "") for part in parts))
    return table


def _confusion(classes: Sequence[str], sorting: Sorting) -> Table:
    """True classes down, told ones across."""
    table = Table(
        title="held-out defects by class",
        caption=f"right: {sorting.accuracy:.1%} of all, {sorting.mean_recall:.1%} as the mean over the classes",
    )
    table.add_column("defect")
    for name in classes:
        table.add_column(f"as {name}", justify="right")
    for name, counts in zip(classes, sorting.confusion, strict=True):
        table.add_row(name, *(str(count) if count else "" for count in counts))
    return table


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
