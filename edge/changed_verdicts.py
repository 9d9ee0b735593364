"""What judging recorded parts again has shown: which verdicts change, worst first, and how far scores moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import median

from edge.picture_set import GOOD
from edge.recorded import Said
from edge.records import Kind


@dataclass(frozen=True, slots=True)
class Compared:
    """What was said of a part before, by the journal (`on_record`) or by the active bundle, and what is said now."""

    name: str
    label: str
    before: Said
    after: Said
    on_record: bool

    @property
    def passes_now(self) -> bool:
        """It was rejected before, as UNKNOWN is too, and would pass now."""
        return self.before.kind is not Kind.PASS and self.after.kind is Kind.PASS

    @property
    def moved(self) -> float:
        """How far its score is from the one of before; NaN where one of them is none."""
        return abs(self.after.score - self.before.score)

    def rank(self) -> tuple[int, float, str]:
        """Worst first: defects that pass now, what has no label and does, what passes no more, good parts that do."""
        order = {GOOD: 3, "": 1}.get(self.label, 0) if self.passes_now else 2
        return order, -self.before.score if isfinite(self.before.score) else -1.0, self.name

    def line(self) -> str:
        """For people."""
        label = f" [{self.label}]" if self.label else ""
        source = "" if self.on_record else " (the active bundle)"
        return f"{self.name}{label}: {_words(self.before)}{source} -> {_words(self.after)}"

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        sides = {"before": _plain(self.before), "after": _plain(self.after)}
        return {"name": self.name, "label": self.label, "on_record": self.on_record, **sides}


@dataclass(frozen=True, slots=True)
class Replayed:
    """The parts that were judged again by `after`, such as "cap-a version 4, ort int8"; `active` is the bundle that the
    others were compared with, "" where all were on record. `unread`: why, by name; `left_out`: how many, by the reason.
    """

    after: str
    active: str
    compared: Sequence[Compared]
    unread: Mapping[str, str]
    left_out: Mapping[str, int]

    def changed(self) -> list[Compared]:
        """The parts whose verdict is another one, worst first."""
        return sorted((one for one in self.compared if one.before.kind is not one.after.kind), key=Compared.rank)

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        moved = self._moved()
        return {
            "after": self.after,
            "active": self.active,
            "compared": len(self.compared),
            "on_record": self._on_record(),
            "verdicts": {name: _counts(said) for name, said in _sides(self.compared).items()},
            "score_moved": {"median": median(moved), "max": max(moved)} if moved else None,
            "rejected_pass_now": sum(one.passes_now for one in self.compared),
            "changed": [one.to_dict() for one in self.changed()],
            "unread": dict(self.unread),
            "left_out": dict(self.left_out),
        }

    def lines(self) -> Iterator[str]:
        """For people; what it comes to stands last."""
        yield from (f"not judged: {words}" for words in self.unread.values())
        yield from (f"left out: {count} {why}" for why, count in self.left_out.items())
        recorded = self._on_record()
        others = len(self.compared) - recorded
        sources = [f"{recorded} against the journal"] if recorded else []
        sources += [f"{others} against {self.active}, which is active"] if others else []
        yield f"{len(self.compared)} judged again by {self.after}: {', '.join(sources)}"
        for name, said in _sides(self.compared).items():
            yield f"  {name}: {', '.join(f'{count} {kind}' for kind, count in _counts(said).items())}"
        if moved := self._moved():
            yield f"  scores moved by {median(moved):.4f} (median), by {max(moved):.4f} at most"
        if recorded:
            yield "  (kept pictures are JPEG, which alone moves a score: the active bundle, asked again, shows how far)"
        yield from self._labelled()
        changed = self.changed()
        yield f"{len(changed)} verdicts change{', worst first:' if changed else ''}"
        yield from (f"  {one.line()}" for one in changed)
        yield self.sentence()

    def sentence(self) -> str:
        """Whether what was rejected would pass now."""
        through = [one.label for one in self.compared if one.passes_now]
        lost = sum(one.before.kind is Kind.PASS is not one.after.kind for one in self.compared)
        rest = f"; it would reject {lost} that passed" if lost else ""
        if not through:
            return f"{self.after} would let nothing pass that was rejected{rest}"
        good, bare = through.count(GOOD), through.count("")
        return (
            f"{self.after} WOULD LET {len(through)} PASS THAT WERE REJECTED: {len(through) - good - bare} labelled as "
            f"defects, {good} as {GOOD}, {bare} without a label{rest}"
        )

    def _labelled(self) -> Iterator[str]:
        for kind in (Kind.PASS, Kind.REJECT):
            is_good = kind is Kind.REJECT
            those = [one for one in self.compared if one.label and (one.label == GOOD) is is_good]
            before, now = (
                sum((each.kind is Kind.PASS) is not is_good for each in said) for said in _sides(those).values()
            )
            what, done = (f"labelled {GOOD}", "rejected") if is_good else ("labelled as defects", "let pass")
            if those:
                yield f"  of {len(those)} {what} {before} were {done}, {now} would be now"

    def _on_record(self) -> int:
        return sum(one.on_record for one in self.compared)

    def _moved(self) -> list[float]:
        return [one.moved for one in self.compared if isfinite(one.moved)]


def _sides(compared: Iterable[Compared]) -> dict[str, list[Said]]:
    those = list(compared)
    return {"before": [one.before for one in those], "now": [one.after for one in those]}


def _counts(said: Sequence[Said]) -> dict[str, int]:
    return {kind.name: sum(one.kind is kind for one in said) for kind in Kind}


def _words(said: Said) -> str:
    score = f"{said.score:.4f}" if isfinite(said.score) else "without a score"
    return f"{said.kind.name} {score} (threshold {said.threshold:.4f})"


def _plain(said: Said) -> dict[str, object]:
    """A number that is none is null."""
    numbers = {"score": said.score, "threshold": said.threshold}
    return {"verdict": said.kind.name} | {name: each if isfinite(each) else None for name, each in numbers.items()}
