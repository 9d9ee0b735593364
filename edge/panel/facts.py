"""Figures and records as the page shows them: plain values for JSON, nothing is asked or decided here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import isfinite, isnan
from typing import Any

from edge.clock import MS, SECOND
from edge.control import Figures, Histogram
from edge.journal.completeness import name_of
from edge.journal.rows import Decided, PartRow
from edge.panel.language import say
from edge.panel.ledger import Tally, Turned
from edge.panel.lots import LotCount
from edge.panel.words import reason_words, verdict_words
from edge.records import GateEvent, Kind

_RANKS = (("p50", 0.50), ("p90", 0.90), ("p99", 0.99), ("p99.9", 0.999))


def since_start(figures: Figures) -> dict[str, Any]:
    """What the eye has counted since it began."""
    status = figures.status
    return {
        "parts": status.parts,
        "verdicts": status.verdicts,
        "outcomes": status.outcomes,
        "reasons": _explained(figures.unknown_reasons),
    }


def tallied(tally: Tally) -> dict[str, Any]:
    """The same of what the journal holds of a time."""
    return {
        "parts": tally.parts,
        "verdicts": dict(tally.verdicts),
        "outcomes": dict(tally.outcomes),
        "reasons": _explained(tally.reasons),
    }


def lot(count: LotCount) -> dict[str, Any]:
    """A lot with what was counted of it; without `first_ms` no part of it has ended yet."""
    times = {"first_ms": count.first_ns // MS, "last_ms": count.last_ns // MS} if count.first_ns else {}
    return {"lot": count.lot, "is_whole": count.is_whole, **times, **tallied(count.tally)}


def _explained(reasons: dict[str, int]) -> list[dict[str, Any]]:
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    return [{"name": name, "words": reason_words(name), "count": count} for name, count in ordered if count]


def shift_began(shifts: Sequence[str], now: datetime) -> datetime | None:
    """When the shift began that `now` belongs to, in its time zone; None without shifts."""
    if not shifts:
        return None
    begun = [shift for shift in shifts if shift <= f"{now:%H:%M}"]
    day = now if begun else now - timedelta(days=1)  # the last shift runs over midnight
    hours, _, minutes = (begun[-1] if begun else shifts[-1]).partition(":")
    return day.replace(hour=int(hours), minute=int(minutes), second=0, microsecond=0)


def turned_part(part: Turned) -> dict[str, Any]:
    """A part of the gallery."""
    return {
        "id": f"{part.part_id:x}",
        "name": name_of(part.part_id),
        "at_ms": part.wall_ns // MS,
        "verdict": part.verdict,
        "reason": part.reason,
        "words": reason_words(part.reason),
        "score": part.score if part.score is not None and isfinite(part.score) else None,
        "threshold": part.threshold,
        "outcome": part.outcome,
    }


def part_lines(part: PartRow, day: str) -> list[tuple[str, str]]:
    """All that is on record of one part, as names and words."""
    told = [("part", name_of(part.part_id)), ("recorded", say("part.recorded_day", day=day))]
    if part.decided is not None:
        told += _decided_lines(part.decided)
    if part.outcome is not None:
        told += _outcome_lines(part.outcome)
    return [(say(f"part.{name}"), words) for name, words in told]


def _decided_lines(decided: Decided) -> Iterator[tuple[str, str]]:
    verdict, part = decided.verdict, decided.part
    yield "verdict", _named(verdict.kind, verdict.reason.name)
    if not isnan(verdict.score):
        yield "score", say("part.score_of", score=f"{verdict.score:.4f}", threshold=f"{verdict.threshold:.4f}")
    yield "decided", say("part.ms", ms=f"{(verdict.decided_ns - part.born_ns) / MS:.1f}")
    yield "recipe", str(part.recipe)
    yield "model", verdict.model[:16] or say("part.no_model")


def _outcome_lines(event: GateEvent) -> Iterator[tuple[str, str]]:
    yield "ended", f"{wall(event.ended_wall_ns):%Y-%m-%d %H:%M:%S}"
    at_gate = say(f"part.{event.outcome.name}")
    yield "at_gate", say("part.shadow", words=at_gate) if event.shadow else at_gate
    yield "counted", _named(event.verdict, event.reason.name)
    if event.written_ns:
        yield "written", say("part.off_plan", ms=f"{(event.written_ns - event.planned_ns) / MS:+.2f}")
    yield "confirm", say(f"part.{event.sensed.name}")


def _named(kind: Kind, reason: str) -> str:
    words, verdict = reason_words(reason), verdict_words(kind.name)
    return say("part.named", kind=verdict, words=words, reason=reason) if words else verdict


# --- times ------------------------------------------------------------------------------------------------------


def timing(figures: Figures) -> dict[str, Any]:
    """Every stage, and the gate's edges, as bins with their upper bounds and ranks in milliseconds."""
    stages = {
        name: _shape(figures.stage_bounds_ns, histogram)
        for name, histogram in figures.stages.items()
        if sum(histogram.bins)
    }
    return {
        "bounds_ms": [bound / MS for bound in figures.stage_bounds_ns],
        "stages": stages,
        "edge_bounds_ms": [bound / MS for bound in figures.edge_bounds_ns],
        "gate": _shape(figures.edge_bounds_ns, figures.gate_edges) if sum(figures.gate_edges.bins) else None,
    }


def _shape(bounds_ns: Sequence[int], histogram: Histogram) -> dict[str, Any]:
    count = sum(histogram.bins)
    return {
        "count": count,
        "mean_ms": round(histogram.total_ns / count / MS, 3),
        "bins": histogram.bins,
        "ranks": {name: _within(bounds_ns, histogram.bins, share * count) for name, share in _RANKS},
    }


def _within(bounds_ns: Sequence[int], bins: Sequence[int], rank: float) -> float | None:
    """The bound in ms that so many values do not exceed; None where it lies beyond all bounds."""
    seen = 0
    for bound, count in zip(bounds_ns, bins, strict=False):
        seen += count
        if seen >= rank:
            return bound / MS
    return None


def wall(wall_ns: int) -> datetime:
    """A wall time in this machine's time zone."""
    return datetime.fromtimestamp(wall_ns // SECOND).astimezone()
