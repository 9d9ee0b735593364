"""Histograms and courses of times as SVG, for a page without scripts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.ranks import NEEDED

INK, FAINT, BAR, LINE, SECOND_LINE = "#5b6b7b", "#dde3e9", "#3b7dc4", "#1f5fa8", "#d98324"
TEXT = f'font-family="system-ui, sans-serif" font-size="11" fill="{INK}"'


def histogram(bounds_ms: Sequence[float], counts: Sequence[int]) -> str:
    """Bars over a logarithmic axis; the number of values above, median and p99 marked.

    `counts[i]` values lie between `bounds_ms[i]` and `bounds_ms[i + 1]`.
    """
    width, height, left, bottom, top = 360, 150, 8, 22, 14
    low, high = math.log(bounds_ms[0]), math.log(bounds_ms[-1])
    most, total = max(counts), sum(counts)

    def x(at_ms: float) -> float:
        return left + (width - 2 * left) * (math.log(at_ms) - low) / (high - low)

    floor = height - bottom
    bars = [
        f'<rect x="{x(start):.1f}" y="{floor - (floor - top) * count / most:.1f}" '
        f'width="{max(x(end) - x(start) - 0.6, 0.6):.1f}" height="{(floor - top) * count / most:.1f}" fill="{BAR}"/>'
        for start, end, count in zip(bounds_ms[:-1], bounds_ms[1:], counts, strict=True)
        if count
    ]
    ticks = [
        _upright(x(at), floor, 4, f"{at:g}", floor + 15, _anchor(x(at), width, 14))
        for at in _ticks_log(bounds_ms[0], bounds_ms[-1])
    ]
    marks = [
        f'<line x1="{x(at):.1f}" y1="{top}" x2="{x(at):.1f}" y2="{floor}" stroke="{SECOND_LINE}" '
        f'stroke-dasharray="3 2"/><text x="{x(at):.1f}" y="{top - 3}" text-anchor="{_anchor(x(at), width)}" {TEXT}>'
        f"{name}</text>"
        for name, at in _marks(bounds_ms, counts, total)
    ]
    axis = f'<line x1="{left}" y1="{floor}" x2="{width - left}" y2="{floor}" stroke="{INK}"/>'
    return _svg(width, height, f"{total} values", [*bars, axis, *ticks, *marks])


def _marks(bounds_ms: Sequence[float], counts: Sequence[int], total: int) -> list[tuple[str, float]]:
    """The upper bounds of the bins that hold the median, and p99 where there are enough values."""
    told, seen, wanted = [], 0, [("p50", 0.5), ("p99", 0.99)][: 1 + (total >= NEEDED["p99"])]
    for end, count in zip(bounds_ms[1:], counts, strict=True):
        seen += count
        while wanted and seen >= wanted[0][1] * total:
            told.append((wanted.pop(0)[0], end))
    return told if len({at for _, at in told}) == len(told) else [("p50, p99", told[0][1])]


def _anchor(at: float, width: float, margin: float = 40) -> str:
    return "start" if at < margin else "end" if at > width - margin else "middle"


def course(courses: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """Each moment's p50 as a dot on a line, a bar up to its `max_ms`, and the bare engine's p50 where there is one.

    The axis is logarithmic. Several courses stand one behind the other.
    """
    width, height, left, bottom, top = 1080, 270, 46, 44, 12
    moments = [moment for one in courses for moment in one]
    values = [moment[name] for moment in moments for name in _values(moment)]
    low, high = math.log(min(values) / 1.1), math.log(max(values) * 1.1)
    step = (width - left - 10) / len(moments)

    def y(at_ms: float) -> float:
        return top + (height - bottom - top) * (high - math.log(at_ms)) / (high - low)

    drawn = [_across(y(at), left, width, f"{at:g}") for at in _ticks_log(math.exp(low), math.exp(high))]
    begin = 0
    for one in courses:
        xs = [left + step * (begin + number + 0.5) for number in range(len(one))]
        drawn += _moments(one, xs, y)
        drawn += [
            _upright(at, height - bottom, 4, f"{one[number]['at_s']:.3g} s", height - bottom + 16)
            for number, at in enumerate(xs)
            if number % max(1, len(moments) // 10) == 0
        ]
        begin += len(one)
        if begin < len(moments):
            at = left + step * begin
            drawn.append(f'<line x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{height - bottom}" stroke="{INK}"/>')
    has_engine = any("engine_p50_ms" in moment for moment in moments)
    return _svg(width, height, "times over the run", [*drawn, *_legend(left, height, has_engine)])


def _values(moment: Mapping[str, Any]) -> list[str]:
    return [name for name in ("engine_p50_ms", "p50_ms", "max_ms") if name in moment]


def _moments(one: Sequence[Mapping[str, Any]], xs: Sequence[float], y: Any) -> list[str]:
    drawn = [
        f'<line x1="{at:.1f}" y1="{y(moment["p50_ms"]):.1f}" x2="{at:.1f}" y2="{y(moment["max_ms"]):.1f}" '
        f'stroke="{BAR}" stroke-width="5" stroke-opacity="0.25"/>'
        for at, moment in zip(xs, one, strict=True)
    ]
    for name, colour in (("engine_p50_ms", SECOND_LINE), ("p50_ms", LINE)):
        points = [(at, y(moment[name])) for at, moment in zip(xs, one, strict=True) if name in moment]
        path = " ".join(f"{at:.1f},{up:.1f}" for at, up in points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        drawn += [f'<circle cx="{at:.1f}" cy="{up:.1f}" r="3" fill="{colour}"/>' for at, up in points]
    return drawn


def _legend(left: float, height: float, has_engine: bool) -> list[str]:
    told = [(LINE, "picture to verdict")] + ([(SECOND_LINE, "engine")] if has_engine else [])
    return [
        f'<circle cx="{left + 150 * number + 5}" cy="{height - 8}" r="3.5" fill="{colour}"/>'
        f'<text x="{left + 150 * number + 14}" y="{height - 4}" {TEXT}>{words}</text>'
        for number, (colour, words) in enumerate(told)
    ]


def _ticks_log(low: float, high: float) -> list[float]:
    """Round numbers between two bounds, at most about eight."""
    for steps in ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [step * 10.0**power for power in powers for step in steps]
        inside = [float(f"{tick:.3g}") for tick in ticks if low <= tick <= high]
        if len(inside) <= 8:
            return inside
    return inside[:: math.ceil(len(inside) / 8)]


def _upright(x: float, y: float, length: float, words: str, words_y: float, anchor: str = "middle") -> str:
    return (
        f'<line x1="{x:.1f}" y1="{y}" x2="{x:.1f}" y2="{y + length}" stroke="{INK}"/>'
        f'<text x="{x:.1f}" y="{words_y}" text-anchor="{anchor}" {TEXT}>{words}</text>'
    )


def _across(y: float, left: float, width: float, words: str) -> str:
    return (
        f'<line x1="{left}" y1="{y:.1f}" x2="{width}" y2="{y:.1f}" stroke="{FAINT}"/>'
        f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" {TEXT}>{words}</text>'
    )


def _svg(width: float, height: float, words: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{words}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
