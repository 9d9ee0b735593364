"""The report as a page for a manager: what is proven, what it cost, what it saves, and where each figure comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edge.manifest import Evidence
from edge.picture_set import GOOD
from training.costs import Costs, Reckoning, Result
from training.page import Grid, Page, Section, svg
from training.ranking import MEASURES
from training.report import Facts, Labels
from training.report_words import words_of

GREEN, AMBER, RED, GREY = "#1f7a4d", "#b06a00", "#b3261e", "#5c6873"
BINS = 40
SHOWN_MONTHS = (24, 120)  # of the balance: at least, at most


def page(facts: Facts, language: str, day: str, title: str = "") -> Page:
    """The page in "en" or "ja"; `day` is when it was written."""
    return _Writer(facts, language).page(day, title)


class _Writer:
    """Writes one report in one language."""

    def __init__(self, facts: Facts, language: str) -> None:
        self._facts = facts
        self._language = language
        self._words = words_of(language)

    def page(self, day: str, title: str) -> Page:
        sections = [self._evidence(), self._labels(), self._curve(), self._pay(), self._given(), self._left_out()]
        return Page(
            title or self._say("title"),
            self._say("about", day=day),
            self._lead(),
            self._facts.proven,
            [section for section in sections if section is not None],
            self._language,
        )

    def _say(self, name: str, **figures: object) -> str:
        return self._words[name].format(**figures)

    # --- what a manager reads first ---

    def _lead(self) -> list[str]:
        evidence = self._facts.evidence
        if evidence is None:
            return [self._say("no_evidence"), *self._lead_of_money()]
        name = "proven" if self._facts.proven else "not_proven" if self._facts.locked else "not_locked"
        first = self._say(
            name, upper=_share(evidence.escape_upper), confidence=f"{evidence.confidence:.0%}",
            target=_share(evidence.target_escape), missed=evidence.missed, defects=evidence.defects,
            needed=self._facts.defects_needed,
        )  # fmt: skip
        goods = [
            self._say(
                "lead_overkill", goods=evidence.goods, overkill=evidence.overkill,
                rate=_rate(evidence.overkill, evidence.goods), upper=_share(evidence.overkill_upper),
            )
        ] if evidence.goods else []  # fmt: skip
        return [first, *goods, *self._lead_of_money()]

    def _lead_of_money(self) -> list[str]:
        pay = self._facts.pay
        if pay is None or pay.bound is None:
            return []
        lines = []
        minutes, at_worst = (one.value("saved_minutes_day") for one in (pay.measured, pay.bound))
        if minutes is not None and at_worst is not None:
            lines.append(self._say("lead_saved", minutes=_number(minutes), bound=_number(at_worst)))
        months, latest = (one.value("payback_months") for one in (pay.measured, pay.bound))
        if months is not None and latest is not None:
            without = self._without(pay.measured)
            lines.append(
                self._say("lead_pay_back", months=self._months(months), bound=self._months(latest), without=without)
            )
        return lines

    def _months(self, count: float) -> str:
        return self._say("never") if math.isinf(count) else self._say("months", count=_number(count))

    def _without(self, reckoning: Reckoning) -> str:
        names = [
            name for one in reckoning.results if one.name in ("saving_year", "investment") for name in one.missing
        ]
        return self._say("without", names=self._named(names)) if names else ""

    def _named(self, names: Sequence[str]) -> str:
        return ", ".join(self._words[name] for name in names)

    # --- evidence ---

    def _evidence(self) -> Section | None:
        threshold = self._facts.threshold
        if threshold is None:
            return None
        rows = self._rates("choice", threshold.choice)
        if threshold.acceptance is not None:
            rows = [*self._rates("locked", threshold.acceptance), *rows]
        head = [self._words[name] for name in ("what", "counted", "rate", "upper", "groups")]
        words = [
            self._say(
                "evidence_source", file=self._facts.sources.threshold, confidence=f"{threshold.confidence:.0%}"
            )
        ]
        drawn = ""
        if self._facts.scores:
            drawn = svg(self._scores(threshold.threshold), self._words)
            file = self._facts.sources.scores
            words.append(self._say("scores_source", file=file, threshold=f"{threshold.threshold:.4f}"))
        return Section(self._words["evidence"], words, drawn, Grid(head, rows))

    def _rates(self, kind: str, evidence: Evidence) -> list[list[str]]:
        groups = str(evidence.groups)
        return [
            self._row(f"escape_{kind}", evidence.missed, evidence.defects, evidence.escape_upper, groups),
            self._row(f"overkill_{kind}", evidence.overkill, evidence.goods, evidence.overkill_upper, ""),
        ]

    def _row(self, name: str, count: int, of: int, upper: float, groups: str) -> list[str]:
        counted = self._say("of", count=count, all=of)
        return [self._words[name], counted, _rate(count, of), _share(upper), groups]

    def _scores(self, threshold: float) -> Figure:
        figure = Figure(figsize=(9, 2.8))
        axes = figure.subplots()
        edges = np.linspace(0, 1, BINS + 1).tolist()
        for bad, colour, name in ((False, GREEN, "good_parts"), (True, RED, "defects")):
            values = [one.score for one in self._facts.scores if one.defect is bad]
            axes.hist(values, edges, color=colour, alpha=0.6, label=f"{{{name}}}")
        axes.axvline(threshold, color="#1d2329", linewidth=1.2)
        axes.set_yscale("symlog", linthresh=10)
        axes.set_yticks([0, 5, 10, 100, 1_000, 10_000], ["0", "5", "10", "100", "1000", "10000"])
        axes.set_ylim(0, None)
        axes.set_xlabel("{score}")
        axes.set_ylabel("{pictures}")
        _plain(axes)
        axes.legend(frameon=False)
        return figure

    # --- labels ---

    def _labels(self) -> Section | None:
        labels = self._facts.labels
        if labels is None:
            return None
        every = sum(labels.counts.values())
        words = [
            self._say(
                "labels_source", file=self._facts.sources.pictures, labelled=every - labels.counts.get("", 0),
                all=every, defects=labels.defects, groups=labels.groups,
            ),
            self._minutes(labels),
        ]  # fmt: skip
        words += [
            self._say(
                "share", drawn=share.drawn, defects=share.defects, rate=_rate(share.defects, share.drawn),
                confidence=f"{share.confidence:.0%}", lower=_share(share.lower), upper=_share(share.upper),
                file=share.file,
            )
            for share in self._facts.shares
        ]  # fmt: skip
        order = sorted(labels.counts.items(), key=lambda one: (one[0] != GOOD, not one[0], -one[1], one[0]))
        rows = [[label or self._words["unlabelled"], str(count)] for label, count in order]
        return Section(
            self._words["labels"], words, grid=Grid([self._words["label"], self._words["pictures"]], rows)
        )

    def _minutes(self, labels: Labels) -> str:
        cost = labels.cost
        if cost is None or not cost.pictures:
            return self._words["minutes_unknown"]
        each = f"{cost.minutes * 60 / cost.pictures:.1f}"
        return self._say("minutes", pictures=cost.pictures, minutes=f"{cost.minutes:.1f}", each=each)

    # --- labels saved ---

    def _curve(self) -> Section | None:
        curve = self._facts.curve
        if curve is None:
            return None
        seeds = len(curve["settings"]["seeds"])
        measure = MEASURES[curve["measure"]]
        words = [self._say("curve_source", file=self._facts.sources.curve, measure=measure, seeds=seeds)]
        for one in curve["averages"]:
            words += self._compared(curve, one)
        words += [self._say("original", note=note) for note in curve["notes"]]
        return Section(self._words["curve"], words)

    def _compared(self, curve: Mapping[str, Any], gain: Mapping[str, Any]) -> list[str]:
        named = f"{self._words['arm_ssl']} {{}}"
        names = {side: self._words.get(f"arm_{gain[side]}", named.format(gain[side])) for side in ("arm", "than")}
        verdict = {1: "gain", 0: "no_gain", -1: "harm"}[gain["sign"]]
        lines = [_capital(self._say(verdict, mean=f"{gain['mean']:+.3f}", **names))]
        if gain["sign"] == 1:
            here = [one for one in curve["differences"] if all(one[side] == gain[side] for side in ("arm", "than"))]
            lines += [line for one in here for line in self._saved(one, names)]
        return lines

    def _saved(self, one: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
        """Of one number of labels; nothing where the other start is as good with fewer."""
        worth, labels = one["as_good_with"]["labels"], one["defects"]
        if worth is None:
            return [self._say("saved_more", labels=f"{labels:.0f}", **names)]
        if worth <= labels:
            return []
        saved = f"{worth - labels:.0f}"
        return [self._say("saved", labels=f"{labels:.0f}", worth=f"{worth:.0f}", saved=saved, **names)]

    # --- costs ---

    def _pay(self) -> Section | None:
        pay = self._facts.pay
        if pay is None:
            return None
        currency = pay.costs.currency or self._words["currency_unknown"]
        name = "pay_source" if pay.bound else "pay_source_bare"
        sources = self._facts.sources
        words = [self._say(name, file=sources.costs, threshold=sources.threshold, currency=currency)]
        worst = pay.bound.results if pay.bound else [None] * len(pay.measured.results)
        rows = [self._result(one, at_worst) for one, at_worst in zip(pay.measured.results, worst, strict=True)]
        head = [self._words[name] for name in ("what", "measured", "at_bounds", "computed")]
        drawn = ""
        if pay.bound and all(one.value("payback_months") is not None for one in (pay.measured, pay.bound)):
            words.append(self._words["cash"])
            drawn = svg(_cash(pay.measured, pay.bound), self._words)
        return Section(self._words["pay"], words, drawn, Grid(head, rows))

    def _result(self, one: Result, at_worst: Result | None) -> list[str]:
        bound = self._value(at_worst.value) if at_worst else ""
        if one.value is None:
            return [self._words[one.name], "", "", self._say("not_computed", names=self._named(one.missing))]
        lacks = f" ({self._say('incomplete', names=self._named(one.missing))})" if one.missing else ""
        return [self._words[one.name], self._value(one.value), bound, _wrapped(one.formula + lacks)]

    def _value(self, value: float | None) -> str:
        if value is None:
            return ""
        return self._words["never"] if math.isinf(value) else _number(value)

    def _given(self) -> Section | None:
        pay = self._facts.pay
        if pay is None:
            return None
        values = [(name, getattr(pay.costs, name)) for name in Costs.__dataclass_fields__ if name != "currency"]
        rows = [
            [self._words[name], name, self._words["not_given"] if value is None else f"{value:,.12g}"]
            for name, value in values
        ]
        head = [self._words[name] for name in ("figure", "key", "value")]
        return Section(self._words["given"], grid=Grid(head, rows))

    def _left_out(self) -> Section | None:
        sources = self._facts.sources
        files = {
            "no_threshold": sources.threshold, "no_set": sources.pictures, "no_curve": sources.curve,
            "no_costs": sources.costs,
        }  # fmt: skip
        words = [self._words[name] for name, file in files.items() if file is None]
        return Section(self._words["left_out"], words) if words else None


def _cash(measured: Reckoning, bound: Reckoning) -> Figure:
    """The balance over the months."""
    reached = [
        one for part in (measured, bound) if not math.isinf(one := part.value("payback_months") or 0.0)
    ]  # fmt: skip
    least, most = SHOWN_MONTHS
    months = np.arange(0, min(most, max([least, *(1.5 * one for one in reached)])) + 1)
    figure = Figure(figsize=(9, 2.8))
    axes = figure.subplots()
    for part, colour, name in ((measured, GREEN, "measured"), (bound, AMBER, "at_bounds")):
        balance = months / 12 * (part.value("saving_year") or 0.0) - (part.value("investment") or 0.0)
        axes.plot(months, balance, color=colour, label=f"{{{name}}}")
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel("{month}")
    axes.set_ylabel("{balance}")
    _plain(axes)
    axes.legend(frameon=False, loc="upper left")
    return figure


def _plain(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _share(value: float) -> str:
    return f"{value:.2%}" if 0 < value < 0.01 else f"{value:.1%}"


def _rate(count: int, of: int) -> str:
    return _share(count / of) if of else "-"


def _number(value: float) -> str:
    """Three figures at least, none that means nothing."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}"


def _wrapped(formula: str) -> str:
    """A long formula on lines: cells of the page's tables are not broken by themselves."""
    parts = formula.replace(" * ", " \u00d7 ").split(" ")
    lines = [""]
    for part in parts:
        if len(lines[-1]) + len(part) > 52:
            lines.append("")
        lines[-1] += f"{part} "
    return "\n".join(line.rstrip() for line in lines)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
