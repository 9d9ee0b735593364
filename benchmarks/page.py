"""A result of edge-bench as one HTML file with plots: it opens without a network, and runs no script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from benchmarks import plots
from benchmarks.ranks import RANKS
from benchmarks.tables import (
    SpanRow,
    cells,
    facts_of,
    hardware_rows,
    idle_rows,
    moments_of,
    spans,
    station_facts,
    station_spans,
    steadiness_words,
)

_MOMENTS = "The trigger's edge of such a part; its verdict is known."
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1c2733; background: #fff; max-width: 1120px; margin: 2em auto;
       padding: 0 1.5em }
h1 { font-size: 1.6em; margin: 0 0 .2em } h2 { font-size: 1.15em; margin: 2em 0 .5em; border-bottom: 1px solid #d5dce4 }
p.sub { color: #5b6b7b; margin: 0 } p.partial { background: #fde8e4; border-left: 4px solid #c2402a; padding: .6em 1em }
table { border-collapse: collapse; margin: .6em 0 } th, td { padding: .3em .8em; text-align: left; vertical-align: top }
th { font-weight: 600; color: #5b6b7b; border-bottom: 1px solid #d5dce4 } tr + tr td { border-top: 1px solid #eef1f4 }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap } td.w { color: #5b6b7b }
div.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 1em 1.5em }
figure { margin: 0 } figcaption { font-weight: 600; font-size: .92em } svg { width: 100%; height: auto; display: block }
"""


def page(values: Mapping[str, Any]) -> str:
    """The page of what edge-bench writes as JSON, of a bundle or of a station."""
    bench = values.get("bench", {})
    title = _title(values, bench)
    body = "".join(_of_bundle(values, bench) if "engine" in bench else _of_station(values, bench))
    partial = f'<p class="partial">Partial: {escape(values["partial"])}</p>' if "partial" in values else ""
    for words in values.get("hardware", {}).get("unfit", ()):
        partial += f'<p class="partial">No figure to publish: {escape(words)}</p>'
    if (steadiness := bench.get("steadiness")) and steadiness["is_steady"] is False:
        words = steadiness_words(steadiness, "p50" if "engine" in bench else "mean")
        partial += f'<p class="partial">{escape(words)}</p>'
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{title}</h1>"
        f'<p class="sub">{escape(_machine_line(values["host"]))}</p>{partial}\n{body}{_machine(values)}</body></html>\n'
    )


def _title(values: Mapping[str, Any], bench: Mapping[str, Any]) -> str:
    if "product" not in bench:
        return escape(f"Station {bench.get('station', '')}: {values['parts']} parts")
    model = bench["model"]
    return escape(f"{bench['product']} version {bench['version']}: {model['target']} {model['precision']}")


