"""Shows a bundle's profile to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table

from benchmarks.bundle_profile import Figures
from benchmarks.results import Change

RANKS = ("p50", "p90", "p99", "p999", "max")


def profile_tables(bench: Mapping[str, Any]) -> Group:
    """What a result has under "bench": where the time goes, how fast the student can go, what a part costs, and what
    idle gaps cost; of several runs the medians, and how far the runs' p50 lie apart."""
    runs = bench.get("runs", ())
    spread = [f"p50 of {len(runs)} runs"] if runs else []
    times = Table("ms", *RANKS, *spread, title=f"{bench['pictures']} acceptance pictures")
    for name, part in spans(bench):
        each = sorted(run[part]["p50"] for run in runs)
        cells = [f"{each[0]:.3f} to {each[-1]:.3f}"] if each else []
        times.add_row(name, *_cells(bench[part]), *cells)
    facts = Table(show_header=False)
    for name, words in facts_of(bench):
        facts.add_row(name, words)
    if not bench["idle"]:
        return Group(times, facts)
    gaps = Table("first picture after", "times", "kept warm", "left alone", "in a row, p50")
    for row in idle_rows(bench):
        gaps.add_row(*row)
    return Group(times, facts, gaps)


def spans(bench: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The measured spans as they are called, with their keys."""
    return [
        ("engine alone", "engine"),
        ("pixels alone", "pixels"),
        (f"picture to verdict at {bench['rate_hz']:g}/s", "paced"),
        ("picture to verdict, saturated", "saturation"),
    ]


def facts_of(bench: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What else was measured, in words."""
    ratios, cost = bench["ratios"], bench["per_part"]
    told = [
        ("beyond the bare engine, p50", f"{bench['beyond_engine_ms']:.3f} ms, pixels included"),
        ("beyond engine and pixels", f"{ratios['overhead']:.1%} of the engine"),
        (
            "sustained rate",
            f"{bench['sustained_per_s']:.1f}/s, {ratios['sustained']:.1%} of 1 / (pixels + engine) = "
            f"{bench['possible_per_s']:.1f}/s",
        ),
        (
            "a part costs",
            f"{cost['page_faults']:.2f} page faults, {cost['disk_faults']:.2f} from the disk, {cost['gave_way']:.2f} "
            f"waits, {cost['driven_out']:.2f} times driven from its core, {cost['collections']:.3f} collections",
        ),
        ("in all", f"{cost['memory_mb_grown']:.1f} MB more, {cost['objects_grown']:+.0f} objects of Python"),
    ]
    if "speed_up" in ratios:
        told.append((f"faster than {bench['against']}", f"{ratios['speed_up']:.2f} x, engine alone, in turns"))
    return told


def idle_rows(bench: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """The first picture after each gap: times in ms, and over pictures in a row."""
    return [
        (
            name,
            str(gap["times"]),
            _beside(gap["kept_warm_ms"], gap["kept_warm_ratio"]),
            _beside(gap["left_alone_ms"], gap["left_alone_ratio"]),
            f"{gap['busy_p50_ms']:.3f} ms",
        )
        for name, gap in bench["idle"].items()
    ]


def hardware_rows(hardware: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a result has under "hardware", in words; empty where the machine told nothing."""
    rows = [(name.replace("_", " "), words) for name, words in hardware["facts"].items() if name != "kernel"]
    for kind, unit in (("clocks_mhz", "MHz"), ("temperatures_c", "°C"), ("power_w", "W")):
        for name, each in hardware.get(kind, {}).items():
            rows.append((name, f"{each['least']:.4g} to {each['most']:.4g} {unit}, mean {each['mean']:.4g}"))
    for rail, joules in hardware.get("joules_per_part", {}).items():
        rows.append((f"energy of a part, {rail}", f"{1_000 * joules:.4g} mJ"))
    return rows


def hardware_table(rows: Sequence[tuple[str, str]]) -> Table:
    """The rows of `hardware_rows`, at full work."""
    table = Table(show_header=False, title="the machine, at full work")
    for row in rows:
        table.add_row(*row)
    return table


def _beside(value: float | None, ratio: float | None) -> str:
    return "" if value is None or ratio is None else f"{value:.3f} ms, {ratio:.2f} x"


def comparison_table(changes: Sequence[Change], before: str, after: str) -> Table:
    """Two results beside each other: what surely changed is marked, and what was zero before."""
    table = Table("figure", "before", "after", "ratio", "95 %", "", title=f"{before} -> {after}")
    for one in changes:
        changed = f"{one.difference:+g}" if one.ratio is None else f"{one.ratio:.3f}"
        style = "+.4g" if one.ratio is None else ".3f"
        span = "" if one.interval is None else f"{one.interval[0]:{style}} to {one.interval[1]:{style}}"
        table.add_row(one.path, f"{one.before:g}", f"{one.after:g}", changed, span, _mark(one))
    table.caption = "with a sign: the difference, as there is no ratio to zero and less"
    if not any(one.interval for one in changes):
        table.caption += "; no interval: three runs of each are needed (--runs)"
    return table


def _mark(change: Change) -> str:
    if change.is_sure:
        return "less" if change.after < change.before else "more"
    return "was none" if change.before == 0 else "none now" if change.after == 0 else ""


def _cells(figures: Figures) -> list[str]:
    values = [figures[rank] for rank in RANKS]
    return ["" if value is None else f"{value:.3f}" for value in values]
