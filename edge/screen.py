"""What the commands show a person in the terminal: tables, evidence, the live view of a run."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live as LiveView
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, track
from rich.table import Table
from rich.text import Text

from edge import check
from edge.clock import SECOND, SystemClock
from edge.health import Level
from edge.line.outputs.survival import goes_to_rest, survives
from edge.manifest import Evidence, Manifest, ModelEntry
from edge.options import Output, PlcGate
from edge.records import GateOutcome, Kind
from edge.report import Report
from edge.station import Station

if TYPE_CHECKING:
    from edge.control import Figures
    from edge.doctor.finding import Finding
    from edge.eye.collect import Collected
    from edge.eye.run import Live
    from edge.install import Installed
    from edge.nearness import LimitNow
    from edge.recorded import Recorded
    from edge.threshold import Choice

log = logging.getLogger(__name__)

_COLOURS = {Kind.PASS: "green", Kind.REJECT: "red", Kind.UNKNOWN: "yellow"}
_REDRAW_NS = SECOND // 5


def sentence(evidence: Evidence) -> str:
    """The evidence behind a threshold, as one sentence."""
    if not evidence.defects:
        return (
            f"no defect was held out, so nothing is known of the escape rate (<= 100%); overkill "
            f"{evidence.overkill}/{evidence.goods} (<= {evidence.overkill_upper:.1%})"
        )
    return (
        f"on {evidence.defects} held-out defects from {evidence.groups} groups, {evidence.missed} missed: "
        f"escape rate <= {evidence.escape_upper:.1%} with {evidence.confidence:.0%} confidence; overkill "
        f"{evidence.overkill}/{evidence.goods} (<= {evidence.overkill_upper:.1%})"
    )


def model_line(entry: ModelEntry) -> str:
    """A model with its threshold and what was proven of it."""
    proven = "proven" if entry.proven else f"UNPROVEN for {entry.evidence.target_escape:.1%}"
    return (
        f"{entry.target} {entry.precision}, threshold {entry.threshold:.4f}, {proven}: {sentence(entry.evidence)}"
    )


def print_findings(found: Sequence[Finding]) -> None:
    """What edge doctor found, with the remedies."""
    table = Table("topic", "", "found", "remedy", show_lines=True)
    colours = {"well": "green", "advice": "yellow", "wrong": "red"}
    for finding in found:
        grade = f"[{colours[finding.grade]}]{finding.grade}[/]"
        table.add_row(finding.topic, grade, escape(finding.words), escape(finding.remedy))
    for column in table.columns:
        column.overflow = "fold"
    Console().print(table)


def print_evidence(manifest: Manifest) -> None:
    """The product that is active now, and what each of its models has proven."""
    print(f"{manifest.product} version {manifest.version} is active (made {manifest.created})")
    for entry in manifest.models:
        print(f"  {model_line(entry)}")


def print_installed(found: Sequence[Installed]) -> None:
    """The retained bundles, the active ones marked."""
    table = Table("product", "version", "active", "file", "note")
    for one in found:
        table.add_row(one.product, str(one.version), "yes" if one.active else "", one.path.name, Text(one.words))
    if found:
        Console().print(table)
    else:
        print("no bundle is installed: edge install X.bundle --station STATION.TOML")


def print_threshold(choice: Choice) -> None:
    """The threshold in force with its evidence, and beside it another one or the bundle's own."""
    now, other = choice.now, choice.other
    columns = ["in force", choice.other_name] if other is not None else ["in force"]
    entries = [now] if other is None else [now, other]
    table = Table("", *columns, title=f"{choice.name}, {now.target} {now.precision}")
    rows: dict[str, Callable[[ModelEntry], str]] = {
        "threshold": lambda each: f"{each.threshold:.6g}",
        "defects missed": lambda each: f"{each.evidence.missed} of {each.evidence.defects}",
        "escape rate, at most": lambda each: f"{each.evidence.escape_upper:.2%}",
        "good parts rejected": lambda each: f"{each.evidence.overkill} of {each.evidence.goods}",
        "overkill, at most": lambda each: f"{each.evidence.overkill_upper:.2%}",
        f"proven for {now.evidence.target_escape:.1%}": lambda each: "yes" if each.proven else "UNPROVEN",
    }
    for name, words in rows.items():
        table.add_row(name, *map(words, entries))
    Console().print(table)
    if choice.words:
        print(choice.words)


# --- edge check ---


def print_check(station: Station) -> None:
    """What can be said of a station by its file alone: time errors, time budget, outputs, advice."""
    console = Console()
    identity = station.station
    print(f"{station.source}: station {identity.name}, mode {identity.mode}")
    for known in check.stated_errors(station):
        print(f"{known.what}: times are known to {known.error_ms:g} ms")
    if identity.mode != "collect" and station.gate is not None and station.travel is not None:
        console.print(_budget_table(station, station.travel.shortest_pitch_ms / 2))
        console.print(_output_table(station))
    for words in check.advice(station):
        print(f"advice: {words}")


