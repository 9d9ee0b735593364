"""Shows a bundle's profile to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.table import Table

from benchmarks.ranks import RANKS, Figures
from benchmarks.results import Change

SPANS = {
    "engine": "The engine is called; it returned. The input lay there already.",
    "pixels": "The picture lies in memory; it lies in the engine's input.",
    "paced": "A picture is due; its verdict is known. Waiting for the one before counts.",
    "saturation": "A picture is taken up; its verdict is known. The next one always waits.",
    "trigger_to_frame": "The trigger's edge; the frame's capture time.",
    "queued": "The frame is in memory and its part known; its pixels are begun.",
    "judge": "The engine returned; the verdict is known.",
    "overhead": "The frame is paired with its part; its verdict is known, less pixels and engine.",
    "occupied": "The inference thread takes a frame up; it is free for the next one.",
    "capture_to_verdict": "The frame's capture time; the part's verdict is known.",
    "capture_to_release": "The frame's capture time; the release is sent to the line, after the journal's commit.",
}


def profile_tables(values: Mapping[str, Any]) -> Group:
    """What a bundle's result says: where the time goes, how fast the student can go, what a part costs, and what idle
    gaps cost; of several runs also how far their p50 lie apart."""
    bench = values["bench"]
    times = Table("ms", "n", *RANKS, title=f"{bench['pictures']} acceptance pictures")
    meanings = Table("measured", "from; to")
    runs = bench.get("runs", ())
    if runs:
        meanings.add_column(f"p50 of {len(runs)} runs", no_wrap=True)
    for span in spans(values):
        times.add_row(span.name, *cells(span.ranks))
        meanings.add_row(span.name, span.words, *([span.spread] if runs else []))
    facts = Table(show_header=False)
    for row in facts_of(values):
        facts.add_row(*row)
    if not bench["idle"]:
        return Group(times, meanings, facts)
    gaps = Table("first picture after", "times", "kept warm", "left alone", "in a row, p50")
    for gap in idle_rows(bench):
        gaps.add_row(*gap)
    return Group(times, meanings, facts, gaps)


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A measured span: its beginning and end in words, its figures, and from where to where the p50 of several runs
    lie; "" of one run."""

    name: str
    words: str
    ranks: Figures
    spread: str


def spans(values: Mapping[str, Any]) -> list[SpanRow]:
    """What was measured of a bundle."""
    bench = values["bench"]
    names = {
        "engine": "engine alone",
        "pixels": "pixels alone",
        "paced": f"picture to verdict at {bench['rate_hz']:g}/s",
        "saturation": "picture to verdict, saturated",
    }
    rows = []
    for key, name in names.items():
        rows.append(SpanRow(name, SPANS[key], bench[key], _spread([run[key] for run in bench.get("runs", ())])))
    return [*rows, SpanRow("judge, saturated", SPANS["judge"], values["latency_ms"]["judge"], "")]


def station_spans(values: Mapping[str, Any]) -> list[SpanRow]:
    """What was measured of a station."""
    runs = values.get("runs", ())
    return [
        SpanRow(stage, SPANS[stage], ranks, _spread([run["latency_ms"][stage] for run in runs]))
        for stage, ranks in values["latency_ms"].items()
    ]


def _spread(runs: Sequence[Figures]) -> str:
    """From where to where the p50 lie; "" where there are none."""
    each = sorted(p50 for run in runs if (p50 := run["p50"]) is not None)
    return f"{each[0]:.3f} to {each[-1]:.3f}" if each else ""


