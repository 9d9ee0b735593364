"""A label curve for people: the plot, the page, and the tables of both."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.curve_summary import name_of
from training.page import Grid, Page, Section, svg
from training.ranking import MEASURES

COLOURS = {"floor": "#5c6873", "scratch": "#b3261e", "public": "#2f7fb5", "distil": "#8a5a00"}
ENCODERS = ("#1f7a4d", "#7b3fa0", "#c2185b", "#00838f", "#9e9d24", "#5d4037")  # one after the other
APART = 1.03  # labels between two arms' bars of one point, as a factor: so that bars do not hide each other


def plot(report: Mapping[str, Any]) -> Figure:
    """Every measure against the number of labelled defects; bars are 95 % intervals over seeds."""
    figure = Figure(figsize=(12, 4))
    for axes, (name, title) in zip(figure.subplots(1, len(MEASURES)), MEASURES.items(), strict=True):
        arms = list(dict.fromkeys(point["arm"] for point in report["points"]))
        encoders = [arm for arm in arms if arm not in COLOURS]
        colours = COLOURS | dict(zip(encoders, cycle(ENCODERS), strict=False))
        for place, arm in enumerate(arms):
            _line(axes, [point for point in report["points"] if point["arm"] == arm], name, place, colours[arm])
        _axes(axes, {point["defects"]: point["labels"] for point in report["points"]}, title)
    figure.axes[0].legend(frameon=False, loc="lower right")
    figure.tight_layout()
    return figure


def png(report: Mapping[str, Any]) -> bytes:
    """The plot as a PNG file."""
    stream = io.BytesIO()
    plot(report).savefig(stream, format="png", dpi=150)
    return stream.getvalue()


def _line(axes: Axes, points: Sequence[Mapping[str, Any]], measure: str, place: int, colour: str) -> None:
    at = [point["defects"] * APART**place for point in points]
    middle = [point[measure]["mean"] for point in points]
    spans = [point[measure]["over_seeds"] or (value, value) for point, value in zip(points, middle, strict=True)]
    below = [value - max(span[0], 0) for value, span in zip(middle, spans, strict=True)]
    above = [max(min(span[1], 1) - value, 0) for value, span in zip(middle, spans, strict=True)]
    axes.errorbar(
        at, middle, (below, above), color=colour, label=name_of(points[0]["arm"]), marker="o", markersize=4, capsize=2,
        linewidth=1.5, elinewidth=0.8,
    )  # fmt: skip


def _axes(axes: Axes, ticks: Mapping[float, str], title: str) -> None:
    axes.set_xscale("log")
    axes.set_xticks(list(ticks), [f"{text}\n({at:.0f})" if text == "all" else text for at, text in ticks.items()])
    axes.minorticks_off()
    axes.set_xlabel("labelled defects")
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def page(report: Mapping[str, Any]) -> Page:
    """The page beside curve.json."""
    about = report["settings"]
    lead = [*report["verdict"], *report["notes"]]
    return Page(
        "Label curve",
        f"{about['pictures']} pictures, {about['defects']} of them defects, in {about['groups']} groups; "
        f"{len(about['seeds'])} seeds{', students after INT8' if about['int8'] else ''}",
        lead or ["One start was measured: nothing to compare."],
        not report["notes"],
        [
            Section("Score against labels", [SHORT], svg(plot(report))),
            Section("Figures", [INTERVALS], grid=points_grid(report)),
            Section("Differences on the same pictures", [PAIRED], grid=differences_grid(report)),
        ],
    )


SHORT = "Each seed holds other groups back for the test. Fewer labels are always part of more labels."
INTERVALS = "Below each mean: its 95 % interval over seeds, then over groups of parts drawn again."
PAIRED = "Both starts learnt from the same labels and were tested on the same pictures."


def points_grid(report: Mapping[str, Any]) -> Grid:
    """Every arm at every number of labels."""
    head = ("start", "labelled defects", *MEASURES.values())
    rows = [
        (name_of(point["arm"]), _labels(point), *(_value(point[name], "{:.3f}") for name in MEASURES))
        for point in report["points"]
    ]
    return Grid(head, rows)


def differences_grid(report: Mapping[str, Any]) -> Grid:
    """Every compared pair at every number of labels."""
    head = ("start", "against", "labelled defects", *MEASURES.values(), "worth labels")
    rows = [
        (
            name_of(one["arm"]), name_of(one["than"]), _labels(one),
            *(_value(one[name], "{:+.3f}") for name in MEASURES), _worth(one["as_good_with"]),
        )
        for one in report["differences"]
    ]  # fmt: skip
    return Grid(head, rows)


def _labels(point: Mapping[str, Any]) -> str:
    return f"all ({point['defects']:.0f})" if point["labels"] == "all" else str(point["labels"])


def _value(value: Mapping[str, Any], form: str) -> str:
    """The mean, then its intervals, each on a line of its own."""
    spans = [value[name] for name in ("over_seeds", "over_groups") if value[name]]
    return "\n".join(
        [form.format(value["mean"]), *(f"{form.format(low)} to {form.format(high)}" for low, high in spans)]
    )


def _worth(value: Mapping[str, Any]) -> str:
    if value["labels"] is None:
        return "more than measured"
    return f"{value['labels']:.0f}" if value["labels"] else "fewer than measured"