def print_products(station: Station, manifests: dict[int, Manifest]) -> None:
    """The installed products of a station that may run with them."""
    for recipe, manifest in manifests.items():
        entry = manifest.entry(station.engine.kind, station.engine.precision)
        print(f"product {manifest.product} version {manifest.version} (recipe {recipe}): {model_line(entry)}")
    print("the station may run")


def _budget_table(station: Station, half_ms: float) -> Table:
    table = Table("stated time error", "ms", title=f"time budget: at most half the pitch, {half_ms:g} ms")
    for item in check.time_budget(station):
        table.add_row(item.what, f"{item.error_ms:g}")
    for camera in station.camera:
        total = sum(item.error_ms for item in check.pairing_budget(station, camera))
        table.add_row(f"camera {camera.name}: trigger, capture and window", f"{total:g}")
    return table


def _output_table(station: Station) -> Table:
    table = Table("output", "kind", "line dies", "line hangs", "cable", "boot", "rests by itself", title="outputs")
    assert station.gate is not None
    outputs: dict[str, Output | PlcGate | None] = {"gate": station.gate.output, "line_permit": station.line_permit}
    for name, output in outputs.items():
        if output is None:
            continue
        known = survives(output.kind)
        rests = "yes" if goes_to_rest(output) else "no"
        table.add_row(name, output.kind, known.line_death, known.line_hang, known.cable, known.boot, rests)
    for column in table.columns:
        column.overflow = "fold"  # a narrow terminal cuts no word off
    return table


# --- edge run, edge demo ---


def print_report(report: Report) -> None:
    """A run's report as tables; of several stations each one's, then that of all."""
    console = Console()
    for name, one in report.lanes.items():
        console.print(report_tables(one, f"run of {name}"))
    console.print(report_tables(report, "run of all" if report.lanes else "run"))


def report_tables(report: Report, title: str) -> Group:
    """Parts, gate and latency of a run."""
    verdicts = _listed(report.verdicts)
    reasons = ", ".join(f"{name} {count}" for name, count in report.unknown_reasons.items())
    gate = report.gate
    errors = gate["edge_error_us"]
    facts = Table(show_header=False, title=title)
    facts.add_row("parts", f"{report.parts}: {verdicts}")
    if reasons:
        facts.add_row("unknown because", reasons)
    facts.add_row("frames", _listed(report.frames))
    facts.add_row("deadlines", f"{report.deadline['met']} met, {report.deadline['missed']} missed")
    facts.add_row(
        "gate",
        f"{gate['orders']} orders: {gate['fired']} fired, {gate['released']} released, {gate['late']} late, "
        f"{gate['unconfirmed']} unconfirmed",
    )
    if gate["bypassed"]:
        facts.add_row("bypass", f"{gate['bypassed']} parts passed uninspected")
    if errors["n"]:
        names = {"p50": "p50", "p99": "p99", "p999": "p99.9", "max": "max"}
        ranks = [f"{name} {errors[key]:.0f}" for key, name in names.items() if errors[key] is not None]
        facts.add_row("gate edge, written - planned", f"{errors['n']} edges, us: {', '.join(ranks)}")
    facts.add_row("journal", f"{report.journal['committed']} committed, {report.journal['lost']} lost")
    startup = "never" if report.startup_ms is None else f"{report.startup_ms:.0f} ms"
    facts.add_row("start to READY", startup)
    facts.add_row("memory, processor", f"{report.rss_mb:.0f} MB, {report.cpu_s:.1f} s")
    if report.cause:
        facts.add_row(report.state, Text(report.cause))
    return Group(facts, _latency_table(report.latency_ms))


def _latency_table(latency_ms: dict[str, dict[str, float | None]]) -> Table:
    ranks = ("p50", "p90", "p99", "p999", "max")
    table = Table("latency, ms", *ranks, title="where the time goes")
    for stage, figures in latency_ms.items():
        table.add_row(stage, *("" if (value := figures[rank]) is None else f"{value:.2f}" for rank in ranks))
    return table


@contextmanager
def live_view(title: str) -> Iterator[Callable[[Live], None]]:
    """A table that follows a run: parts, verdicts, latency, gate; a few times a second."""
    console = Console()
    drawn_ns = -_REDRAW_NS
    with LiveView(console=console, auto_refresh=False) as view:

        def watch(live: Live) -> None:
            nonlocal drawn_ns
            if live.elapsed_ns - drawn_ns >= _REDRAW_NS:
                drawn_ns = live.elapsed_ns
                view.update(_live_table(title, live), refresh=True)

        yield watch
    if not console.is_terminal:
        console.print()  # the view leaves its last line unended


