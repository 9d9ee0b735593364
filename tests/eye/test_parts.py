"""The book of parts: every part settles once, every slot comes back, whatever order frames and births come in."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import MS
from edge.eye.jobs import Job
from edge.eye.parts import HOLD_NS, LAST_WORD_NS, Parts, Settled
from edge.eye.slots import Slots
from edge.pairing import Sighting, View
from edge.records import Kind, Part, Reason

PASS = (Kind.PASS, Reason.NONE)
REJECT = (Kind.REJECT, Reason.DEFECT)
IMAGE = np.zeros((4, 4), np.uint8)


@dataclass
class Book:
    """A Parts with what it settled and counted."""

    cameras: int = 1
    triggered: bool = True
    settled: list[Settled] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slots = [Slots(8) for _ in range(self.cameras)]
        views = [View(f"c{index}", 0, 5 * MS, self.triggered) for index in range(self.cameras)]
        self._jobs: list[Job] = []
        self.parts = Parts(views, self.slots, self.settled.append, self.frames.append, self._jobs.append)

    def jobs(self) -> list[Job]:
        """Those that came since."""
        found = list(self._jobs)
        self._jobs.clear()
        return found

    def see(self, at_ms: float, view: int = 0, reason: Reason = Reason.NONE, number: int = 1) -> None:
        slot = self.slots[view].put(IMAGE) if reason is Reason.NONE else -1
        self.parts.frame(Sighting(view, number, round(at_ms * MS), reason=reason, slot=slot))

    def judge(self, job: Job, decision: tuple[Kind, Reason], score: float) -> None:
        self.slots[job.view].free(job.slot)
        self.parts.judged(job, decision, score)


def part(number: int = 1, born_ms: float = 100.0, session: int = 1) -> Part:
    born_ns = round(born_ms * MS)
    return Part(session << 32 | number, born_ns, 0, born_ns, born_ns + 300 * MS, born_ns + 400 * MS)


@pytest.mark.parametrize("birth_first", [True, False])
def test_a_part_settles_when_its_picture_is_judged(birth_first: bool) -> None:
    book = Book()
    steps = [lambda: book.parts.born(part(), 0), lambda: book.see(101)]
    for step in steps if birth_first else reversed(steps):
        step()
    (job,) = book.jobs()
    book.judge(job, PASS, 0.2)
    assert [(one.decision, one.score, one.captured_ns) for one in book.settled] == [(PASS, 0.2, 101 * MS)]
    assert book.slots[0].taken == 0 and book.frames == ["paired"]


def test_several_views_settle_once_with_the_worst_decision_and_the_highest_score() -> None:
    book = Book(cameras=2)
    book.parts.born(part(), 0)
    book.see(100, view=0)
    book.see(101, view=1)
    first, second = book.jobs()
    book.judge(second, REJECT, 0.9)
    assert not book.settled
    book.judge(first, PASS, 0.1)
    assert [(one.decision, one.score) for one in book.settled] == [(REJECT, 0.9)]


def test_a_frame_that_cannot_be_judged_makes_its_part_unknown() -> None:
    book = Book()
    book.parts.born(part(), 0)
    book.see(100, reason=Reason.BAD_FRAME)
    assert [one.decision for one in book.settled] == [(Kind.UNKNOWN, Reason.BAD_FRAME)]
    assert math.isnan(book.settled[0].score)


def test_a_part_without_a_frame_is_given_up_before_its_deadline() -> None:
    book = Book()
    born = part()
    book.parts.born(born, 0)
    limit_ns = book.parts.next_limit_ns()
    assert limit_ns == born.deadline_ns - LAST_WORD_NS
    book.parts.expire(limit_ns - 1)
    assert not book.settled
    book.parts.expire(limit_ns)
    assert [one.decision for one in book.settled] == [(Kind.UNKNOWN, Reason.NO_FRAME)]


def test_a_frame_without_a_part_gives_its_slot_back() -> None:
    book = Book()
    book.see(100)
    assert book.slots[0].taken == 1
    book.parts.expire(100 * MS + HOLD_NS)
    assert book.slots[0].taken == 0 and book.frames == ["unpaired"]


def test_a_frame_that_fits_two_parts_settles_both_as_ambiguous() -> None:
    book = Book()
    book.parts.born(part(1, 100), 0)
    book.parts.born(part(2, 103), 0)
    book.see(101.5)
    assert {one.decision for one in book.settled} == {(Kind.UNKNOWN, Reason.AMBIGUOUS)}
    assert len(book.settled) == 2 and book.slots[0].taken == 0


def test_a_part_put_in_doubt_after_its_pairing_is_unknown() -> None:
    book = Book()
    book.parts.born(part(1, 100), 0)
    book.see(101)
    (job,) = book.jobs()
    book.parts.born(part(2, 103), 0)
    book.judge(job, PASS, 0.1)
    assert all(one.decision == (Kind.UNKNOWN, Reason.AMBIGUOUS) for one in book.settled)


def test_a_verdict_for_a_part_that_has_ended_goes_nowhere() -> None:
    book = Book()
    book.parts.born(part(), 0)
    book.see(100)
    (job,) = book.jobs()
    assert math.isnan(book.parts.ended(part().part_id))
    book.judge(job, PASS, 0.1)
    assert not book.settled and book.parts.lost(session=9) == []


def test_a_new_line_takes_the_parts_of_the_old_one_away() -> None:
    book = Book()
    book.parts.born(part(1, 100, session=1), 0)
    book.parts.born(part(1, 900, session=2), 0)
    assert [gone.part_id >> 32 for gone in book.parts.lost(2)] == [1]
    assert len(book.parts.lost(3)) == 1


@given(
    st.permutations([("born", number) for number in range(6)] + [("frame", number) for number in range(6)]),
    st.sets(st.integers(0, 5)),
)
def test_in_any_order_every_part_settles_once_and_every_slot_comes_back(
    steps: list[tuple[str, int]], dropped: set[int]
) -> None:
    """Frames come in the order of their capture; births as they like, as a polled trigger tells them."""
    book = Book()
    frames = iter(sorted(number for what, number in steps if what == "frame" and number not in dropped))
    for what, number in steps:
        if what == "born":
            book.parts.born(part(number, 100 + 50 * number), 0)
        elif (shown := next(frames, None)) is not None:
            book.see(100 + 50 * shown, number=shown + 1)
        for job in book.jobs():
            book.judge(job, PASS, 0.1)
    book.parts.close()
    assert sorted(one.part.part_id & 0xFF for one in book.settled) == list(range(6))
    for one in book.settled:
        number = one.part.part_id & 0xFF
        if one.decision == PASS:
            assert one.captured_ns == (100 + 50 * number) * MS, "a part got a neighbour's frame"
        else:
            assert number in dropped or one.decision[1] in (Reason.OVERRUN, Reason.NO_FRAME)
    assert book.slots[0].taken == 0
