"""What the acceptance set said of each model, for the terminal: shown whether a bundle comes of it or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from compile.breakdown import by_class
from compile.verify import Trial

ROWS = 20


def trial_table(trials: Sequence[Trial]) -> Table:
    """One row for each model, with the bounds of its rates."""
    table = Table(title="Acceptance set at the working threshold")
    for name in ("model", "MB", "ms", "missed", "overkill", "changed"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for trial in trials:
        evidence = trial.evidence
        table.add_row(
            f"{trial.precision} {trial.target}",
            f"{len(trial.model) / 1e6:.1f}",
            "-" if trial.ms is None else f"{trial.ms:.2f}",
            f"{evidence.missed} of {evidence.defects} (<= {evidence.escape_upper:.1%})",
            f"{evidence.overkill} of {evidence.goods} (<= {evidence.overkill_upper:.1%})",
            str(len(trial.changes)),
        )
    return table


def class_table(trials: Sequence[Trial]) -> Table | None:
    """Each class of defects and each model, where there are several classes and a defect of any is missed; else
    None."""
    rows = by_class(trials)
    if len(rows) < 2 or not any(one.missed for row in rows for one in row.evidence):
        return None
    table = Table(title="Missed defects by class, with the bound of each")
    for name in ("class", *(f"{trial.precision} {trial.target}" for trial in trials)):
        table.add_column(name, justify="left" if name == "class" else "right")
    for row in rows:
        table.add_row(
            row.name, *(f"{one.missed} of {one.defects} (<= {one.escape_upper:.1%})" for one in row.evidence)
        )
    return table


def missed_table(trials: Sequence[Trial]) -> Table | None:
    """The defects that any model missed, with every model's score; None where there is none."""
    rows = [row for row in zip(*(trial.judged for trial in trials), strict=True) if any(one.missed for one in row)]
    if not rows:
        return None
    table = Table(title="Missed defects: scores")
    for name in ("picture", "label", "group", *(f"{trial.precision} {trial.target}" for trial in trials)):
        table.add_column(name)
    for row in rows[:ROWS]:
        table.add_row(row[0].name, row[0].label, row[0].group, *(f"{one.score:.4f}" for one in row))
    if len(rows) > ROWS:
        table.caption = f"and {len(rows) - ROWS} more"
    return table


def engine_table(report: Mapping[str, Any]) -> Table:
    """What the builder of TensorRT-RTX made of each model."""
    capabilities = ", ".join(report["capabilities"])
    table = Table(title=f"TensorRT-RTX {report['tensorrt_rtx']}, for compute capability {capabilities}; not run")
    for name in (
        "engine",
        "MB",
        "built in s",
        "layers",
        "joined to",
        "convolutions in INT8",
        "weights MB",
        "memory MB",
    ):
        table.add_column(name, justify="left" if name == "engine" else "right")
    for engine in report["engines"]:
        table.add_row(
            engine["precision"],
            _mega(engine["bytes"]),
            f"{engine['seconds']:.1f}",
            str(sum(engine["layers"].values())),
            "?" if engine["engine_layers"] is None else str(engine["engine_layers"]),
            f"{engine['int8']} of {engine['convolutions']}",
            _mega(engine["weights_bytes"]),
            _mega(engine["activation_bytes"]),
        )
    return table


def _mega(count: int | None) -> str:
    return "?" if count is None else f"{count / 1e6:.1f}"