def _live_table(title: str, live: Live) -> Table:
    counts, standing = live.counts, live.standing
    table = Table(title=f"{title}  {live.elapsed_ns / SECOND:.0f} s", show_header=False, min_width=72)
    style = "bold red" if standing.level is Level.BYPASSED else ""
    table.add_row("state", Text(f"{standing.level.name} {standing.cause}", style))
    table.add_row("line permit", "on" if live.permit else "off")
    table.add_row("parts", str(counts.parts))
    verdicts = Text()
    for kind in Kind:
        verdicts.append(f"{counts.verdicts[kind]} {kind.name}  ", _COLOURS[kind])
    table.add_row("verdicts", verdicts)
    outcomes = "  ".join(f"{counts.outcomes[outcome]} {outcome.name.lower()}" for outcome in GateOutcome)
    table.add_row("gate", outcomes)
    table.add_row("last part", _last_part(counts.last_part))
    for stage in ("engine", "capture_to_verdict", "capture_to_release"):
        p50, p99 = live.timing.recent_ms(stage, 0.5), live.timing.recent_ms(stage, 0.99)
        if p50 is not None and p99 is not None:
            table.add_row(stage.replace("_", " "), f"p50 {p50:.1f} ms  p99 {p99:.1f} ms")
    return table


def _last_part(last: tuple[int, Kind, object, float] | None) -> Text:
    if last is None:
        return Text("none yet")
    part_id, kind, _, score = last
    return Text(f"{part_id & 0xFFFF_FFFF}  {kind.name}  score {score:.3f}", _COLOURS[kind])


# --- edge status ---


def print_status(told: Figures) -> None:
    """A running station, as a table."""
    status = told.status
    table = Table(title=f"station {status.station}, mode {status.mode}", show_header=False)
    calm = "" if status.level == "READY" else "bold red"
    table.add_row("state", Text(f"{status.level} {status.cause}", calm))
    if status.mode == "collect":
        table.add_row("lot", status.lot or "none named: edge lot STATION.TOML NAME")
        table.add_row("pictures", str(status.parts))
        Console().print(table)
        return
    table.add_row("line", status.line or "away")
    table.add_row("line permit", "on" if status.permit else "off")
    table.add_row("product", f"{status.product} (recipe {status.recipe})")
    if status.lot:
        table.add_row("lot", status.lot)
    if status.bundle:
        table.add_row("bundle", Text(status.bundle, "bold yellow"))
    if status.unproven:
        table.add_row("evidence", Text(f"UNPROVEN for {', '.join(status.unproven)}", "bold yellow"))
    if status.bypass_left_s:
        table.add_row("bypass", Text(f"{status.bypass_left_s:.0f} s more", "bold red"))
    if status.can_acknowledge:
        table.add_row("next", 'look at the line, then: edge ack STATION.TOML --why "..."')
    if status.likeness:
        table.add_row("pictures", Text(status.likeness, "bold yellow"))
    table.add_row("parts", f"{status.parts}: {_listed(status.verdicts)}")
    table.add_row("gate", f"{_listed(status.outcomes)}, {status.bypassed} in a bypass")
    if near := [_limit_words(limit) for limit in told.limits if limit.bound and limit.count]:
        table.add_row("limits", "; ".join(near))
    for view in told.views:
        if view.parts:
            table.add_row(f"distance, {view.camera}", f"{view.distance:.2f} of what was learned (limit 1)")
    Console().print(table)


def _limit_words(limit: LimitNow) -> str:
    of = f" of {limit.product}" if limit.product else ""
    return f"{limit.name}{of} {limit.count} of {limit.bound}"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


# --- edge collect ---


@contextmanager
def collecting(pictures: int | None) -> Iterator[Callable[[Collected], None]]:
    """A progress line for edge collect; where no terminal shows it, a line in the log every minute."""
    if not sys.stderr.isatty():
        yield _told_every_minute()
        return
    columns = (TextColumn("pictures"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=pictures, words="")

        def watch(so_far: Collected) -> None:
            progress.update(task, completed=so_far.stored, words=collected_words(so_far))

        yield watch


def _told_every_minute() -> Callable[[Collected], None]:
    clock = SystemClock()
    told_ns = clock.now_ns()

    def watch(so_far: Collected) -> None:
        nonlocal told_ns
        if clock.now_ns() - told_ns >= 60 * SECOND:
            told_ns = clock.now_ns()
            log.info("%d pictures stored, %s", so_far.stored, collected_words(so_far))

    return watch


def collected_words(so_far: Collected) -> str:
    """What a recording holds and lacks, in words; what is zero is left out."""
    counted = (
        (so_far.skipped, "were there already"),
        (so_far.refused, "refused (black, saturated, blurred or repeated)"),
        (so_far.unseen, "LOST by the camera"),
        (so_far.missed, "parts without a picture"),
        (so_far.lost, "LOST because disk or encoding could not follow"),
        (so_far.dropped, "oldest dropped for newer ones"),
        (so_far.waiting, "in memory"),
    )
    words = [f"{so_far.mb:.0f} MB", *(f"{count} {what}" for count, what in counted if count)]
    words += [f"lot {so_far.lot}"] if so_far.lot else []
    return ", ".join(words + [cause for cause in (so_far.full, *so_far.away.values()) if cause])


# --- edge replay ---


def judging(parts: Sequence[Recorded]) -> Iterable[Recorded]:
    """Pass the parts on, with a progress line where a terminal shows it."""
    return track(parts, "judging", console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
