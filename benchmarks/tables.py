"""Shows a bundle's profile to a person."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table

from benchmarks.bundle_profile import Figures, Profile

RANKS = ("p50", "p90", "p99", "p999", "max")


def profile_tables(profile: Profile) -> Group:
    """Where the time goes, how fast the student can go, and what an idle gap costs."""
    times = Table("ms", *RANKS, title=f"{profile.pictures} acceptance pictures")
    for name, figures in (
        ("engine alone", profile.engine),
        ("pixels alone", profile.pixels),
        (f"picture to verdict at {profile.rate_hz:g}/s", profile.paced),
        ("picture to verdict, saturated", profile.saturation),
    ):
        times.add_row(name, *_cells(figures))
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


def _cells(figures: Figures) -> list[str]:
    values = [figures[rank] for rank in RANKS]
    return ["" if value is None else f"{value:.3f}" for value in values]


def _idle(value: float, profile: Profile) -> str:
    busy = profile.saturation["p50"]
    return f"{value:.3f} ms" + (f", {value / busy:.2f} x the busy p50" if busy else "")