def facts_of(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What else was measured, in words."""
    bench = values["bench"]
    ratios, cost = bench["ratios"], bench["per_part"]
    told = [
        ("beyond the bare engine, p50", f"{bench['beyond_engine_ms']:.3f} ms, pixels included"),
        ("beyond engine and pixels", f"{ratios['overhead']:.1%} of the engine"),
        (
            "sustained rate",
            f"{bench['sustained_per_s']:.1f}/s, {ratios['sustained']:.1%} of 1 / (pixels + engine) = "
            f"{bench['possible_per_s']:.1f}/s",
        ),
        ("from first to last", steadiness_words(bench["steadiness"])),
        (
            "a part costs",
            f"{cost['cpu_ms']:.3f} ms of the processor, {cost['page_faults']:.2f} page faults, "
            f"{cost['disk_faults']:.2f} from the disk, {cost['gave_way']:.2f} waits, "
            f"{cost['driven_out']:.2f} times driven from its core, {cost['collections']:.3f} collections",
        ),
        (
            "memory",
            f"{values['rss_mb']:g} MB at most; {cost['memory_mb_grown']:.1f} MB and {cost['objects_grown']:+.0f} "
            "objects of Python more at the end",
        ),
    ]
    if rival := bench.get("against_bundle"):
        words = ", ".join(
            f"{name} {one['ratio']:.3f} x ({one['low']:.3f} to {one['high']:.3f})"
            for name, one in (("engine", rival["engine"]), ("picture to verdict", rival["saturation"]))
        )
        name = f"p50 over {rival['product']} version {rival['version']}, {rival['model']['precision']}"
        told.append((name, f"{words}; 95 %, {rival['engine']['rounds']} rounds in turns; below 1 this is faster"))
    if "speed_up" in ratios:
        told.append((f"faster than {bench['against']}", f"{ratios['speed_up']:.2f} x, engine alone, in turns"))
    return told


def station_tables(values: Mapping[str, Any]) -> Group:
    """What the bench adds to a station's report; of several runs also all of them together."""
    bench, runs = values["bench"], values.get("runs", ())
    times = Table("ms", "n", *RANKS, title=f"{len(runs)} runs together: medians, and the longest of all")
    meanings = Table("measured", "from; to")
    if runs:
        meanings.add_column(f"p50 of {len(runs)} runs", no_wrap=True)
    for span in station_spans(values):
        times.add_row(span.name, *cells(span.ranks))
        meanings.add_row(span.name, span.words, *([span.spread] if runs else []))
    facts = Table(show_header=False)
    for row in station_facts(bench):
        facts.add_row(*row)
    moments = Table("parts", "n", *RANKS, title="trigger to verdict, ms")
    for name, ranks in moments_of(bench):
        moments.add_row(name, *cells(ranks))
    tables = [times if runs else None, meanings, facts, moments]
    return Group(*(table for table in tables if table is not None and table.row_count))


def moments_of(bench: Mapping[str, Any]) -> list[tuple[str, Figures]]:
    """Trigger to verdict by the gap before a part, and of the first and the last tenth of the parts."""
    gaps = [(gap_words(name), ranks) for name, ranks in bench.get("after_gap", {}).items()]
    return gaps + [(f"{name} tenth of the parts", ranks) for name, ranks in bench.get("tenths", {}).items()]


def station_facts(bench: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was seen of the running station, in words; what was not seen is left out."""
    told = []
    if capacity := bench.get("capacity"):
        told += [
            (
                "what the inference thread could take on",
                f"{capacity['per_s']:.1f} pictures/s, {capacity['sustained']:.1%} of 1 / (pixels + engine) = "
                f"{capacity['possible_per_s']:.1f}/s",
            ),
            ("it was occupied", f"{capacity['busy']:.1%} of the time"),
        ]
    if steadiness := bench.get("steadiness"):
        told.append(("from first to last", steadiness_words(steadiness, "mean")))
    if cost := bench.get("per_part"):
        words = f"{cost['page_faults']:.2f} page faults, {cost['disk_faults']:.2f} from the disk"
        told.append(("a part costs the eye", words))
    if memory := bench.get("memory"):
        words = (
            f"{memory['begin_mb']:.1f} MB, and {memory['grown_mb']:+.2f} MB in the last {memory['seconds']:.0f} s"
        )
        told.append(("memory of the eye, by a straight line", words))
    return told


def gap_words(name: str) -> str:
    """A class of gaps, by its beginning."""
    return f"after a gap of {'less than 100ms' if name == '0ms' else f'{name} and more'}"


def steadiness_words(steadiness: Mapping[str, Any], rank: str = "p50") -> str:
    """Whether a run had settled, in words; the least steady one of several."""
    thirds = (
        f"{rank} {steadiness['first_ms']:.3f} ms in the first third, {steadiness['last_ms']:.3f} ms in the last, "
        f"{steadiness['ratio']:.2f} x"
    )
    judged = {
        True: "no drift beyond the scatter",
        False: "NOT STEADY YET: measure longer, or find what drifts",
        None: "too short to say",
    }
    return f"{judged[steadiness['is_steady']]}; {thirds}"


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
    rows = [(name.replace("_", " "), words) for name, words in hardware["facts"].items()]
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


def cells(figures: Figures) -> list[str]:
    """How many values, and RANKS."""
    values = [figures[rank] for rank in RANKS]
    return [f"{figures['n']:g}", *("" if value is None else f"{value:.3f}" for value in values)]
