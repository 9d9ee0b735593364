"""Shows a bundle's profile to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table

from benchmarks.bundle_profile import Figures, Profile
from benchmarks.results import Ratio

RANKS = ("p50", "p90", "p99", "p999", "max")


def profile_tables(profile: Profile, runs: Sequence[Mapping[str, Any]] = ()) -> Group:
    """Where the time goes, how fast the student can go, and what an idle gap costs; of several runs the medians, and
    how far the runs' p50 lie apart."""
    spread = [f"p50 of {len(runs)} runs"] if len(runs) > 1 else []
    times = Table("ms", *RANKS, *spread, title=f"{profile.pictures} acceptance pictures")
    for name, part in (
        ("engine alone", "engine"),
        ("pixels alone", "pixels"),
        (f"picture to verdict at {profile.rate_hz:g}/s", "paced"),
        ("picture to verdict, saturated", "saturation"),
    ):
        each = sorted(run[part]["p50"] for run in runs) if spread else []
        cells = [f"{each[0]:.3f} to {each[-1]:.3f}"] if each else []
        times.add_row(name, *_cells(getattr(profile, part)), *cells)
    facts = Table(show_header=False)
    facts.add_row("beyond the bare engine, p50", f"{profile.beyond_engine_ms:.3f} ms")
    share = profile.sustained_per_s / profile.possible_per_s
    facts.add_row(
        "sustained rate",
        f"{profile.sustained_per_s:.1f}/s, {share:.1%} of 1 / (pixels + engine) = {profile.possible_per_s:.1f}/s",
    )
    for what, value in (("kept warm", profile.after_idle_warm_ms), ("left alone", profile.after_idle_cold_ms)):
        if value is not None:
            facts.add_row(f"first picture after {profile.idle_s:g} s idle, {what}", _idle(value, profile))
    return Group(times, facts)


def comparison_table(ratios: Sequence[Ratio], before: str, after: str) -> Table:
    """Two results beside each other: what surely changed is marked."""
    table = Table("figure", "before", "after", "ratio", "95 %", "", title=f"{before} -> {after}")
    for one in ratios:
        span = "" if one.interval is None else f"{one.interval[0]:.3f} to {one.interval[1]:.3f}"
        mark = "" if not one.is_sure else "less" if one.ratio < 1 else "more"
        table.add_row(one.path, f"{one.before:g}", f"{one.after:g}", f"{one.ratio:.3f}", span, mark)
    table.caption = (
        "no interval: three runs of each are needed (--runs)" if not any(r.interval for r in ratios) else None
    )
    return table


def _cells(figures: Figures) -> list[str]:
    values = [figures[rank] for rank in RANKS]
    return ["" if value is None else f"{value:.3f}" for value in values]


def _idle(value: float, profile: Profile) -> str:
    busy = profile.saturation["p50"]
    return f"{value:.3f} ms" + (f", {value / busy:.2f} x the busy p50" if busy else "")
