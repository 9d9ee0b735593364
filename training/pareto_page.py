"""Students side by side, for people: the plot, the page, the table."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from training.page import Grid, Page, Section, svg
from training.ranking import ACCURACY

BEST, OTHER, BEFORE = "#1f7a4d", "#5c6873", "#b9c2ca"
SHOWN = "ap"  # or accuracy, where no picture is good
BYTES = 1_000_000


def plot(report: Mapping[str, Any]) -> Figure:
    """Average precision, or accuracy, after INT8 against the time of one inference, with intervals; grey: before."""
    figure = Figure(figsize=(8, 4.5))
    axes = figure.subplots()
    shown = SHOWN if SHOWN in report["measures"] else ACCURACY
    best = report["best"][shown]
    for row in report["students"]:
        after, before = row["int8"][shown], row["fp32"][shown]
        axes.plot(
            (row["ms"]["fp32"], row["ms"]["int8"]), (before["value"], after["value"]), color=BEFORE, marker="o",
            markersize=4, linewidth=1, zorder=1,
        )  # fmt: skip
        low, high = after["over_groups"] or (after["value"], after["value"])
        reach = ([after["value"] - low], [high - after["value"]])
        colour = BEST if row["student"] in best else OTHER
        axes.errorbar(row["ms"]["int8"], after["value"], reach, color=colour, marker="o", capsize=3, elinewidth=0.8)
        axes.annotate(
            f"{row['student']}\n{row['bytes']['int8'] / BYTES:.1f} MB", (row["ms"]["int8"], after["value"]),
            xytext=(7, -4), textcoords="offset points", fontsize=8, color=colour, va="top",
        )  # fmt: skip
    chosen = [next(row for row in report["students"] if row["student"] == name) for name in best]
    axes.plot(
        [row["ms"]["int8"] for row in chosen], [row["int8"][shown]["value"] for row in chosen], color=BEST,
        linestyle=":", linewidth=1.2,
    )  # fmt: skip
    axes.set_xlim(left=0)
    axes.margins(x=0.2)
    axes.set_xlabel("milliseconds for one picture (grey: before INT8)")
    axes.set_ylabel(f"{report['measures'][shown]}, held out")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure


def png(report: Mapping[str, Any]) -> bytes:
    """The plot as a PNG file."""
    stream = io.BytesIO()
    plot(report).savefig(stream, format="png", dpi=150)
    return stream.getvalue()


def grid(report: Mapping[str, Any]) -> Grid:
    """Every student: after INT8, and what INT8 changed."""
    head = ("student", "network", "ms", "MB", *report["measures"].values())
    rows = [
        (
            row["student"], f"{row['backbone']} {row['input']}",
            f"{row['ms']['int8']:.2f}\nFP32 {row['ms']['fp32']:.2f}",
            f"{row['bytes']['int8'] / BYTES:.1f}\nFP32 {row['bytes']['fp32'] / BYTES:.1f}",
            *(_value(row, name) for name in report["measures"]),
        )
        for row in sorted(report["students"], key=lambda row: row["ms"]["int8"])
    ]  # fmt: skip
    return Grid(head, rows)


def _value(row: Mapping[str, Any], measure: str) -> str:
    after, before = row["int8"][measure], row["fp32"][measure]
    lines = [f"{after['value']:.3f}"]
    if after["over_groups"]:
        lines.append("{:.3f} to {:.3f}".format(*after["over_groups"]))
    lines.append(f"FP32 {before['value']:.3f}")
    return "\n".join(lines)


def lead(report: Mapping[str, Any]) -> list[str]:
    """What to take, in words."""
    return [
        f"By {title} after INT8, nothing is both faster and better than {', '.join(report['best'][name])}."
        for name, title in report["measures"].items()
    ]


def page(report: Mapping[str, Any]) -> Page:
    """The page beside pareto.json."""
    counts, host = report["pictures"], report["host"]
    return Page(
        "Students side by side",
        f"{counts['ok']} good pictures and {counts['defects']} defects in {report['groups']} groups; {host['cpu']}, "
        f"one thread ({', '.join(host['flags']) or 'no features that INT8 needs'})",
        lead(report),
        True,
        [
            Section("Score against time", [HOW], svg(plot(report))),
            Section("Figures", [INTERVALS], grid=grid(report)),
        ],
    )


HOW = (
    "Every picture was scored by a model that did not see its group; INT8 was calibrated without its group too. "
    "The dotted line joins the students that no other one beats."
)
INTERVALS = "Below each value: its 95 % interval over groups of parts drawn again, then the value before INT8."
