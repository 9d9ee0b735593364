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
    """What was said of a part: by the journal (None where it tells nothing), and now, of the kept pictures, by the
    `active` bundle and by the one that was asked (`after`)."""

    name: str
    label: str
    recorded: Said | None
    active: Said
    after: Said

    @property
    def before(self) -> Said:
        """What `after` is compared with."""
        return self.recorded or self.active

    @property
    def is_changed(self) -> bool:
        """The verdict is another one than before."""
        return self.before.kind is not self.after.kind

    @property
    def is_by_keeping(self) -> bool:
        """The change is none of the bundle's: the active one, which judged the part then, makes it too."""
        return self.is_changed and self.before.judge == self.active.judge and self.active.kind is self.after.kind

    @property
    def is_unsure(self) -> bool:
        """It may be one by the picture: the bundle that judged the part then is not the one that was asked again."""
        return self.is_changed and self.before.judge != self.active.judge

    @property
    def is_let_pass(self) -> bool:
        """It was rejected, as UNKNOWN is too, and the bundle that was asked would let it pass."""
        return self.is_changed and self.after.kind is Kind.PASS and not self.is_by_keeping

    @property
    def is_lost(self) -> bool:
        """It passed, and the bundle that was asked would reject it."""
        return self.is_changed and self.before.kind is Kind.PASS and not self.is_by_keeping

    def rank(self) -> tuple[int, float, str]:
        """Worst first: defects that would pass, then what has no label and would; good parts that would stand late."""
        order = 4 if self.is_by_keeping else 2
        if self.is_let_pass:
            order = {GOOD: 3, "": 1}.get(self.label, 0)
        return order, -self.before.score if isfinite(self.before.score) else -1.0, self.name

    def line(self) -> str:
        """For people."""
        label = f" [{self.label}]" if self.label else ""
        cause = " (by the picture as it was kept)" if self.is_by_keeping else ""
        return f"{self.name}{label}: {_words(self.before)} -> {_words(self.after)}{cause}"

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        said = {"recorded": self.recorded, "active": self.active, "after": self.after}
        return {"name": self.name, "label": self.label} | {key: _plain(each) for key, each in said.items()}


@dataclass(frozen=True, slots=True)
class Replayed:
    """The parts that were judged again by `after`, such as "cap-a version 4, ort int8", and by the `active` bundle.

    `unread`: why a part could not be, by its name; `left_out`: how many, by the reason.
    """

    after: str
    active: str
    compared: Sequence[Compared]
    unread: Mapping[str, str]
    left_out: Mapping[str, int]

    def changed(self) -> list[Compared]:
        """The parts whose verdict is another one, worst first."""
        return sorted((one for one in self.compared if one.is_changed), key=Compared.rank)

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        moved = self._moved()
        return {
            "after": self.after,
            "active": self.active,
            "compared": len(self.compared),
            "on_record": len(self._on_record()),
            "verdicts": {name: _counts(said) for name, said in _sides(self.compared).items()},
            "score_moved": {name: {"median": median(each), "max": max(each)} for name, each in moved.items()},
            "let_pass": sum(one.is_let_pass for one in self.compared),
            "lost": sum(one.is_lost for one in self.compared),
            "by_keeping": sum(one.is_by_keeping for one in self.compared),
            "unsure": sum(one.is_unsure for one in self.compared),
            "changed": [one.to_dict() for one in self.changed()],
            "unread": dict(self.unread),
            "left_out": dict(self.left_out),
        }

    def lines(self) -> Iterator[str]:
        """For people; what it comes to stands last."""
        yield from (f"not judged: {name}: {words}" for name, words in self.unread.items())
        yield from (f"left out: {count} {why}" for why, count in self.left_out.items())
        recorded, changed = len(self._on_record()), self.changed()
        active = "which is active" if self.active == self.after else f"where {self.active} is active"
        yield f"{len(self.compared)} parts judged again by {self.after}, {active}"
        yield f"  {recorded} compared with the journal, {len(self.compared) - recorded} with the active bundle"
        for name, said in _sides(self.compared).items():
            yield f"  {name}: {', '.join(f'{count} {kind}' for kind, count in _counts(said).items())}"
        for name, moved in self._moved().items():
            yield f"  scores, from the {name} ones: {median(moved):.4f} away (median), {max(moved):.4f} at most"
        yield from self._labelled()
        yield f"changed verdicts: {len(changed)}{', worst first' if changed else ''}"
        yield from (f"  {one.line()}" for one in changed)
        yield from self._sentences()

    def _sentences(self) -> Iterator[str]:
        """What it comes to."""
        through = [one.label for one in self.compared if one.is_let_pass]
        good, bare = through.count(GOOD), through.count("")
        if kept := sum(one.is_by_keeping for one in self.compared):
            yield f"{kept} of them by the kept picture (JPEG): {self.active}, which judged then, says so of it too"
        if unsure := sum(one.is_unsure for one in self.compared):
            yield f"{unsure} of them another bundle or threshold judged then: some may be by the kept picture (JPEG)"
        if lost := sum(one.is_lost for one in self.compared):
            yield f"{self.after} would reject {lost} that passed"
        if not through:
            yield f"{self.after} would let nothing pass that was rejected"
            return
        yield (
            f"{self.after} WOULD LET {len(through)} PASS THAT WERE REJECTED: {len(through) - good - bare} labelled as "
            f"defects, {good} as {GOOD}, {bare} without a label"
        )

    def _labelled(self) -> Iterator[str]:
        goods = [one for one in self.compared if one.label == GOOD]
        defects = [one for one in self.compared if one.label not in ("", GOOD)]
        if defects:
            before, now = (_counts(said)["PASS"] for said in _sides(defects).values())
            yield f"  of {len(defects)} labelled as defects {before} passed, {now} would now"
        if goods:
            before, now = (len(goods) - _counts(said)["PASS"] for said in _sides(goods).values())
            yield f"  of {len(goods)} labelled {GOOD} {before} were rejected, {now} would be now"

    def _on_record(self) -> list[Compared]:
        return [one for one in self.compared if one.recorded is not None]

    def _moved(self) -> dict[str, list[float]]:
        """How far scores are from those on record, and from the active bundle's of the same pictures."""
        found = {
            "recorded": [abs(one.after.score - one.before.score) for one in self._on_record()],
            "active": [abs(one.after.score - one.active.score) for one in self.compared],
        }
        finite = {name: [each for each in moved if isfinite(each)] for name, moved in found.items()}
        return {name: moved for name, moved in finite.items() if moved}


def _sides(compared: Iterable[Compared]) -> dict[str, list[Said]]:
    those = list(compared)
    return {"before": [one.before for one in those], "now": [one.after for one in those]}


def _counts(said: Sequence[Said]) -> dict[str, int]:
    return {kind.name: sum(one.kind is kind for one in said) for kind in Kind}


def _words(said: Said) -> str:
    score = f"{said.score:.6g}" if isfinite(said.score) else "without a score"
    return f"{said.kind.name} {score} (threshold {said.threshold:.6g})"


def _plain(said: Said | None) -> dict[str, object] | None:
    """A number that is none is null."""
    if said is None:
        return None
    numbers = {"score": said.score, "threshold": said.threshold}
    return {"verdict": said.kind.name} | {name: each if isfinite(each) else None for name, each in numbers.items()}