def _of_bundle(values: Mapping[str, Any], bench: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Measured spans, ms</h2>" + _times(spans(values), len(bench.get("runs", ())))
    yield "<h2>What follows from them</h2>" + _table(("", ""), facts_of(values), numbers=False)
    if bench["idle"]:
        heads = ("first picture after", "times", "kept warm", "left alone", "in a row, p50")
        yield "<h2>After idle</h2>" + _table(heads, idle_rows(bench))
    yield "<h2>Over the run's time</h2>" + _figure(
        "p50 of each round, ms; bars reach to the slowest picture", _course(bench)
    )
    yield "<h2>How the times are spread</h2>" + _histograms(bench)


def _of_station(values: Mapping[str, Any], bench: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Measured spans, ms</h2>" + _times(station_spans(values), len(values.get("runs", ())))
    yield "<h2>What happened</h2>" + _table(("", ""), _counts(values), numbers=False)
    if moments := moments_of(bench):
        rows = [SpanRow(name, _MOMENTS, ranks, "") for name, ranks in moments]
        yield "<h2>After gaps, and first and last parts, ms</h2>" + _times(rows)
    if courses := [course for run in values.get("runs", [values]) if (course := run["bench"].get("course"))]:
        caption = "p50 of each second or more, ms; bars reach to the slowest part; all as upper bounds of bins"
        yield "<h2>Over the run's time</h2>" + _figure(caption, plots.course(courses))
    if bench.get("histograms"):
        yield "<h2>How the times are spread</h2>" + _histograms(bench)


def _counts(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    gate, edges = values["gate"], values["gate"]["edge_error_us"]
    told = [
        ("verdicts", _listed(values["verdicts"])),
        ("unknown because", _listed(values["unknown_reasons"]) or "none"),
        ("frames", _listed(values["frames"])),
        ("deadline", _listed(values["deadline"])),
        ("gate", _listed({name: gate[name] for name in ("orders", "fired", "released", "late", "unconfirmed")})),
        ("journal", _listed(values["journal"])),
        ("state", f"{values['state']} {values['cause']}"),
        ("memory, processor time", f"{values['rss_mb']:g} MB at most, {values['cpu_s']:g} s"),
    ]
    if edges["p50"] is not None:
        ranks = [name for name in ("p50", "p99", "p999", "max") if edges[name] is not None]
        words = ", ".join(f"{name} {edges[name] / 1_000:.3f} ms" for name in ranks)
        told.append((f"lateness of {edges['n']} gate edges", words))
    if values["startup_ms"] is not None:
        told.append(("start to READY", f"{values['startup_ms']:g} ms"))
    return told + station_facts(values["bench"])


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


# --- tables -----------------------------------------------------------------------------------------------------


def _times(rows: Sequence[SpanRow], runs: int = 0) -> str:
    heads = ["n", *RANKS] + ([f"p50 of {runs} runs"] if runs else [])
    head = "<th>span</th><th>from; to</th>" + "".join(f'<th class="n">{word}</th>' for word in heads)
    lines = [
        f'<tr><td>{escape(row.name)}</td><td class="w">{escape(row.words)}</td>'
        + "".join(f'<td class="n">{cell}</td>' for cell in [*cells(row.ranks), *([row.spread] if runs else [])])
        + "</tr>"
        for row in rows
    ]
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: bool = True) -> str:
    mark = ' class="n"' if numbers else ""
    head = "".join(f"<th{mark if at else ''}>{escape(word)}</th>" for at, word in enumerate(heads))
    lines = [
        "<tr>" + "".join(f"<td{mark if at else ''}>{escape(cell)}</td>" for at, cell in enumerate(row)) + "</tr>"
        for row in rows
    ]
    return f"<table>{f'<tr>{head}</tr>' if any(heads) else ''}{''.join(lines)}</table>"


def _machine_line(host: Mapping[str, Any]) -> str:
    return f"{host['cpu']}, {host['cores']} cores, kernel {host['kernel']}, Python {host['python']}"


def _machine(values: Mapping[str, Any]) -> str:
    host, bench = values["host"], values.get("bench", {})
    rows = [
        ("processor", f"{host['cpu']}, {host['cores']} cores, {host['machine']}"),
        ("features", " ".join(host["flags"]) or "none of those that matter here"),
        ("kernel, Python", f"{host['kernel']}, {host['python']}"),
        ("libraries", ", ".join(f"{name} {version}" for name, version in host["versions"].items())),
    ]
    if "load_average" in bench:
        rows.append(("load average before", f"{bench['load_average']:g}"))
        rows.append(("engine's threads", str(bench["threads"])))
    for one in [bench] if "model" in bench else bench.get("products", ()):
        rows.append(("product", f"{one['product']} version {one['version']}"))
        rows.append(("model", f"{one['model']['file']}, SHA-256 {one['model']['sha256']}"))
        rows.append(("bundle", f"SHA-256 {one['bundle_sha256']}"))
    if "hardware" in values:
        rows.extend(hardware_rows(values["hardware"]))
    return "<h2>Machine</h2>" + _table(("", ""), rows, numbers=False)


# --- plots ------------------------------------------------------------------------------------------------------


def _figure(caption: str, drawing: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{drawing}</figure>"


def _histograms(bench: Mapping[str, Any]) -> str:
    drawn = [
        _figure(
            f"{name.replace('_', ' ')}, ms: {sum(each['counts'])} values",
            plots.histogram(each["bounds_ms"], each["counts"]),
        )
        for name, each in bench["histograms"].items()
        if sum(each["counts"])
    ]
    return f'<div class="plots">{"".join(drawn)}</div>'


def _course(bench: Mapping[str, Any]) -> str:
    """Several runs stand one behind the other, with a line between them."""
    return plots.course([run["course"] for run in bench.get("runs", [bench])])
